"""The hooks of examples/hooks.py say the same through the command, the endpoint and Python."""

import asyncio
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rewardcli import AggregateMetricsMixin, AggregateMetricsRequest, compute_aggregate_metrics
from rewardcli.server import create_app

ROOT = Path(__file__).parent.parent
NAMES = ["MathMetrics", "JudgedMetrics", "TaskMetrics", "CostMetrics"]

Rollout = dict[str, Any]


@pytest.fixture
def hooks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AggregateMetricsMixin:
    monkeypatch.syspath_prepend(ROOT)
    mixin: AggregateMetricsMixin = getattr(import_module("examples.hooks"), request.param)()
    return mixin


def example_rollouts() -> list[Rollout]:
    """The example data with a rule's and a judge's scores, absent where neither was asked, and two masked rows."""
    rollouts = [json.loads(line) for line in (ROOT / "examples/math_rollouts.jsonl").read_bytes().splitlines()]
    for rollout in rollouts:
        if rollout["extracted_answer"] is not None:
            rollout["symbolic_correct"] = rollout["reward"] == 1
            if not rollout["symbolic_correct"]:
                rollout["judge_correct"] = float(rollout["format_score"] > 0.9)
    for rollout in rollouts[1], rollouts[-2]:
        rollout["mask_sample"] = True
    return rollouts


def as_sent(rollout: Rollout) -> Rollout:
    return {**rollout, "response": {"usage": rollout["response"]["usage"]}}


@pytest.mark.parametrize(("name", "hooks"), [(name, name) for name in NAMES], indirect=["hooks"], ids=NAMES)
def test_command_endpoint_and_python_agree(name: str, hooks: AggregateMetricsMixin, tmp_path: Path) -> None:
    rollouts = example_rollouts()[::-1]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(f"{json.dumps(rollout)}\n" for rollout in rollouts))
    command = [sys.executable, "-m", "rewardcli", "aggregate", str(path), "--hooks", f"examples.hooks:{name}"]
    printed = subprocess.run([*command, "--quiet", "--format", "json"], cwd=ROOT, capture_output=True, check=True)
    entries = json.loads((tmp_path / "run_aggregate_metrics.json").read_bytes())

    assert json.loads(printed.stdout) == entries
    assert [entry["agent_ref"]["name"] for entry in entries] == ["algebra_agent", "geometry_agent"]
    with TestClient(create_app(hooks)) as client:
        for entry in entries:
            agent = entry.pop("agent_ref")
            sent = [as_sent(rollout) for rollout in rollouts if rollout["agent_ref"] == agent]
            computed = compute_aggregate_metrics(
                sent, hooks.compute_metrics, hooks.get_key_metrics, hooks.compute_repeat_metrics
            )
            answered = asyncio.run(hooks.aggregate_metrics(AggregateMetricsRequest(verify_responses=sent)))
            posted = client.post("/aggregate_metrics", json={"verify_responses": sent})
            assert computed.model_dump() == answered.model_dump() == posted.json() == entry


# --- where hooks come from ------------------------------------------------------------------------------------------


