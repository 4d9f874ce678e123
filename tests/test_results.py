import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rewardcli
from rewardcli import UsageError
from rewardcli.metrics import REGISTRY
from rewardcli.output import FORMATS
from rewardcli.output.table import tabulate
from rewardcli.results import (
    Key,
    Record,
    Result,
    Row,
    View,
    flat_metrics,
    match_pattern,
    metrics_json,
    pattern_of,
    pivot,
)

# --- keys -----------------------------------------------------------------------------------------------------------

NAMES = sorted({metric.name for metric in REGISTRY})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pass@8/accuracy", Key("pass@k", 8, "accuracy")),
        ("pass@1[avg-of-8]/accuracy", Key("pass@1[avg-of-k]", 8, "accuracy")),
        (
            "easy/pass@1[avg-of-8]/a/std_err_across_runs",
            Key("pass@1[avg-of-k]", 8, "a", "std_err_across_runs", "easy"),
        ),
        ("majority@16/no_answer", Key("majority@k", 16, "no_answer")),
        ("pass^4/accuracy", Key("pass^k", 4, "accuracy")),
        ("level=hard/pass^4/accuracy", Key("pass^k", 4, "accuracy", subset="level=hard")),
        ("a/b/pass@2/c/d", Key("pass@k", 2, "c/d", subset="a/b")),
        ("per_sample_aggregate/accuracy", Key("per_sample_aggregate", score="accuracy")),
        ("mean/reward", Key("mean", score="reward")),
        ("std/a/b", Key("std", score="a/b")),
        ("coverage/masked_rollouts", Key("coverage", score="masked_rollouts")),
        ("anything else", Key("anything else")),
    ],
)
def test_a_key_is_split_into_its_parts_and_joined_again(text: str, parts: Key) -> None:
    assert Key.parse(text) == parts
    assert parts.text == text


@given(
    metric=st.sampled_from(
        [metric for metric in REGISTRY if "k" in pattern_of(metric.name) and "{k}" in pattern_of(metric.name)]
    ),
    k=st.integers(1, 10**6),
    score=st.text(st.characters(exclude_characters="/"), min_size=1),
    subset=st.text(st.characters(exclude_characters="/@^"), min_size=0),
)
def test_every_key_of_the_registry_comes_back(
    metric: rewardcli.metrics.Metric, k: int, score: str, subset: str
) -> None:
    key = Key(metric.name.replace("τ", "0.5"), k, score, metric.stat, subset)
    assert Key.parse(key.text) == key


@given(text=st.text() | st.from_regex(r"([a-z0-9=]{0,3}/)?(g-)?pass[@^][0-9]{1,3}(\[[a-z0-9.-]{1,9}\])?/[a-z/]{1,9}"))
def test_any_text_comes_back(text: str) -> None:
    assert Key.parse(text).text == text


@pytest.mark.parametrize("name", [name for name in NAMES if "{k}" in pattern_of(name)])
def test_a_pattern_finds_the_keys_of_its_metric(name: str) -> None:
    key = Key(name.replace("τ", "0.5"), 12, "accuracy")
    match = match_pattern(pattern_of(key.metric)).fullmatch(key.text)
    assert match
    assert (match[1], match[2]) == ("12", "accuracy")


@pytest.mark.parametrize("pattern", ["pass@8", "{k}@{k}"])
def test_a_pattern_has_one_place_for_k(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"must have \{k\} in it once"):
        match_pattern(pattern)


# --- records --------------------------------------------------------------------------------------------------------

RECORDS = [
    Record(Key("pass@k", 1, "a"), 50.0, 2, 4),
    Record(Key("pass@k", 2, "a"), 75.0, 1, 3),
    Record(Key("per_sample_aggregate", 1, "a"), 40.0, 2, 2),
    Record(Key("per_sample_aggregate", 2, "a"), 60.0, 1, 1),
    Record(Key("coverage", score="masked_rollouts"), 3),
]


def test_flat_metrics_have_nemo_gyms_keys() -> None:
    assert flat_metrics(RECORDS) == {
        "pass@1/a": 50.0,
        "pass@2/a": 75.0,
        "per_sample_aggregate": {"a": [40.0, 60.0]},
        "coverage/masked_rollouts": 3,
    }


