import csv
import gzip
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import rewardcli
from rewardcli.cli import app
from rewardcli.cli.commands import COMMANDS as NAMES
from rewardcli.nemo_gym import files as profile_files
from rewardcli.reader import parts
from rewardcli.reader import read as reader
from rewardcli.results import Key

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAM = [sys.executable, "-m", "rewardcli"]

EXAMPLE = "math_rollouts.jsonl"
SMALL = "small.jsonl"
# By task: the reward and answer of each rollout, and the level.
SMALL_TASKS: dict[str, tuple[list[tuple[float, str | None]], Any]] = {
    "a": ([(1.0, "4"), (0.0, "5"), (1.0, None)], "easy"),
    "b": ([(0.0, "7"), (0.0, "7")], "hard"),
    "c|d": ([(0.5, "1")], 3),
}


def small_rows() -> list[dict[str, Any]]:
    return [
        {"_ng_task_index": task, "_ng_rollout_index": i, "reward": reward, "answer": answer, "level": level}
        for task, (rollouts, level) in SMALL_TASKS.items()
        for i, (reward, answer) in enumerate(rollouts)
    ]


def write_rows(path: str, rows: Sequence[Any]) -> str:
    Path(path).write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory with the example data and a small handmade file."""
    monkeypatch.chdir(tmp_path)
    for name in (EXAMPLE, "math_rollouts_materialized_inputs.jsonl"):
        shutil.copy(EXAMPLES / name, name)
    write_rows(SMALL, small_rows())
    return tmp_path


def run(*args: str, stdin: bytes | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, args, input=stdin, catch_exceptions=False)


def output(*args: str, stdin: bytes | None = None) -> str:
    result = run(*args, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def error(*args: str) -> tuple[int, str]:
    """Return the exit status and standard error, without notes."""
    result = run(*args, "--quiet")
    assert result.stdout == ""
    return result.exit_code, result.stderr


# --- formats --------------------------------------------------------------------------------------------------------

GOLDEN = {
    "passk --answer-key answer": """\
pass@k · small.jsonl · 3 tasks · 6 rollouts
score       k   pass@k   95 % interval   tasks   pass@1[avg-of-k]   majority@k
──────────────────────────────────────────────────────────────────────────────
accuracy    1    38.89   [7.50, 73.51]                      50.00        50.00
accuracy    2    50.00   [1.26, 98.74]       2              33.33        33.33
accuracy    3   100.00                       1              38.89        33.33
no_answer   1    11.11   [0.00, 56.25]                       0.00         0.00
no_answer   2    33.33   [1.52, 91.63]       2               0.00         0.00
no_answer   3   100.00                       1              11.11         0.00
""",
    "passk --k 2": """\
pass@k · small.jsonl · 3 tasks · 6 rollouts
score      k   pass@k   95 % interval   tasks   pass@1[avg-of-k]
────────────────────────────────────────────────────────────────
accuracy   2    50.00   [1.26, 98.74]       2              33.33
""",
    "subsets --by level --score passed=reward>=0.5": """\
pass@k by level · small.jsonl · 3 tasks · 6 rollouts
subset   tasks   score    k   pass@k   pass@1[avg-of-k]
───────────────────────────────────────────────────────
easy         1   passed   1    66.67             100.00
easy         1   passed   2   100.00              50.00
easy         1   passed   3   100.00              66.67
hard         1   passed   1     0.00               0.00
hard         1   passed   2     0.00               0.00
3            1   passed   1   100.00             100.00
""",
    "highest-k": """\
highest k · small.jsonl · 3 tasks · 6 rollouts
metric                       value   tasks
──────────────────────────────────────────
pass@3/accuracy             100.00       1
pass@1[avg-of-3]/accuracy    38.89       3
""",
    "aggregate": """\
Agent agent: key metrics
metric         value
────────────────────
mean/reward   0.4167
mean/level      3.00
""",
    "profile": """\
Completion
            rollouts   tasks
────────────────────────────
expected           6       3
completed          6       3
partial            –       0
missing            0       0

Agent agent
field      mean      std    min   median    max
───────────────────────────────────────────────
reward   0.4167   0.4916   0.00   0.2500   1.00
level      3.00        –   3.00     3.00   3.00

Repeats
agent   repeat           tasks   missing   mean reward      std
───────────────────────────────────────────────────────────────
agent   0                    3         0        0.5000   0.5000
agent   1                    2         1          0.00     0.00
agent   2                    1         2          1.00     0.00
agent   across repeats                          0.5000   0.5000

Mean reward by task
reward                                          tasks
─────────────────────────────────────────────────────
[0, 0.1)     ████████████████████████████████       1
[0.1, 0.2)                                          0
[0.2, 0.3)                                          0
[0.3, 0.4)                                          0
[0.4, 0.5)                                          0
[0.5, 0.6)   ████████████████████████████████       1
[0.6, 0.7)   ████████████████████████████████       1
[0.7, 0.8)                                          0
[0.8, 0.9)                                          0
[0.9, 1]                                            0

Tasks solved
            tasks
