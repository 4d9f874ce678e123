"""The hooks of examples/hooks.py say the same through the command, the endpoint and Python."""

import asyncio
import json
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