def aggregated(folder: Path, hooks: str, **variables: str) -> tuple[int, str, str]:
    (folder / "run.jsonl").write_text(json.dumps({"_ng_task_index": 0, "_ng_rollout_index": 0, "reward": 1}))
    script = Path(sys.executable).parent / "rewardcli"
    done = subprocess.run(
        [script, "aggregate", "run.jsonl", "--hooks", hooks, "--quiet", "--format", "csv"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


PRINTING = """
import sys
import helper
from rewardcli import AggregateMetricsMixin

print("loading")

class Printing(AggregateMetricsMixin):
    def compute_metrics(self, tasks):
        print("computing")
        sys.stdout.write("more")
        return {"who": helper.NUMBER}

class Failing(AggregateMetricsMixin):
    def __init__(self):
        raise ValueError("no judge")
"""


def test_what_a_hook_prints_goes_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PRINTING)
    (tmp_path / "helper.py").write_text("NUMBER = 7")
    status, shown, errors = aggregated(tmp_path, "mine:Printing")
    assert status == 0
    assert shown.startswith("agent,subset,metric,")
    assert "agent,,who,,,,7," in shown
    assert errors == "loading\ncomputing\nmore"


def test_other_files_of_the_folder_replace_no_installed_module(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "theirs.py").write_text(PRINTING.replace("import helper", "import helper, orjson"))
    (tmp_path / "helper.py").write_text("NUMBER = 1")
    (installed / "helper.py").write_text("NUMBER = 2")
    (tmp_path / "orjson.py").write_text("raise SystemExit('not this one')")
    status, shown, _ = aggregated(tmp_path, "theirs:Printing", PYTHONPATH=str(installed))
    assert (status, "agent,,who,,,,2," in shown) == (0, True)


def test_the_module_itself_is_that_of_the_folder(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    (installed / "package").mkdir(parents=True)
    (installed / "package/__init__.py").write_text("")
    (tmp_path / "package").mkdir()  # without __init__.py, as examples/ is
    (tmp_path / "package/mine.py").write_text(PRINTING)
    (tmp_path / "helper.py").write_text("NUMBER = 1")
    status, shown, _ = aggregated(tmp_path, "package.mine:Printing", PYTHONPATH=str(installed))
    assert (status, "agent,,who,,,,1," in shown) == (0, True)


@pytest.mark.parametrize(
    ("source", "hooks", "message"),
    [
        ("import nowhere", "mine:Any", "there is no module 'nowhere'"),
        ("1 +", "mine:Any", "mine cannot be loaded: SyntaxError"),
        ("1 / 0", "mine:Any", "mine cannot be loaded: ZeroDivisionError: division by zero"),
        (PRINTING.replace("import helper", ""), "mine:Failing", "mine:Failing cannot be loaded: ValueError: no judge"),
    ],
)
def test_hooks_that_do_not_load(tmp_path: Path, source: str, hooks: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    status, shown, errors = aggregated(tmp_path, hooks)
    assert (status, shown) == (1, "")
    assert f"Error: hooks: {message}" in errors
    assert "Traceback" not in errors


# --- what each class says -------------------------------------------------------------------------------------------


def rollout(task: int, index: int, reward: float, **fields: Any) -> Rollout:
    return {"_ng_task_index": task, "_ng_rollout_index": index, "reward": reward, **fields}


@pytest.mark.parametrize("hooks", ["MathMetrics"], indirect=True)
def test_math_metrics(hooks: AggregateMetricsMixin) -> None:
    responses = [
        rollout(0, 0, 1.0, extracted_answer="4", difficulty="easy", response={"usage": {"output_tokens": 10}}),
        rollout(0, 1, 0.0, extracted_answer="5", difficulty="easy", response={"usage": {"output_tokens": 30}}),
        rollout(1, 0, 0.0, extracted_answer=None, difficulty="hard"),
        rollout(1, 1, 1.0, extracted_answer="7", difficulty="hard"),
    ]
    answer = compute_aggregate_metrics(responses, hooks.compute_metrics, hooks.get_key_metrics)
    # The votes of task 0 are tied, so half of it counts; of task 1 the one answer given is right.
    assert answer.key_metrics == {
        "mean/output_tokens": 20.0,
        "pass@1[avg-of-2]/accuracy": 50.0,
        "pass@2/accuracy": 100.0,
        "majority@2/accuracy": 75.0,
    }
    assert answer.agent_metrics["easy/majority@2/accuracy"] == 50.0
    assert answer.agent_metrics["hard/pass@1/no_answer"] == 50.0
    assert answer.agent_metrics["pass@1[avg-of-2]/accuracy/avg_sample_std_dev"] == pytest.approx(0.5**0.5)
    assert "easy/per_sample_aggregate" not in answer.agent_metrics


@pytest.mark.parametrize("hooks", ["JudgedMetrics"], indirect=True)
def test_judged_metrics(hooks: AggregateMetricsMixin) -> None:
    responses = [
        rollout(0, 0, 1.0, symbolic_correct=True),
        rollout(0, 1, 1.0, symbolic_correct=False, judge_correct=1.0),
        rollout(1, 0, 0.0),
        rollout(1, 1, 0.0, symbolic_correct=False, judge_correct=0.0),
    ]
    answer = compute_aggregate_metrics(responses, hooks.compute_metrics, hooks.get_key_metrics)
    assert answer.key_metrics == {
        "pass@1[avg-of-2]/accuracy": 50.0,
        "pass@1[avg-of-2]/judge_accuracy": 50.0,
        "pass@1[avg-of-2]/symbolic_accuracy": 25.0,
        "judge_asked_pct": 50.0,
    }
    # Only task 0 has two scores of the rule, and no task has two of the judge.
    assert answer.agent_metrics["pass@2/symbolic_accuracy"] == 100.0
    assert "pass@2/judge_accuracy" not in answer.agent_metrics


@pytest.mark.parametrize("hooks", ["TaskMetrics"], indirect=True)
def test_task_metrics(hooks: AggregateMetricsMixin) -> None:
    responses = [
        rollout(7, 0, 1.0, extracted_answer="4"),
        rollout(7, 1, 0.0, extracted_answer="5"),
        rollout(7, 2, 1.0, extracted_answer="4"),
        rollout(2, 0, 0.0, extracted_answer=None),
    ]
    answer = compute_aggregate_metrics(responses, hooks.compute_metrics, hooks.get_key_metrics)
    rows = [(row["_ng_task_index"], row["solved"], row["agreement"]) for row in answer.group_level_metrics]
    assert rows == [(2, False, None), (7, True, pytest.approx(2 / 3))]
    assert answer.key_metrics == {
        "mean/reward": 0.5,
        "solved_tasks": 1,
        "unsolved_tasks": 1,
        "mean_agreement": pytest.approx(2 / 3),
    }
    assert "per_task_metrics" not in answer.agent_metrics