─────────────────
always          0
sometimes       2
never           1
undefined       0
""",
}


def arguments(command: str, path: str) -> list[str]:
    name, *options = command.split()
    return [name, path, *options]


@pytest.mark.parametrize("command", GOLDEN)
def test_table(command: str) -> None:
    assert output(*arguments(command, SMALL), "--format", "table").rstrip("\n") == GOLDEN[command].rstrip("\n")


def test_aggregate_prints_json_unless_told_otherwise() -> None:
    assert json.loads(output("aggregate", SMALL)) == json.loads(output("aggregate", SMALL, "--format", "json"))


@pytest.mark.parametrize("command", GOLDEN)
def test_markdown_says_what_the_table_says(command: str) -> None:
    text = output(*arguments(command, SMALL), "--format", "md")
    cells = [re.split(r" *(?<!\\)\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    rows = [row for row in cells if not set("".join(row)) <= set("-: ")]
    for line in GOLDEN[command].splitlines():
        if line.count("   ") and not line.startswith("─"):
            wanted = [cell for cell in re.split(r"  +", line.strip()) if cell]
            assert any([cell for cell in row if cell] == wanted for row in rows), line


def test_markdown_escapes_what_would_end_a_cell() -> None:
    text = output("subsets", SMALL, "--by", "_ng_task_index", "--format", "md")
    assert "| c\\|d | 1 | accuracy | 1 | 50.00 |" in text


@pytest.mark.parametrize("width", ["20", "200"])
def test_through_a_pipe_a_table_is_never_cut(width: str) -> None:
    names = ["a-very-long-name-of-a-score-" * 5 + str(i) for i in range(3)]
    scores = [part for name in names for part in ("--score", f"{name}=reward")]
    text = CliRunner(env={"COLUMNS": width}).invoke(app, ["passk", SMALL, *scores]).stdout
    assert "…" not in text
    for name in names:
        assert len(re.findall(rf"^{name} ", text, re.MULTILINE)) == 3


def key_of(row: dict[str, str]) -> str:
    """Return the NeMo Gym key of a row of CSV."""
    metric = row["metric"]
    if row["k"]:
        metric = metric.replace("@k", f"@{row['k']}").replace("of-k", f"of-{row['k']}").replace("^k", f"^{row['k']}")
    return "/".join(part for part in (row["agent"], row["subset"], metric, row["score"], row["stat"]) if part)


COMMANDS = [
    f"passk {EXAMPLE}",
    f"passk {EXAMPLE} --answer-key extracted_answer --score a=reward --score fine=format_score>=0.5",
    f"passk {EXAMPLE} --k 1,3",
    f"passk {EXAMPLE} --agent algebra_agent",
    f"subsets {EXAMPLE} --by difficulty --answer-key extracted_answer",
    f"subsets {EXAMPLE} --by agent_ref.name --k 8",
    f"highest-k {EXAMPLE}",
    f"highest-k {EXAMPLE} --answer-key extracted_answer --pattern majority@{{k}} --pattern pass@{{k}}",
    f"passk {SMALL} --answer-key answer",
    f"subsets {SMALL} --by level",
]


HEADER = "agent,subset,metric,k,score,stat,value,n_tasks,n_rollouts,se,lower,upper,se_again"


def csv_of(command: str) -> list[dict[str, str]]:
    text = output(*command.split(), "--format", "csv")
    assert text.partition("\n")[0] == HEADER
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("command", COMMANDS)
def test_json_and_csv_say_the_same(command: str) -> None:
    told = json.loads(output(*command.split(), "--format", "json"))
    coverage = told.pop("coverage")
    assert told.pop("schema") == 1
    told.pop("notes", None)
    uncertainty = told.pop("uncertainty")
    runs: dict[str, list[float]] = {}
    found: dict[str, Any] = {}
    for line in csv_of(command):
        counts = {"n_tasks": int(line["n_tasks"]), "n_rollouts": int(line["n_rollouts"])}
        known = uncertainty.get(key_of(line), {})
        for name in ("se", "lower", "upper", "se_again"):
            assert line[name] == str(known.get(name, ""))
        if line["metric"] == "per_sample_aggregate":
            assert coverage[f"per_sample_aggregate/{line['score']}"][int(line["k"]) - 1] == counts
            runs.setdefault(line["score"], []).append(float(line["value"]))
        else:
            assert coverage[key_of(line)] == counts
            found[key_of(line)] = float(line["value"])
    assert told.pop("per_sample_aggregate", {}) == runs
    assert list(found.items()) == list(told.items())


def test_agents_are_subsets_wherever_the_rows_keep_them() -> None:
    by_field = json.loads(output("subsets", EXAMPLE, "--by", "agent_ref.name", "--k", "1", "--format", "json"))
    assert json.loads(output("subsets", EXAMPLE, "--by", "agent", "--k", "1", "--format", "json")) == by_field
    output("extract", EXAMPLE, "-o", "copy.parquet")
    assert json.loads(output("subsets", "copy.parquet", "--by", "agent", "--k", "1", "--format", "json")) == by_field


def test_json_and_csv_of_a_profile_say_the_same() -> None:
    told = json.loads(output("profile", EXAMPLE, "--format", "json"))
    expected = {f"completion/{key}": value for key, value in told["completion"].items()}
    for row in told["agents"]:
        name = row.pop("agent_ref")["name"]
        expected |= {f"{name}/{key}": value for key, value in row.items()}
    for row in told["repeats"]:
        name, repeat = row.pop("agent_ref")["name"], row.pop("_ng_rollout_index")
        expected |= {f"{name}/repeat {repeat}/{key}": value for key, value in row.items()}
    expected |= {f"solved/{key}": value for key, value in told["solved"].items()}
    assert {key_of(line): float(line["value"]) for line in csv_of(f"profile {EXAMPLE}")} == expected
    assert [row["mean/reward"] for row in told["agents"]] == pytest.approx([79 / 156, 94 / 155])


def test_json_and_csv_of_aggregates_say_the_same() -> None:
    told = json.loads(output("aggregate", EXAMPLE, "--format", "json"))
    assert [entry["agent_ref"]["name"] for entry in told] == ["algebra_agent", "geometry_agent"]
    expected = {f"{e['agent_ref']['name']}/{key}": value for e in told for key, value in e["agent_metrics"].items()}
    assert {key_of(line): float(line["value"]) for line in csv_of(f"aggregate {EXAMPLE}")} == expected
    assert told == json.loads(Path("math_rollouts_aggregate_metrics.json").read_bytes())


def example_tasks() -> list[list[dict[str, Any]]]:
    tasks: dict[int, list[dict[str, Any]]] = {}
    for line in Path(EXAMPLE).read_text(encoding="utf-8").splitlines():
        rollout = json.loads(line)
        tasks.setdefault(rollout["_ng_task_index"], []).append(rollout)
    return [tasks[task] for task in sorted(tasks)]


def test_passk_gives_what_python_gives() -> None:
    told = json.loads(output("passk", EXAMPLE, "--answer-key", "extracted_answer", "--format", "json"))
    metrics, scores, names, max_k = rewardcli.compute_pass_majority_metrics(
        example_tasks(), answer_key="extracted_answer"
    )
    rewardcli.add_avg_sample_std_dev(metrics, scores, names, max_k)
    del told["coverage"], told["schema"], told["notes"], told["uncertainty"]
    assert told == metrics
    assert list(told) == list(metrics)


def test_subsets_gives_what_python_gives() -> None:
    told = json.loads(output("subsets", EXAMPLE, "--by", "difficulty", "--format", "json"))
    expected = rewardcli.compute_subset_metrics(example_tasks(), "difficulty")
    assert {key: told[key] for key in expected} == expected
    assert all(
        key in expected or "avg_sample_std_dev" in key
        for key in told
        if key not in {"coverage", "notes", "schema", "uncertainty"}
    )


def test_k_restricts_without_changing_a_value() -> None:
    everything = json.loads(output("passk", EXAMPLE, "--format", "json"))
    told = json.loads(output("passk", EXAMPLE, "--k", "8, 2", "--format", "json"))
    at_k = [key for key in everything if re.match(r"pass@[28]/|pass@1\[avg-of-[28]\]/|per_sample", key)]
    assert list(told) == [*at_k, "coverage", "uncertainty", "notes", "schema"]
    assert {key: everything[key] for key in at_k} == {key: told[key] for key in at_k}


def test_the_table_shows_powers_of_two_and_the_highest_k() -> None:
    write_rows("ten.jsonl", [{"_ng_task_index": 0, "_ng_rollout_index": i, "reward": 1} for i in range(10)])
    lines = output("passk", "ten.jsonl").splitlines()[3:]
    assert [line.split()[1] for line in lines if line] == ["1", "2", "4", "8", "10"]


def test_json_holds_no_bare_nan_and_every_integer() -> None:
    write_rows(
        "odd.jsonl",
        [
            '{"_ng_task_index":0,"_ng_rollout_index":0,"reward":NaN,"big":18446744073709551617,"x":Infinity}',
            '{"_ng_task_index":0,"_ng_rollout_index":1,"reward":1,"big":18446744073709551616,"x":2}',
        ],
    )
    for command in ("profile", "passk", "aggregate"):
        text = output(command, "odd.jsonl", "--format", "json")
        json.loads(text, parse_constant=pytest.fail)
    assert '"reward":null' in Path("odd_reward_profiling.jsonl").read_text(encoding="utf-8")
    assert '"big":18446744073709551617' in Path("odd_reward_profiling.jsonl").read_text(encoding="utf-8")


# --- sources and files ----------------------------------------------------------------------------------------------


def values(*args: str, stdin: bytes | None = None) -> Any:
    """What passk gives as JSON, without the notes."""
    told = json.loads(output("passk", *args, "--format", "json", stdin=stdin))
    told.pop("notes", None)
    return told


@pytest.fixture
def shards(folder: Path) -> Path:
    """Split the example into three shards of different formats, beside files that are not shards."""
    lines = (folder / EXAMPLE).read_bytes().splitlines(keepends=True)
    (folder / "shards").mkdir()
    (folder / "shards/a.jsonl").write_bytes(b"".join(lines[:100]))
    (folder / "shards/b.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[100:200])))
    (folder / "shards/c.ndjson").write_bytes(b"".join(lines[200:]))
    (folder / "shards/a_materialized_inputs.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "shards/notes.txt").write_text("no rollouts", encoding="utf-8")
    return folder / "shards"


@pytest.mark.parametrize(
    "sources",
    [
        ["shards"],
        ["shards/[abc].*"],
        ["shards/a.jsonl", "shards/b.jsonl.gz", "shards/c.ndjson"],
        ["shards/c.ndjson", "shards/b.jsonl.gz", "shards/a.jsonl"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("shards")
def test_shards_give_what_the_whole_gives(sources: list[str]) -> None:
    assert values(*sources) == values(EXAMPLE)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_standard_input_gives_what_the_file_gives(packed: bool) -> None:
    data = Path(EXAMPLE).read_bytes()
    assert values("-", stdin=gzip.compress(data) if packed else data) == values(EXAMPLE)


def test_standard_input_and_a_file_go_together() -> None:
    lines = Path(EXAMPLE).read_bytes().splitlines(keepends=True)
    Path("rest.jsonl").write_bytes(b"".join(lines[100:]))
    assert values("-", "rest.jsonl", stdin=b"".join(lines[:100])) == values(EXAMPLE)


def test_a_table_gives_what_the_rollouts_give() -> None:
    result = run("extract", EXAMPLE, "-o", "table.parquet", "--keep", "extracted_answer", "--keep", "difficulty")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-1] == "note: wrote table.parquet: 311 rollouts"
    for command in (
        "passk",
        "passk --answer-key extracted_answer",
        "subsets --by difficulty",
        "aggregate",
        "highest-k",
    ):
        forms = [output(*arguments(command, path), "--format", "json") for path in (EXAMPLE, "table.parquet")]
        assert forms[0] == forms[1]
    output("extract", EXAMPLE, "-o", "quiet.parquet", "--quiet")


def test_a_table_has_the_profile_that_the_rollouts_have() -> None:
    output("extract", EXAMPLE, "-o", "table.parquet")
    inputs = ["--inputs", "math_rollouts_materialized_inputs.jsonl"]
    told = [json.loads(output("profile", path, *inputs, "--format", "json")) for path in (EXAMPLE, "table.parquet")]
    assert told[0] == told[1]
    names = ("math_rollouts_reward_profiling.jsonl", "table_reward_profiling.jsonl")
    rows = [[json.loads(line) for line in Path(name).read_bytes().splitlines()] for name in names]
    assert rows[0] == rows[1]


def written_by(*args: str, stdin: bytes | None = None) -> tuple[list[str], list[str]]:
    """Return the files that a command made, and the paths that it reported."""
    before = {path for path in Path().rglob("*") if path.is_file()}
    result = run(*args, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    told = [line.removeprefix("note: wrote ") for line in result.stderr.splitlines() if "wrote" in line]
    return sorted(str(path) for path in Path().rglob("*") if path.is_file() and path not in before), told


BOTH = ["--write", "json", "--write", "csv"]


@pytest.mark.parametrize(
    ("args", "files"),
    [
        (["passk"], ["run-1.5_passk.csv", "run-1.5_passk.json"]),
        (["subsets", "--by", "difficulty"], ["run-1.5_subsets.csv", "run-1.5_subsets.json"]),
        (["highest-k"], ["run-1.5_highest_k.csv", "run-1.5_highest_k.json"]),
        (["profile"], ["run-1.5_agent_metrics.json", "run-1.5_profile.csv", "run-1.5_profile.json",
                       "run-1.5_repeat_level_metrics.json", "run-1.5_reward_profiling.jsonl"]),
        (["aggregate"], ["run-1.5_aggregate.csv", "run-1.5_aggregate.json", "run-1.5_aggregate_metrics.json"]),
    ],
    ids=lambda value: value[0],
)  # fmt: skip
@pytest.mark.parametrize("into", [None, "out/deep"])
def test_files_are_named_after_the_rollouts(args: list[str], files: list[str], into: str | None) -> None:
    Path("runs").mkdir()
    Path("runs/run-1.5.jsonl.gz").write_bytes(gzip.compress(Path(EXAMPLE).read_bytes()))
    options = ["--output-dir", into] if into else []
    found, told = written_by(args[0], "runs/run-1.5.jsonl.gz", *args[1:], *BOTH, *options)
    assert found == sorted(told) == [f"{into or 'runs'}/{name}" for name in files]
    for path in found:
        form = ["--format", path.rsplit(".", 1)[1]]
        if not path.endswith((".jsonl", "_metrics.json")):
            shown = output(args[0], "runs/run-1.5.jsonl.gz", *args[1:], *form)
            assert Path(path).read_text(encoding="utf-8") == shown


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("sources", [["-"], ["shards"], ["shards/a.jsonl", "shards/c.ndjson"]], ids=" ".join)
def test_several_sources_give_files_named_rollouts(sources: list[str]) -> None:
    data = Path(EXAMPLE).read_bytes()
    found, told = written_by("passk", *sources, "--write", "json", stdin=data)
    assert found == told == ["rollouts_passk.json"]
    found, _ = written_by("profile", *sources, "--output-dir", "out", stdin=data)
    files = ("agent_metrics.json", "repeat_level_metrics.json", "reward_profiling.jsonl")
    assert found == [f"out/rollouts_{name}" for name in files]


def test_a_form_that_is_asked_for_twice_is_written_once() -> None:
    assert written_by("passk", SMALL, "--write", "json", "--write", "json")[1] == ["small_passk.json"]


def test_written_files_have_the_usual_permissions() -> None:
    output("passk", SMALL, "--write", "json")
    assert Path("small_passk.json").stat().st_mode == Path(write_rows("new", [])).stat().st_mode


# --- notes ----------------------------------------------------------------------------------------------------------


SHORT = "a task with fewer than k rollouts does not count"


NOT_BINARY = (
    "accuracy: 1 of 4 rollouts (1 task) is neither 0 nor 1 (0 to 1): pass@k of such a task is the best of its first"
    " k; --score 'accuracy=reward>=1' makes a pass rate of it"
)


def notes(*args: str) -> list[str]:
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    assert all(line.startswith("note: ") for line in result.stderr.splitlines())
    return [line.removeprefix("note: ") for line in result.stderr.splitlines()]


def test_what_the_user_should_know_is_told() -> None:
    rows = [{**row, "task_id": row["_ng_task_index"], "trial": row["_ng_rollout_index"]} for row in small_rows()]
    for row in rows:
        del row["_ng_task_index"], row["_ng_rollout_index"]
    rows[0]["reward"], rows[1]["reward"] = None, "much"
    write_rows("told.jsonl", [*rows, "bad", {**rows[-1], "trial": 1, "mask_sample": True}])
    assert notes("passk", "told.jsonl", "--on-error", "skip") == [
        "no _ng_task_index: the task is taken from 'task_id' (--task-key names another field)",
        "no _ng_rollout_index: the rollout is taken from 'trial' (--rollout-key names another field)",
        "1 line skipped, the first told.jsonl:7:1: not JSON (expected a value): bad",
        "1 masked rollout is left out of the numbers",
        "accuracy: 2 of 6 rollouts have no value (1 null, 1 not a number)",
        NOT_BINARY,
        f"pass@k/accuracy is over fewer tasks as k grows (3 at k=1, 1 at k=2): {SHORT}",
    ]
    assert notes("passk", "told.jsonl", "--on-error", "skip", "--quiet") == []


def test_tasks_in_no_subset_are_told() -> None:
    write_rows(SMALL, [*small_rows(), {"_ng_task_index": "d", "_ng_rollout_index": 0, "reward": 1, "level": None}])
    assert "1 task has no 'level': no subset counts it" in notes("subsets", SMALL, "--by", "level")


def test_profile_tells_of_its_inputs() -> None:
    assert notes("profile", EXAMPLE)[0] == "inputs: math_rollouts_materialized_inputs.jsonl"
    assert (
        notes("profile", SMALL)[0] == "no inputs: the rollouts themselves say what was expected (--inputs names them)"
    )


# --- reading --------------------------------------------------------------------------------------------------------


def test_bad_lines_are_skipped_up_to_a_limit() -> None:
    write_rows("some.jsonl", ["bad", *small_rows(), "[]"])
    skip = ["--on-error", "skip"]
    assert values("some.jsonl", *skip) == values(SMALL)
    assert values("some.jsonl", *skip, "--max-errors", "2") == values(SMALL)
    status, told = error("passk", "some.jsonl", *skip, "--max-errors", "1")
    assert (status, told.splitlines()) == (
        1,
        [
            "Error: more than 1 bad line, the first some.jsonl:1:1: not JSON (expected a value): bad",
            "Hint: raise --max-errors, or fix the file",
        ],
    )


def test_duplicates_are_chosen_from() -> None:
    write_rows("twice.jsonl", [*small_rows(), {**small_rows()[0], "reward": 0.0}])
    found = {kind: values("twice.jsonl", "--duplicates", kind) for kind in ("first", "last", "keep")}
    assert found["first"] == values(SMALL)
    assert [round(told["pass@1/accuracy"], 2) for told in found.values()] == [38.89, 27.78, 33.33]


def test_masked_rollouts_count_nowhere_but_in_the_coverage() -> None:
    masked = {"_ng_task_index": "d", "_ng_rollout_index": 0, "reward": 1, "level": "easy", "mask_sample": True}
    write_rows("masked.jsonl", [*small_rows(), masked, {**masked, "_ng_task_index": "a", "_ng_rollout_index": 9}])
    coverage = {
        "coverage/measured_rollouts": 6,
        "coverage/masked_rollouts": 2,
        "coverage/measured_tasks": 3,
        "coverage/fully_masked_tasks": 1,
    }
    assert values("masked.jsonl") == values(SMALL) | coverage
    told = [json.loads(output("subsets", path, "--by", "level", "-f", "json")) for path in ("masked.jsonl", SMALL)]
    assert next(note["code"] for note in told[0].pop("notes")) == "masked"
    del told[1]["notes"]
    assert told[0] == told[1] | coverage
    csv_text = output("passk", "masked.jsonl", "-f", "csv")
    assert csv_text.endswith(
        ",,coverage,,masked_rollouts,,2,,,,,,\n,,coverage,,measured_tasks,,3,,,,,,\n"
        ",,coverage,,fully_masked_tasks,,1,,,,,,\n"
    )
    profile = json.loads(output("profile", "masked.jsonl", "-f", "json"))
    assert coverage.items() <= profile["agents"][0].items()
    assert profile["completion"]["completed_rollout_rows"] == 8
    assert profile["solved"]["undefined"] == 1


def test_agents_are_pooled_unless_one_is_named() -> None:
    assert values(EXAMPLE)["coverage"]["pass@1/accuracy"] == {"n_tasks": 40, "n_rollouts": 311}
    assert values(EXAMPLE, "--agent", "algebra_agent")["coverage"]["pass@1/accuracy"]["n_tasks"] == 20
    assert "algebra_agent/pass@1/accuracy" in json.loads(
        output("subsets", EXAMPLE, "--by", "agent_ref.name", "-f", "json")
    )


def test_every_line_may_be_a_task_in_the_inputs_too() -> None:
    write_rows("plain.jsonl", [{"reward": i} for i in range(3)])
    write_rows("plain_materialized_inputs.jsonl", [{"prompt": f"p{i}"} for i in range(3)])
    told = json.loads(output("profile", "plain.jsonl", "--task-key", "@line", "--format", "json"))
    assert told["completion"]["complete_input_rows"] == 3
    rows = [json.loads(line) for line in Path("plain_reward_profiling.jsonl").read_bytes().splitlines()]
    assert [(row["_ng_task_index"], row["sample"]["prompt"], row["mean/reward"]) for row in rows] == [
        (0, "p0", 0), (1, "p1", 1), (2, "p2", 2),
    ]  # fmt: skip


# --- the highest k --------------------------------------------------------------------------------------------------


def highest(source: str, *options: str) -> Any:
    """What highest-k gives as JSON, without the notes."""
    told = json.loads(output("highest-k", source, *options, "--format", "json"))
    told.pop("notes", None)
    return told


def test_highest_k_of_what_passk_wrote_is_that_of_the_rollouts() -> None:
    output("passk", EXAMPLE, "--answer-key", "extracted_answer", "--write", "json")
    assert highest("math_rollouts_passk.json") == highest(EXAMPLE, "--answer-key", "extracted_answer")
    assert "37" in output("highest-k", "math_rollouts_passk.json")


def test_highest_k_of_what_subsets_wrote() -> None:
    output("subsets", EXAMPLE, "--by", "difficulty", "--write", "json")
    assert highest("math_rollouts_subsets.json") == {"schema": 1}
    told = highest("math_rollouts_subsets.json", "--pattern", "hard/pass@{k}")
    assert list(told) == ["hard/pass@8/accuracy", "coverage", "uncertainty", "schema"]


def write_agents(*names: str) -> str:
    agents = [{"agent_ref": {"name": n}, "agent_metrics": {"pass@1/a": 1, "pass@2/a": i}} for i, n in enumerate(names)]
    Path("metrics.json").write_text(json.dumps(agents), encoding="utf-8")
    return "metrics.json"


def test_highest_k_of_aggregates() -> None:
    assert highest(write_agents("x")) == {"pass@2/a": 0, "schema": 1}
    path = write_agents("x", "y")
    assert highest(path) == {"schema": 1}
    told = highest(path, "--pattern", "x/pass@{k}", "--pattern", "y/pass@{k}")
    assert told == {"x/pass@2/a": 0, "y/pass@2/a": 1, "schema": 1}


FLAT = {"pass@2/a": 1, "pass@10/a": 2, "pass@10/b": 3, "pass@10/a/std_err_across_runs": 4, "majority@3/a": 5, "z": 6}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ([], ["pass@10/a", "pass@10/b", "majority@3/a"]),
        (["--pattern", "majority@{k}"], ["majority@3/a"]),
        (["--score-name", "a"], ["pass@10/a", "majority@3/a"]),
        (["--exclude-name", "a"], ["pass@10/b"]),
        (["--score-name", "a", "--score-name", "b", "--exclude-name", "a"], ["pass@10/b"]),
        (["--pattern", "z@{k}"], []),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("coverage", [None, 3, [], {"pass@10/a": 3, "pass@10/b": {"x": 1}}], ids=repr)
def test_highest_k_of_anyones_flat_object(options: list[str], keys: list[str], coverage: Any) -> None:
    Path("flat.json").write_text(json.dumps({**FLAT, "coverage": coverage}), encoding="utf-8")
    for form in ("table", "csv", "md"):
        assert all(key in output("highest-k", "flat.json", *options, "-f", form) for key in keys if form != "csv")
    assert highest("flat.json", *options) == {key: FLAT[key] for key in keys} | {"schema": 1}


def test_highest_k_without_a_match_is_told() -> None:
    Path("flat.json").write_text("{}", encoding="utf-8")
    result = run("highest-k", "flat.json", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)["notes"][0]["code"]) == (0, "no-key-matches")
    assert result.stderr == "note: no key matches pass@{k} or pass@1[avg-of-{k}] or majority@{k}\n"


# --- errors ---------------------------------------------------------------------------------------------------------

LINE_HINT = "fix or delete the line, or leave such lines out with --on-error skip"
FORM_HINT = "write NAME, NAME=FIELD, NAME=FIELD>=VALUE, or several comparisons joined by 'and'"
METRICS_HINT = "name a JSON object of metrics, or rollouts in a .jsonl file"
NOISE = bytes(range(128, 160)) * 4


@pytest.fixture
def bad_files(folder: Path) -> None:
    rows = small_rows()
    first = json.dumps(rows[0])
    files: dict[str, str | bytes] = {
        "cut.jsonl": f"{first}\n{first[:40]}",
        "cut_in_text.jsonl": f'{first}\n{{"answer": "forty-t',
        "nonsense.jsonl": f"{first}\nnonsense\n",
        "list.jsonl": f"{first}\n[1, 2]\n",
        "empty.jsonl": "",
        "noise.jsonl": NOISE,
        "twice.jsonl": f"{first}\n\n{first}\n",
        "one.jsonl": f"{first}\n",
        "metrics.json": "[1]",
        "broken.json": '{"a": 1,\n "b"}',
        "noise.json": NOISE,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "directory").mkdir()


DATA_ERRORS = {
    "passk cut.jsonl": ('cut.jsonl:2:41: the line is cut off: …a", "_ng_rollout_ind', LINE_HINT),
    "passk cut_in_text.jsonl": ('cut_in_text.jsonl:2:20: the line is cut off: {"answer": "forty-t', LINE_HINT),
    "passk nonsense.jsonl": ("nonsense.jsonl:2:1: not JSON (expected a value): nonsense", LINE_HINT),
    "passk list.jsonl": ("list.jsonl:2:1: expected an object, found a list: [1, 2]", LINE_HINT),
    "passk empty.jsonl": ("empty.jsonl: no rollouts", "check that this is the file that was meant"),
    "passk directory": ("directory: a directory without rollout files", "name a file, or a directory of them"),
    "passk missing.jsonl": ("missing.jsonl: no such file", "check the path; - reads standard input"),
    "passk none*.jsonl": (
        "none*.jsonl: no file matches",
        "check the pattern, and quote it if the shell expands it",
    ),
    "passk - -": ("standard input can be read only once", "name - once"),
    "passk noise.jsonl": ("noise.jsonl:1:1: not UTF-8 text: " + "\ufffd" * 48 + "…", LINE_HINT),
    "passk twice.jsonl": (
        "twice.jsonl:3: duplicate of twice.jsonl:1 (task a, rollout 0)",
        "keep one of them with --duplicates first or last, or both with --duplicates keep",
    ),
    "profile small.jsonl --inputs one.jsonl": (
        "small.jsonl: 5 rollouts have no matching materialized input: (a, 1), (a, 2), (b, 0), (b, 1), (c|d, 0)",
        "check that the inputs belong to these rollouts",
    ),
    "profile one.jsonl --inputs small.jsonl": (
        "small.jsonl: 5 of 6 inputs have no rollout: (a, 1), (a, 2), (b, 0), (b, 1), (c|d, 0)",
        "wait for the run to end, or profile what there is with --allow-partial",
    ),
    "profile small.jsonl --inputs twice.jsonl": (
        "twice.jsonl:3: duplicate materialized input of twice.jsonl:1 (task a, rollout 0)",
        "keep one row for each task and rollout in the inputs",
    ),
    "profile small.jsonl --inputs missing.jsonl": (
        "missing.jsonl: no such file",
        "check the path; - reads standard input",
    ),
    "passk small.jsonl --score rewardd": ("small.jsonl: no rollout has the field 'rewardd'", "did you mean reward?"),
    "passk small.jsonl --answer-key anser": ("small.jsonl: no rollout has the field 'anser'", "did you mean answer?"),
    "subsets small.jsonl --by zzz": (
        "small.jsonl: no rollout has the field 'zzz'",
        "the fields are _ng_task_index, _ng_rollout_index, reward, answer, level",
    ),
    "passk math_rollouts.jsonl --agent me": (
        "no rollout is of the agent 'me'",
        "the agents are algebra_agent, geometry_agent",
    ),
    "passk small.jsonl --k 4,1": (
        "k = 4 is beyond the longest task: task a has 3 rollouts",
        "choose a smaller k",
    ),
    "passk one.jsonl --task-key missing": ("one.jsonl:1: no task index", "name its field with --task-key"),
    "highest-k metrics.json": ("metrics.json: neither an object of metrics nor an array of agents", METRICS_HINT),
    "highest-k broken.json": ("broken.json:2:5: not JSON (expected ':')", METRICS_HINT),
    "highest-k noise.json": ("noise.json: not UTF-8 text", METRICS_HINT),
    "highest-k missing.json": ("missing.json: No such file or directory", "check the path"),
    "aggregate small.jsonl --hooks nowhere:Class": (
        "hooks: there is no module 'nowhere'",
        "run where the module is, or install it",
    ),
}
USAGE_ERRORS = {
    "passk small.jsonl --k 0": ("--k '0' is not a list of whole numbers from 1 on", "for example: --k 1,2,4,8"),
    "passk small.jsonl --k 1,x": ("--k '1,x' is not a list of whole numbers from 1 on", "for example: --k 1,2,4,8"),
    "passk small.jsonl --score reward>=1": (
        "the score 'reward>=1' has no name",
        "give it one, for example --score 'solved=reward>=1'",
    ),
    "passk small.jsonl --score a=reward>=x": (
        "the score 'a=reward>=x' compares with 'x', which is not a number",
        FORM_HINT,
    ),
    "passk small.jsonl --score a=": ("the score 'a=' is incomplete", FORM_HINT),
    "passk small.jsonl --score a=b=c": ("the score 'a=b=c' cannot be read", FORM_HINT),
    "passk small.jsonl --score a=reward --score a=x": (
        "two scores are named 'a'",
        "give each --score a name of its own",
    ),
    "highest-k small.jsonl --pattern pass@8": (
        "the pattern 'pass@8' must have {k} in it once, as in pass@1[avg-of-{k}]",
        "leave the number open",
    ),
    "highest-k small.jsonl a.json": ("a metrics file is read alone", "name one .json file, or rollouts"),
    "extract small.jsonl -o table.csv": (
        "the table 'table.csv' must be a local file .parquet",
        "for example: -o shard-07.parquet",
    ),
    "aggregate small.jsonl --hooks nocolon": (
        "the hooks 'nocolon' are not module:Class",
        "for example: --hooks my_environment:MyMetrics",
    ),
}


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(
    ("status", "command", "message", "hint"),
    [(1, command, *told) for command, told in DATA_ERRORS.items()]
    + [(2, command, *told) for command, told in USAGE_ERRORS.items()],
    ids=[*DATA_ERRORS, *USAGE_ERRORS],
)
def test_errors_say_what_is_wrong_and_what_to_do(status: int, command: str, message: str, hint: str) -> None:
    before = sorted(Path().iterdir())
    assert error(*command.split()) == (status, f"Error: {message}\nHint: {hint}\n")
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    "args",
    [
        [], ["nothing"], ["passk"], ["passk", SMALL, "--format", "yaml"], ["passk", SMALL, "--jobs", "0"],
        ["passk", SMALL, "--max-errors", "-1"], ["passk", SMALL, "--duplicates", "some"], ["subsets", SMALL],
        ["passk", SMALL, "--nothing"], ["extract", SMALL],
    ],
    ids=" ".join,
)  # fmt: skip
def test_bad_usage_is_told_by_status_2(args: list[str]) -> None:
    assert run(*args).exit_code == 2


def test_partial_profiles_are_made_if_allowed() -> None:
    write_rows("one.jsonl", small_rows()[:1])
    told = json.loads(output("profile", "one.jsonl", "--inputs", SMALL, "--allow-partial", "--format", "json"))
    assert told["completion"] == {
        "expected_rollout_rows": 6,
        "completed_rollout_rows": 1,
        "missing_rollout_rows": 5,
        "extra_rollout_rows": 0,
        "reward_profile_completion_pct": pytest.approx(100 / 6),
        "total_input_rows": 3,
        "complete_input_rows": 0,
        "partial_input_rows": 1,
        "missing_input_rows": 2,
    }
    assert len(Path("one_reward_profiling.jsonl").read_bytes().splitlines()) == 1


def test_version() -> None:
    assert output("--version") == f"rewardcli {rewardcli.__version__}\n"


@pytest.mark.parametrize("command", ["", *NAMES])
def test_help_tells_every_option(command: str) -> None:
    text = output(*command.split(), "--help")
    assert text == output(*command.split(), "-h")
    assert "Usage: " in text


# --- processes ------------------------------------------------------------------------------------------------------


def process(*args: str, stdin: bytes = b"", **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *args], input=stdin, capture_output=True, check=False, **settings)


def many_tasks(count: int) -> str:
    rows = ({"_ng_task_index": i, "_ng_rollout_index": 0, "reward": i % 2, "name": f"n{i}"} for i in range(count))
    return write_rows("many.jsonl", list(rows))


def test_the_program_and_the_module_are_one() -> None:
    script = Path(sys.executable).with_name("rewardcli")
    found = [subprocess.run([*p, "--version"], capture_output=True, check=True).stdout for p in (PROGRAM, [script])]
    assert found[0] == found[1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error(unbuffered: str) -> None:
    # Far more than a pipe holds, so that writing fails midway.
    command = " ".join([*PROGRAM, "subsets", many_tasks(1500), "--by", "name", "--format", "csv", "--quiet"])
    script = f"set -o pipefail; {command} | head -1; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    finished = subprocess.run(["bash", "-c", script], capture_output=True, check=False, env=environment)
    assert finished.stdout == b"agent,subset,metric,k,score,stat,value,n_tasks,n_rollouts,se,lower,upper,se_again\n"
    assert (finished.returncode, finished.stderr) == (141, b"")


@pytest.mark.parametrize("args", ["--help", "passk --help", "--version", f"passk {SMALL} -q"])
def test_a_reader_that_was_never_there_is_no_error(args: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        finished = subprocess.run([*PROGRAM, *args.split()], stdout=write_end, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write_end)
    assert (finished.returncode, finished.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", ["--version", f"passk {SMALL} -q", f"passk {SMALL} -q -f json"])
def test_an_output_that_is_full_is_told(args: str) -> None:
    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run([*PROGRAM, *args.split()], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (finished.returncode, finished.stderr) == (1, b"Error: output: No space left on device\n")


@pytest.mark.parametrize(("closed", "shown"), [("<&-", b"pass@k"), (">&-", b""), ("2>&-", b"pass@k")])
def test_closed_streams_do_not_matter(closed: str, shown: bytes) -> None:
    command = " ".join([*PROGRAM, "passk", SMALL, closed])
    finished = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (finished.returncode, finished.stdout[:6]) == (0, shown)
    assert b"Traceback" not in finished.stderr


@pytest.fixture
def reading() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, in its own group, that is in the middle of reading a named pipe."""
    os.mkfifo("pipe.jsonl")
    command = [*PROGRAM, "profile", "pipe.jsonl", "--output-dir", "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        with Path("pipe.jsonl").open("wb", buffering=0) as pipe:  # opens when the other end does
            pipe.write((json.dumps(small_rows()[0]) + "\n").encode())
            time.sleep(0.2)
            yield running
        running.kill()


def test_ctrl_c_ends_with_130_and_writes_nothing(reading: subprocess.Popen[bytes]) -> None:
    os.killpg(reading.pid, signal.SIGINT)
    shown, told = reading.communicate(timeout=20)
    assert (reading.returncode, shown) == (130, b"")
    assert told.splitlines()[-1] == b"interrupted"
    assert not Path("out").exists()


def test_a_named_pipe_is_read_like_standard_input() -> None:
    os.mkfifo("pipe.jsonl")
    data = Path(EXAMPLE).read_bytes()
    with subprocess.Popen([*PROGRAM, "passk", "pipe.jsonl", "-f", "json"], stdout=subprocess.PIPE) as running:
        Path("pipe.jsonl").write_bytes(gzip.compress(data))
        shown, _ = running.communicate(timeout=20)
    told = json.loads(shown)
    del told["notes"]
    assert told == values(EXAMPLE)


@pytest.mark.parametrize("packed", [None, gzip.compress], ids=["plain", "gzip"])
def test_a_profile_is_the_same_for_any_number_of_jobs(
    packed: Callable[[bytes], bytes] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = Path("math_rollouts_materialized_inputs.jsonl")
    rows = inputs.read_bytes().splitlines(keepends=True)
    inputs.write_bytes(b"".join([*rows[::-1][:120], *rows[:-120]]))  # a task's first input is the last one in the file
    if packed:
        Path(f"{inputs}.gz").write_bytes(packed(inputs.read_bytes()))
        inputs.unlink()
    monkeypatch.setattr(profile_files, "TASKS_AT_ONCE", 3)
    monkeypatch.setattr(profile_files, "SMALLEST_SHARED", 0)
    for jobs in (1, 4):
        assert f"inputs: {inputs}" in notes("profile", EXAMPLE, "--jobs", str(jobs), "--output-dir", f"jobs{jobs}")[0]
    endings = ("reward_profiling.jsonl", "agent_metrics.json", "repeat_level_metrics.json")
    for name in (f"math_rollouts_{ending}" for ending in endings):
        assert Path("jobs1", name).read_bytes() == Path("jobs4", name).read_bytes()
    answers = {}
    for line in Path("jobs4/math_rollouts_reward_profiling.jsonl").read_text(encoding="utf-8").splitlines():
        answers[json.loads(line)["_ng_task_index"]] = json.loads(line)["sample"]["expected_answer"]
    given = [json.loads(line) for line in (EXAMPLES / inputs).read_text(encoding="utf-8").splitlines()]
    assert answers == {row["_ng_task_index"]: row["expected_answer"] for row in given}


def test_a_table_is_the_same_for_any_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SMALLEST_SHARED", 0)
    monkeypatch.setattr(parts, "SMALLEST_PART", 10_000)
    for jobs in ("1", "3"):
        run("extract", EXAMPLE, "-o", f"jobs{jobs}.parquet", "--jobs", jobs)
    assert Path("jobs1.parquet").read_bytes() == Path("jobs3.parquet").read_bytes()


def test_inputs_cannot_come_through_a_pipe() -> None:
    finished = process("profile", SMALL, "--inputs", "-", "-q", stdin=Path(SMALL).read_bytes())
    assert (finished.returncode, finished.stdout) == (1, b"")
    assert finished.stderr == (
        b"Error: <stdin>: is read twice, which a pipe cannot be\nHint: save it to a file, and name that\n"
    )


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


@pytest.mark.parametrize(
    "args",
    [["profile", EXAMPLE], ["passk", EXAMPLE, "--write", "csv", "--write", "json"], ["aggregate", EXAMPLE],
     ["extract", EXAMPLE, "-o", "table.parquet"]],
    ids=lambda args: args[0],
)  # fmt: skip
def test_a_full_disk_leaves_the_old_output_whole_and_nothing_else(args: list[str]) -> None:
    run(*args)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    finished = process(*args, "-q", preexec_fn=limit_files)
    assert (finished.returncode, finished.stdout) == (1, b"")
    assert re.fullmatch(
        rb"Error: \S+: cannot be written: File too large\n"
        rb"Hint: nothing was changed; free space or name another place for the output\n",
        finished.stderr,
    )
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_a_folder_that_cannot_be_made_is_told() -> None:
    for command in (["profile"], ["passk", "--write", "json"], ["aggregate"]):
        status, told = error(*command, "missing.jsonl", "--output-dir", f"{SMALL}/deep")  # before anything is read
        assert (status, told.splitlines()[0]) == (1, f"Error: {SMALL}/deep: cannot be written into: Not a directory")


def test_a_score_that_no_rollout_has_is_an_error() -> None:
    write_rows("text.jsonl", [{**row, "reward": str(row["reward"])} for row in small_rows()])
    for command in (["passk"], ["subsets", "--by", "level"], ["highest-k"]):
        status, told = error(*command, "text.jsonl")
        assert (status, told.splitlines()) == (
            1,
            [
                "Error: text.jsonl: no rollout has a number in the field 'reward' (6 not a number)",
                "Hint: name a field of numbers or booleans with --score NAME=FIELD",
            ],
        )


def test_an_address_without_ray_is_a_usage_error() -> None:
    status, told = error("passk", SMALL, "--ray-address", "127.0.0.1:6379")
    assert (status, told.splitlines()[0]) == (2, "Error: --ray-address joins a cluster only with --engine ray")


@pytest.mark.parametrize("text", ['[{"a": 1}]\n', '[\n{"a": 1}\n]\n'])
def test_a_json_array_is_told_from_rows(text: str) -> None:
    Path("array.jsonl").write_text(text, encoding="utf-8")
    status, told = error("passk", "array.jsonl")
    assert status == 1
    assert told.splitlines()[1] == "Hint: if the file is one JSON array, jq -c '.[]' makes rows of it"


def test_every_key_that_is_printed_is_read_back() -> None:
    commands = [f"subsets {EXAMPLE} --by difficulty", f"passk {EXAMPLE} --metric all --answer-key extracted_answer"]
    for row in (row for command in commands for row in csv_of(command) if row["metric"] != "per_sample_aggregate"):
        key = Key.parse(key_of(row))
        assert (key.metric, str(key.k), key.score) == (row["metric"], row["k"], row["score"])
        assert (key.stat, key.subset, key.text) == (row["stat"], row["subset"], key_of(row))


def test_groupings_are_made_in_turn_from_one_reading() -> None:
    both = json.loads(output("subsets", EXAMPLE, "--by", "difficulty", "--by", "agent_ref.name", "-f", "json"))
    for field in ("difficulty", "agent_ref.name"):
        alone = json.loads(output("subsets", EXAMPLE, "--by", field, "-f", "json"))
        assert {key for key in alone if "@" in key} == {
            key.removeprefix(f"{field}=") for key in both if key.startswith(f"{field}=")
        }
        assert all(both[f"{field}={key}"] == value for key, value in alone.items() if "@" in key)


@pytest.mark.parametrize("option", ["--answer-key", "--agent", "--k"])
def test_an_option_that_could_be_meant_as_a_list_is_given_once(option: str) -> None:
    status, told = error("passk", SMALL, option, "1", option, "2")
    assert (status, told.splitlines()[0]) == (2, f"Error: {option} is given 2 times")


def test_of_other_options_the_last_one_wins() -> None:
    assert output("passk", SMALL, "--format", "csv", "--format", "json").startswith("{")


def test_an_unknown_metric_is_a_usage_error() -> None:
    status, told = error("passk", SMALL, "--metric", "pass@8")
    assert (status, told.splitlines()[0]) == (2, "Error: there is no metric 'pass@8'")


def test_markdown_is_written_too() -> None:
    shown = output("passk", SMALL, "--format", "md", "--write", "md")
    assert Path("small_passk.md").read_text(encoding="utf-8") == shown