def test_the_json_says_what_stands_behind_every_value() -> None:
    assert metrics_json(RECORDS)["coverage"] == {
        "pass@1/a": {"n_tasks": 2, "n_rollouts": 4},
        "pass@2/a": {"n_tasks": 1, "n_rollouts": 3},
        "per_sample_aggregate/a": [{"n_tasks": 2, "n_rollouts": 2}, {"n_tasks": 1, "n_rollouts": 1}],
    }


def test_an_object_has_a_schema_and_another_tools_array_has_none() -> None:
    assert Result("x", RECORDS, list).json()["schema"] == 1
    assert Result("x", RECORDS, list, lambda: [{"a": 1}]).json() == [{"a": 1}]


# --- tables ---------------------------------------------------------------------------------------------------------


def test_a_count_stands_beside_a_value_that_is_not_over_all_tasks() -> None:
    view = pivot(RECORDS[:2], {"score": "score", "k": "k"}, {"pass@k": ("pass@k", "")}, "title", {"": 2})
    table = tabulate(view)
    assert table.headings == ["score", "k", "pass@k", "tasks"]
    assert table.rows == [["a", "1", "50.00", ""], ["a", "2", "75.00", "1"]]
    assert table.right == [False, True, True, True]


def test_there_is_no_column_of_counts_where_every_value_is_over_all_tasks() -> None:
    view = pivot(RECORDS[:1], {"score": "score"}, {"pass@k": ("pass@k", "")}, "title", {"": 2})
    assert tabulate(view).headings == ["score", "pass@k"]


def test_a_missing_cell_is_a_dash_and_a_bar_is_drawn_to_scale() -> None:
    view = View("", ("bin",), ("tasks",), [Row(("low",), (None,), bar=0.0), Row(("high",), (RECORDS[0],), bar=0.5)])
    assert tabulate(view).rows == [["low", "", "–", ""], ["high", "█" * 16, "50.00", "2"]]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_every_record(name: str) -> None:
    view = pivot(RECORDS, {"key": "text", "k": "k"}, {"value": None}, "title")
    text = FORMATS[name].text(Result("x", RECORDS, lambda: [view]))
    for number in ("50", "75", "40", "60", "3"):
        assert number in text
    assert text.endswith("\n")


# --- the recipe: a metric is one function and one row ---------------------------------------------------------------

NEW_METRIC = '''

def worst_of_first_k(block: Block) -> TaskValues:
    """The worst of the first k."""
    return TaskValues(np.fmin.accumulate(block.scores, axis=1), block.seen)


METRICS = (*METRICS, Metric("worst@k", "the worst of the first k", "min", "this test", of_block=worst_of_first_k))
'''


def test_a_new_metric_is_one_change_to_one_file(tmp_path: Path) -> None:
    package = Path(rewardcli.__file__).parent
    shutil.copytree(package, tmp_path / "rewardcli", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "rewardcli" / "metrics" / "passing.py").open("a", encoding="utf-8") as file:
        file.write(NEW_METRIC)
    rows = [
        {"_ng_task_index": 0, "_ng_rollout_index": i, "reward": reward, "set": "s"} for i, reward in enumerate((1, 0))
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def run(*args: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "100"}
        program = [sys.executable, "-m", "rewardcli", *args]
        return subprocess.run(program, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    asked = ("r.jsonl", "--metric", "worst@k")
    assert json.loads(run("passk", *asked, "--format", "json"))["worst@2/accuracy"] == 0.0
    assert "worst@k" in run("passk", *asked)
    assert "| worst@k |" in run("passk", *asked, "--format", "md").replace(" --- ", "")
    assert ",,worst@k,2,accuracy,,0.0,1,2,,,," in run("passk", *asked, "--format", "csv").splitlines()
    assert json.loads(run("subsets", *asked, "--by", "set", "--format", "json"))["s/worst@1/accuracy"] == 100.0
    assert "worst@2/accuracy" in run("highest-k", *asked)
    assert json.loads(run("highest-k", *asked, "--pattern", "worst@{k}", "--format", "json"))["worst@2/accuracy"] == 0.0
    assert "worst@k" in run("passk", *asked, "--metric", "all")
