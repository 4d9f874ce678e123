"""Repeats, their spread, and what else NeMo Gym 0.7 added (docs/nemo-gym.md says which version has what)."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rewardcli import (
    AggregateMetrics,
    AggregateMetricsMixin,
    RewardProfileConfig,
    RewardProfiler,
    compute_aggregate_metrics,
    reward_profile,
)
from rewardcli.cli import app
from rewardcli.metrics import describe
from rewardcli.metrics.student import t_975
from rewardcli.server import create_app

Rollout = dict[str, Any]
NAN = float("nan")


def row(task: Any, index: Any, **fields: Any) -> Rollout:
    return {"_ng_task_index": task, "_ng_rollout_index": index, **fields}


def by_agent(name: str) -> Rollout:
    return {"agent_ref": {"name": name}}


def inputs_of(rollouts: list[Rollout]) -> list[Rollout]:
    names = ("_ng_task_index", "_ng_rollout_index", "agent_ref", "_ng_environment_server")
    return [{name: rollout[name] for name in names if name in rollout} for rollout in rollouts]


def repeats_of(rollouts: list[Rollout]) -> list[dict[str, Any]]:
    return RewardProfiler().repeat_level_metrics(inputs_of(rollouts), rollouts)


def agents_of(rollouts: list[Rollout]) -> list[dict[str, Any]]:
    return RewardProfiler().profile_from_data(inputs_of(rollouts), rollouts)[1]


def across(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if "_across_repeats/" in key}


def write_jsonl(path: Path, rows: list[Rollout]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def run(*args: str) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == 0, result.output
    return result.output


# --- numbers --------------------------------------------------------------------------------------------------------

# Of scipy 1.17.
QUANTILES = {
    1: 12.706204736174694, 2: 4.302652729749462, 3: 3.1824463052837078, 4: 2.7764451051977934, 7: 2.364624251592784,
    29: 2.045229642132703, 30: 2.0422724563012378, 100: 1.9839715185235518, 999: 1.9623414611334493,
    1000: 1.9623390808264083, 1001: 1.9623367052808798, 10**6: 1.959966356814107,
}  # fmt: skip


def test_quantiles_of_t() -> None:
    assert t_975(np.array(list(QUANTILES))).tolist() == pytest.approx(list(QUANTILES.values()), rel=1e-12)
    assert t_975(np.array([4, 1, 4])).tolist() == t_975(np.array([4, 1, 4, 10**6]))[:3].tolist()
    assert t_975(np.empty(0, np.int64)).tolist() == []


NUMBERS = st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.0, NAN]))


@given(st.lists(st.lists(NUMBERS, max_size=9), min_size=1, max_size=9))
def test_quartiles_are_those_of_numpy(groups: list[list[float]]) -> None:
    starts = np.cumsum([0, *map(len, groups)])
    described = describe(np.array([value for group in groups for value in group]), starts, quartiles=True)
    for place, group in enumerate(groups):
        present = [value for value in group if not math.isnan(value)]
        expected = np.percentile(present, [25, 75]) if present else np.array([NAN, NAN])
        assert described.p25 is not None
        assert described.p75 is not None
        ours = [described.p25[place], described.p75[place]]
        assert ours == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-6, nan_ok=True)


def definition(values: list[float]) -> dict[str, float]:
    """The statistics of the values of one field in one repeat, as docs/nemo-gym.md has them."""
    n, mean = len(values), statistics.fmean(values)
    std = statistics.stdev(values) if n > 1 and min(values) < max(values) else 0.0
    quartiles = np.percentile(values, [25, 75])
    described = {
        "mean": mean, "median": statistics.median(values), "std": std, "sem": std / math.sqrt(n),
        "min": min(values), "max": max(values), "p25": quartiles[0], "p75": quartiles[1],
    }  # fmt: skip
    if n > 1:
        half = t_975(np.array([n - 1]))[0] * std / math.sqrt(n)
        described |= {"ci_low_95": mean - half, "ci_high_95": mean + half}
    return described


def spread(values: list[float]) -> dict[str, float]:
    """The statistics of estimates of one thing, one per repeat."""
    described = definition(values)
    described["se"] = described.pop("sem")
    return {key: value for key, value in described.items() if key not in ("p25", "p75")}


CELL = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(0, 1))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 3), CELL, CELL, st.booleans())))
def test_repeats_are_as_defined(cells: list[tuple[str, int, int, Any, Any, bool]]) -> None:
    distinct = {(agent, task, index): (x, y, masked) for agent, task, index, x, y, masked in cells}
    rollouts = [
        row(task, index, **by_agent(agent), **{name: v for name, v in (("y", y), ("x", x)) if v is not None})
        | ({"mask_sample": True} if masked else {})
        for (agent, task, index), (x, y, masked) in distinct.items()
    ]
    measured = [rollout for rollout in rollouts if "mask_sample" not in rollout]
    expected, expected_across = [], {}
    for agent in "ab":
        of_agent = [rollout for rollout in measured if rollout["agent_ref"]["name"] == agent]
        tasks = {rollout["_ng_task_index"] for rollout in rollouts if rollout["agent_ref"]["name"] == agent}
        indices = sorted({rollout["_ng_rollout_index"] for rollout in of_agent})
        means: dict[str, list[float]] = {}
        for index in indices if len(indices) > 1 else []:
            repeat = [rollout for rollout in of_agent if rollout["_ng_rollout_index"] == index]
            line = {
                "agent_ref": {"name": agent},
                "_ng_rollout_index": index,
                "sample_count": len(repeat),
                "missing_count": len(tasks) - len(repeat),
            }
            for name in "xy":
                if values := [float(rollout[name]) for rollout in repeat if name in rollout]:
                    line |= {f"{key}/{name}": value for key, value in definition(values).items()}
                    means.setdefault(name, []).append(line[f"mean/{name}"])
            expected.append(line)
        expected_across[agent] = {
            f"{key}_across_repeats/mean/{name}": value
            for name, values in means.items()
            for key, value in spread(values).items()
        }
    repeats = repeats_of(rollouts) if rollouts else []
    assert len(repeats) == len(expected)
    for ours, theirs in zip(repeats, expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours.pop("agent_ref") == theirs.pop("agent_ref")
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    for metrics in agents_of(rollouts) if rollouts else []:
        theirs = expected_across[metrics["agent_ref"]["name"]]
        assert across(metrics) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


# --- which repeats --------------------------------------------------------------------------------------------------


def two_agents() -> list[Rollout]:
    """Agent `b` has two repeats of two tasks, one of them incomplete; agent `a` has one."""
    rollouts = [row(0, 0, reward=1.0), row(0, 1, reward=0.0), row(1, 1, reward=1.0)]
    return [rollout | by_agent("b") for rollout in rollouts] + [row(0, 0, reward=1.0) | by_agent("a")]


def test_an_agent_with_one_repeat_has_no_rows() -> None:
    repeats = repeats_of(two_agents())
    assert [(r["agent_ref"]["name"], r["_ng_rollout_index"]) for r in repeats] == [("b", 0), ("b", 1)]
    assert [(r["sample_count"], r["missing_count"], r["mean/reward"]) for r in repeats] == [(1, 1, 1.0), (2, 0, 0.5)]
    single, several = agents_of(two_agents())
    assert across(single) == {}
    assert across(several)["mean_across_repeats/mean/reward"] == 0.75
    assert list(several)[-1] == "agent_ref"
    assert repeats_of(two_agents()[-1:]) == []


def test_order_of_agents_repeats_and_fields() -> None:
    rollouts = [row(0, i, zeta=1, alpha=2) | by_agent(name) for name in ("b", "ä", "B") for i in ("rs2", 10, 9)]
    repeats = repeats_of(rollouts)
    assert [(r["agent_ref"]["name"], r["_ng_rollout_index"]) for r in repeats] == [
        (name, index) for name in ("B", "b", "ä") for index in (9, 10, "rs2")
    ]
    assert list(repeats[0])[:5] == ["agent_ref", "_ng_rollout_index", "sample_count", "missing_count", "mean/alpha"]
    means = [key for key in repeats[0] if key.startswith("mean/")]
    assert means == ["mean/alpha", "mean/zeta"]


def test_a_field_that_a_repeat_lacks() -> None:
    rollouts = [row(t, i, reward=1.0, **({"late": t} if i else {})) for t in range(3) for i in range(2)]
    first, second = repeats_of(rollouts)
    assert not [key for key in first if key.endswith("/late")]
    assert (second["mean/late"], second["std/late"]) == (1.0, 1.0)
    (agent,) = agents_of(rollouts)
    late = {key: value for key, value in across(agent).items() if key.endswith("/late")}
    assert late == {
        f"{name}_across_repeats/mean/late": value
        for name, value in (("mean", 1.0), ("median", 1.0), ("std", 0.0), ("min", 1.0), ("max", 1.0), ("se", 0.0))
    }


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 2**53 + 1, 2**70, 1e300, -0.0])
def test_equal_values_do_not_spread(value: float) -> None:
    repeats = repeats_of([row(t, i, x=value) for t in range(7) for i in range(3)])
    for repeat in repeats:
        assert (repeat["std/x"], repeat["sem/x"]) == (0.0, 0.0)
        assert repeat["ci_low_95/x"] == repeat["mean/x"] == repeat["ci_high_95/x"] == pytest.approx(float(value))


def test_numbers_that_floats_cannot_hold() -> None:
    rollouts = [row(t, i, huge=10**400, mixed=10**400 if t else 3, close=0.3 if t else 0.1 + 0.2)
                for t in range(2) for i in range(2)]  # fmt: skip
    for repeat in repeats_of(rollouts):
        assert not [key for key in repeat if key.endswith("/huge")]
        assert (repeat["mean/mixed"], repeat["std/mixed"], repeat["sample_count"]) == (3.0, 0.0, 2)
        assert "ci_low_95/mixed" not in repeat
        assert 0 < repeat["std/close"] < 1e-15
    json.dumps(repeats_of(rollouts), allow_nan=False)


def test_one_rollout() -> None:
    answer = compute_aggregate_metrics([{"reward": 1.0}])
    assert (answer.agent_metrics["num_repeats"], answer.repeat_level_metrics) == (1, [])
    assert across(answer.agent_metrics) == {}


def test_masked_rows_are_in_no_repeat() -> None:
    rollouts = [row(t, i, reward=float(t)) for t in range(3) for i in range(3)]
    for masked in (rollouts[0], *rollouts[2::3]):  # one of the first repeat, and all of the last
        masked["mask_sample"] = True
    assert [(r["_ng_rollout_index"], r["sample_count"], r["missing_count"]) for r in repeats_of(rollouts)] == [
        (0, 2, 1),
        (1, 3, 0),
    ]
    assert compute_aggregate_metrics(rollouts).agent_metrics["num_repeats"] == 2


# --- files ----------------------------------------------------------------------------------------------------------


def test_profile_writes_the_third_file(tmp_path: Path) -> None:
    rollouts = two_agents()
    inputs, path = write_jsonl(tmp_path / "in.jsonl", inputs_of(rollouts)), write_jsonl(tmp_path / "r.jsonl", rollouts)
    config = RewardProfileConfig(materialized_inputs_jsonl_fpath=inputs, rollouts_jsonl_fpath=path)
    assert [p.name for p in reward_profile(config)] == ["r_reward_profiling.jsonl", "r_agent_metrics.json"]
    third = tmp_path / "r_repeat_level_metrics.json"
    assert json.loads(third.read_bytes()) == repeats_of(rollouts)
    agents = json.loads((tmp_path / "r_agent_metrics.json").read_bytes())
    assert agents == RewardProfiler().prepare_for_serialization(agents_of(rollouts))
    third.unlink()
    output = run("profile", path, "--inputs", inputs)
    assert "the repeats of b have 1 to 2 of 2 tasks: their means are of different tasks" in output
    assert json.loads(third.read_bytes()) == repeats_of(rollouts)


def test_the_third_file_is_there_even_if_empty(tmp_path: Path) -> None:
    run("profile", write_jsonl(tmp_path / "r.jsonl", [row(0, 0, reward=1.0)]), "-q")
    assert (tmp_path / "r_repeat_level_metrics.json").read_bytes() == b"[]"


# --- the hook -------------------------------------------------------------------------------------------------------


def graded() -> list[Rollout]:
    return [row(t, i, reward=float(t == i), tokens=10 * t + i) for t in range(3) for i in range(2)]


def test_repeat_hook_replaces_what_it_returns() -> None:
    asked: list[list[list[Rollout]]] = []

    def compute(tasks: list[list[Rollout]]) -> dict[str, Any]:
        asked.append(tasks)
        index = tasks[0][0]["_ng_rollout_index"]
        return {"mean/reward": 0.25 + index, "custom": np.float64(index), "flag": True}

    answer = compute_aggregate_metrics(graded(), None, None, compute)
    assert asked == [[[rollout] for rollout in graded()[index::2]] for index in range(2)]
    assert [(r["mean/reward"], r["custom"], r["flag"]) for r in answer.repeat_level_metrics] == [
        (0.25, 0.0, 1),
        (1.25, 1.0, 1),
    ]
    metrics = answer.agent_metrics
    assert metrics["mean/reward"] == pytest.approx(1 / 3)
    assert metrics["mean_across_repeats/mean/reward"] == 0.75
    assert metrics["se_across_repeats/custom"] == 0.5
    assert metrics["ci_low_95_across_repeats/flag"] == metrics["ci_high_95_across_repeats/flag"] == 1.0
    assert "mean_across_repeats/mean/tokens" in metrics


@pytest.mark.parametrize("odd", [None, NAN, float("inf"), "0.5", [1], 10**400])
def test_a_name_counts_only_where_every_repeat_has_a_number(odd: Any) -> None:
    def compute(tasks: list[list[Rollout]]) -> dict[str, Any]:
        last = tasks[0][0]["_ng_rollout_index"] == 1
        return {"mean/reward": odd if last else 9.0, "sometimes": odd if last else 1.0} | ({} if last else {"once": 1})

    answer = compute_aggregate_metrics(graded(), None, None, compute)
    plain = compute_aggregate_metrics(graded())
    assert answer.repeat_level_metrics == plain.repeat_level_metrics
    assert answer.agent_metrics == plain.agent_metrics


@pytest.mark.parametrize(("overall", "counts"), [(2.0, True), (None, False), (NAN, False), ("x", False)])
def test_a_name_of_both_hooks_counts_only_where_it_is_a_number_in_both(overall: Any, counts: bool) -> None:
    answer = compute_aggregate_metrics(graded(), lambda _: {"cost": overall}, None, lambda _: {"cost": 1.0})
    assert ["cost" in repeat for repeat in answer.repeat_level_metrics] == [counts] * 2
    assert ("mean_across_repeats/cost" in answer.agent_metrics) == counts


def test_repeat_hook_gets_what_is_measured_and_only_where_there_are_several() -> None:
    asked = []

    def compute(tasks: list[list[Rollout]]) -> dict[str, Any]:
        asked.append(len(tasks))
        return {}

    compute_aggregate_metrics([*graded(), row(3, 0, reward=1.0, mask_sample=True)], None, None, compute)
    compute_aggregate_metrics(graded()[::2], None, None, compute)
    assert asked == [3, 3]


def test_headline_sees_the_repeats_and_shows_what_is_masked() -> None:
    rollouts = [*graded(), row(3, 0, reward=1.0, mask_sample=True)]
    answer = compute_aggregate_metrics(rollouts, None, lambda metrics: {"repeats": metrics["num_repeats"]})
    assert answer.key_metrics == {
        "repeats": 2,
        "coverage/measured_rollouts": 6,
        "coverage/masked_rollouts": 1,
        "coverage/measured_tasks": 3,
        "coverage/fully_masked_tasks": 1,
    }
    for rollout in rollouts:
        rollout["mask_sample"] = True
    answer = compute_aggregate_metrics(rollouts, None, lambda metrics: {"repeats": metrics["num_repeats"]})
    assert answer.key_metrics == answer.agent_metrics == {
        "coverage/measured_rollouts": 0,
        "coverage/masked_rollouts": 7,
        "coverage/measured_tasks": 0,
        "coverage/fully_masked_tasks": 4,
    }  # fmt: skip
    assert answer.repeat_level_metrics == []


# --- what a run cost ------------------------------------------------------------------------------------------------


def perf(**fields: Any) -> AggregateMetrics:
    return compute_aggregate_metrics([row(0, 0, ng_perf=fields), row(1, 0), row(2, 0, ng_perf=[1]), row(3, 0)])


def costly() -> list[Rollout]:
    records: list[Any] = [
        {"num_turns": 2, "completion_tokens": 20, "prompt_tokens": 100, "total_latency_ms": 100.0},
        {"num_turns": 4, "completion_tokens": 60, "prompt_tokens": 300, "token_observability_coverage": 0.5},
        {"num_turns": 0, "completion_tokens": 10, "cached_prompt_tokens": None, "reasoning_tokens": "many"},
        None,
        {"total_latency_ms": 500, "token_observability_coverage": 0.0},
    ]
    return [row(i, 0, reward=1.0, ng_perf=record) for i, record in enumerate(records)]


COST = {
    "overall_observability_coverage": 0.8,
    "token_observability_coverage": 0.2,
    "mean_prompt_tokens": 200.0,
    "median_prompt_tokens": 200.0,
    "total_prompt_tokens": 400,
    "mean_completion_tokens": 30.0,
    "median_completion_tokens": 20.0,
    "total_completion_tokens": 90,
    "mean_num_turns": 2.0,
    "median_num_turns": 2.0,
    "std_num_turns": pytest.approx((8 / 3) ** 0.5),
    "min_num_turns": 0,
    "p90_num_turns": pytest.approx(3.6),
    "max_num_turns": 4,
    "mean_tokens_per_turn": 12.5,
    "median_tokens_per_turn": 12.5,
    "total_latency_p50_ms": 300.0,
    "total_latency_p90_ms": 460.0,
    "total_latency_p99_ms": 496.0,
    "total_latency_mean_ms": 300.0,
}


def test_cost_of_a_run(tmp_path: Path) -> None:
    assert compute_aggregate_metrics(costly()).perf_summary == COST
    path = write_jsonl(tmp_path / "run.jsonl", costly())
    (entry,) = json.loads(run("aggregate", path, "-q"))
    assert entry["perf_summary"] == COST
    with TestClient(create_app()) as client:
        assert client.post("/aggregate_metrics", json={"verify_responses": costly()}).json()["perf_summary"] == COST
    assert not [key for key in entry["agent_metrics"] if "perf" in key]


def test_no_cost_without_records(tmp_path: Path) -> None:
    rollouts = [row(0, 0, reward=1.0), row(1, 0, ng_perf=None), row(2, 0, ng_perf=3)]
    answer = compute_aggregate_metrics(rollouts)
    assert answer.perf_summary is None
    assert "perf_summary" not in answer.model_dump()
    (entry,) = json.loads(run("aggregate", write_jsonl(tmp_path / "run.jsonl", rollouts), "-q"))
    assert "perf_summary" not in entry
    with TestClient(create_app()) as client:
        assert "perf_summary" not in client.post("/aggregate_metrics", json={"verify_responses": rollouts}).json()


def test_single_record() -> None:
    summary = perf(num_turns=4).perf_summary
    assert summary is not None
    assert (summary["overall_observability_coverage"], summary["token_observability_coverage"]) == (0.25, 0.0)
    assert (summary["std_num_turns"], summary["p90_num_turns"]) == (0.0, 4.0)
    assert len(summary) == 8
    assert perf().perf_summary == {"overall_observability_coverage": 0.25, "token_observability_coverage": 0.0}


# --- names, completion, agents --------------------------------------------------------------------------------------


def test_names_that_begin_with_an_underscore_are_not_numbers(tmp_path: Path) -> None:
    usage = {"_ng_task_index": 7, "_cache": 1, "tokens": 5, "rollout_id": 8}
    rollouts = [row(0, i, _ng_attempt_index=3, _private=True, reward=1.0, response={"usage": usage}) for i in (0, 1)]
    groups, agents = RewardProfiler().profile_from_data(inputs_of(rollouts), rollouts)
    assert [key for key in agents[0] if key.startswith("mean/")] == ["mean/reward", "mean/tokens", "mean/rollout_id"]
    assert groups[0]["rollout_infos"][0] == {
        "rollout_id": "0:0",
        "_ng_task_index": 0,
        "_ng_rollout_index": 0,
        "reward": 1.0,
        "tokens": 5,
    }
    path = write_jsonl(tmp_path / "run.jsonl", rollouts)
    assert json.loads(run("passk", path, "--score", "p=_private", "-f", "json", "-q"))["pass@1/p"] == 100.0


def test_completion_is_counted_by_task_and_agent() -> None:
    inputs = [row(0, i) | by_agent(name) for name in "ab" for i in range(2)]
    rollouts = [row(0, i) | by_agent("a") for i in range(2)] + [row(0, 0) | by_agent("b")]
    groups, _ = RewardProfiler().profile_from_data(inputs, rollouts, allow_partial_rollouts=True)
    counts = [(g["agent_ref"]["name"], g["expected_num_rollouts"], g["missing_num_rollouts"]) for g in groups]
    assert counts == [("a", 2, 0), ("b", 2, 1)]
    summary = RewardProfiler().profile_completion_summary(inputs, rollouts)
    assert [summary[f"{name}_input_rows"] for name in ("total", "complete", "partial", "missing")] == [2, 1, 1, 0]


SERVER = "_ng_environment_server"


@pytest.mark.parametrize(
    ("ran", "names"),
    [
        ([("solver", None), ("solver", None)], ["solver"]),
        ([("solver", "left"), ("solver", "left")], ["solver"]),
        ([("solver", "left"), ("solver", "right")], ["left", "right"]),
        ([("solver", "left"), ("judge", "right")], ["judge", "solver"]),
        ([(None, "left"), ("solver", "right")], ["left", "solver"]),
        ([("solver", "left"), ("solver", "right"), ("judge", None)], ["judge", "left", "right"]),
        ([("solver", "left"), ("solver", None)], ["solver"]),
    ],
)
def test_agents_are_named_after_who_ran_them(
    ran: list[tuple[str | None, str | None]], names: list[str], tmp_path: Path
) -> None:
    rollouts = [
        row(task, 0, reward=1.0, **({} if agent is None else by_agent(agent)), **({SERVER: server} if server else {}))
        for task, (agent, server) in enumerate(ran)
    ]
    assert [agent["agent_ref"]["name"] for agent in agents_of(rollouts)] == names
    path = write_jsonl(tmp_path / "run.jsonl", rollouts)
    printed = json.loads(run("profile", path, "-f", "json", "-q"))
    assert [agent["agent_ref"]["name"] for agent in printed["agents"]] == names
    inputs = write_jsonl(tmp_path / "in.jsonl", inputs_of(rollouts))
    printed = json.loads(run("profile", path, "--inputs", inputs, "-f", "json", "-q"))
    assert [agent["agent_ref"]["name"] for agent in printed["agents"]] == names
    assert len(compute_aggregate_metrics(rollouts).group_level_metrics) == len(rollouts)


def test_a_named_agent_field_is_the_agent(tmp_path: Path) -> None:
    rollouts = [row(task, 0, reward=1.0, who="x", **{SERVER: f"server {task}"}) for task in range(2)]
    path = write_jsonl(tmp_path / "run.jsonl", rollouts)
    printed = json.loads(run("profile", path, "--agent-key", "who", "-f", "json", "-q"))
    assert [agent["agent_ref"]["name"] for agent in printed["agents"]] == ["x"]


def test_why_a_response_is_incomplete_is_sent_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "why.py").write_text(
        "from rewardcli import AggregateMetricsMixin\n"
        "class Why(AggregateMetricsMixin):\n"
        "    def compute_metrics(self, tasks):\n"
        "        return {'responses': [rollout['response'] for task in tasks for rollout in task]}\n"
    )
    monkeypatch.chdir(tmp_path)
    cut: Rollout = {"output": ["…"], "usage": {"tokens": 1}, "incomplete_details": {"reason": "length"}}
    rollouts = [row(0, 0, response=cut), row(1, 0, response={"output": []}), row(2, 0, response=None)]
    (entry,) = json.loads(run("aggregate", write_jsonl(Path("run.jsonl"), rollouts), "--hooks", "why:Why", "-q"))
    assert entry["agent_metrics"]["responses"] == [
        {"usage": {"tokens": 1}, "incomplete_details": {"reason": "length"}},
        {"usage": None},
        {"usage": None},
    ]


def test_mixin_without_the_hook_gathers_no_dicts() -> None:
    class Silent(AggregateMetricsMixin):
        pass

    with TestClient(create_app(Silent())) as client:
        answer = client.post("/aggregate_metrics", json={"verify_responses": graded()}).json()
    assert answer == compute_aggregate_metrics(graded()).model_dump()
