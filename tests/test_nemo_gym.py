"""Where rewardcli differs from NeMo Gym on purpose, and where it must not: what docs/nemo-gym.md does not show."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb
from typer.testing import CliRunner

import rewardcli
from rewardcli import (
    AggregateMetrics,
    AggregateMetricsMixin,
    DataError,
    Histogram,
    RewardProfileConfig,
    RewardProfiler,
    add_avg_sample_std_dev,
    compute_aggregate_metrics,
    compute_pass_majority_metrics,
    compute_subset_metrics,
    highest_k_metrics,
    reward_profile,
)
from rewardcli.cli import app

Rollout = dict[str, Any]
NAN, INFINITY = float("nan"), float("inf")


def row(task: Any, index: Any, **fields: Any) -> Rollout:
    return {"_ng_task_index": task, "_ng_rollout_index": index, **fields}


def passk(*tasks: list[Any], answers: bool = False) -> dict[str, Any]:
    """The metrics of tasks whose rollouts are rewards, or (answer, reward) pairs."""
    rollouts = [[{"answer": r[0], "reward": r[1]} if answers else {"reward": r} for r in task] for task in tasks]
    return compute_pass_majority_metrics(rollouts, answer_key="answer" if answers else None)[0]


def majority(*votes: tuple[Any, float]) -> float:
    """majority@k of one task, k being all its votes."""
    value: float = passk(list(votes), answers=True)[f"majority@{len(votes)}/accuracy"]
    return value


# --- names ----------------------------------------------------------------------------------------------------------

# The names of `nemo_gym.reward_profile` that its callers use.
NAMES = [
    "AggregateMetrics", "AggregateMetricsMixin", "AggregateMetricsRequest", "RewardProfileConfig", "RewardProfiler",
    "_group_by_task", "add_avg_sample_std_dev", "compute_aggregate_metrics", "compute_pass_majority_metrics",
    "compute_subset_metrics", "highest_k_metrics", "reward_profile",
]  # fmt: skip
METHODS = {
    RewardProfiler: [
        "align_rows_and_results", "calculate_metrics_single_df", "describe_dataframe", "histogram",
        "prepare_for_serialization", "profile_completion_summary", "profile_from_data", "rollout_info_from_result",
        "write_to_disk",
    ],
    AggregateMetricsMixin: ["_group_by_task", "aggregate_metrics", "compute_metrics", "get_key_metrics"],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_nemo_gym_can_be_imported(name: str) -> None:
    assert name in rewardcli.__all__
    assert callable(getattr(rewardcli, name))


@pytest.mark.parametrize(("owner", "names"), METHODS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_classes_have_the_methods_of_nemo_gym(owner: type, names: list[str]) -> None:
    assert [name for name in names if not callable(getattr(owner, name, None))] == []


def test_group_by_task() -> None:
    rows = [row("b", 0), row("a", 1), row("a", 0)]
    assert rewardcli._group_by_task(rows) == [[rows[2], rows[1]], [rows[0]]]
    assert rewardcli._group_by_task([{"reward": 1.0}]) == [[{"reward": 1.0}]]
    assert rewardcli._group_by_task([]) == []


# --- histograms -----------------------------------------------------------------------------------------------------

HARD_TO_BIN = {
    "close": [0.1 + 0.2, 0.3],
    "nanoseconds": [1.7e18, 1.7e18 + 256],
    "huge": [-1.7e308, 1.7e308],
    "same": [1e300, 1e300],
    "tiny": [5e-324, 1e-323],
    "one": [2.0],
    "not finite": [NAN, 1.0, INFINITY, -INFINITY],
}


@pytest.mark.parametrize("values", HARD_TO_BIN.values(), ids=HARD_TO_BIN)
def test_histogram_is_always_finite(values: list[float]) -> None:
    histogram = Histogram(values)
    assert histogram.counts.sum() == sum(map(math.isfinite, values))
    assert np.isfinite(histogram.edges).all()
    assert (np.diff(histogram.edges) >= 0).all()


def test_histogram_bins_as_numpy_does() -> None:
    values = [0.0, 0.5, 0.5, 2.0, 3.7, 4.0]
    counts, edges = np.histogram(values, bins=8)
    histogram = Histogram(values, bins=8)
    assert histogram.counts.tolist() == counts.tolist()
    assert histogram.edges == pytest.approx(edges)


def test_profile_of_large_numbers_that_are_close() -> None:
    responses = [row(0, index, time=1_700_000_000_000_000_000 + index) for index in range(3)]
    metrics = compute_aggregate_metrics(responses).agent_metrics
    assert metrics["max/time"] - metrics["min/time"] == 2


def test_histogram_to_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    groups, _ = RewardProfiler().profile_from_data([row(0, 0), row(0, 1)], [row(0, 0, reward=1.0), row(0, 1, reward=0)])
    with wandb.init(project="rewardcli", dir=tmp_path) as run:
        run.log({"reward": groups[0]["histogram/reward"].to_wandb()})
        logged = dict(run.summary["reward"])
    assert logged["_type"] == "histogram"
    assert logged["values"] == [1, *[0] * 62, 1]
    assert (logged["bins"][0], logged["bins"][-1], len(logged["bins"])) == (0.0, 1.0, 65)


@pytest.mark.parametrize("values", HARD_TO_BIN.values(), ids=HARD_TO_BIN)
def test_wandb_accepts_every_histogram(values: list[float]) -> None:
    assert sum(Histogram(values).to_wandb().histogram) == sum(map(math.isfinite, values))


def test_prepare_for_serialization_leaves_histograms_out_of_a_copy() -> None:
    groups, agents = RewardProfiler().profile_from_data([row(0, 0)], [row(0, 0, reward=1.0)])
    before = [dict(group) for group in groups]
    prepared = RewardProfiler().prepare_for_serialization(groups)
    assert groups == before
    assert before[0].keys() - prepared[0].keys() == {"histogram/reward"}
    assert all(prepared[0][key] is before[0][key] for key in prepared[0])
    assert json.loads(json.dumps(RewardProfiler().prepare_for_serialization(agents)))[0]["mean/reward"] == 1.0


# --- numbers --------------------------------------------------------------------------------------------------------


def test_answers_are_equal_as_in_python() -> None:
    assert majority((1, 1.0), (True, 1.0), (1.0, 1.0), ("1", 0.0), ("1", 0.0)) == 100.0
    assert majority(("4", 1.0), (" 4", 0.0)) == 50.0
    assert majority(({"a": 1, "b": [2]}, 1.0), ({"b": [2.0], "a": 1.0}, 1.0), ("x", 0.0)) == 100.0
    assert majority(([1], 1.0), ("[1]", 0.0)) == 50.0


def test_empty_and_false_are_answers() -> None:
    metrics = passk([("", 0.0), (False, 0.0), (None, 0.0), (NAN, 0.0)], answers=True)
    assert metrics["pass@1/no_answer"] == 50.0


@pytest.mark.parametrize("missing", [None, "0.5", [1], {"value": 1}, NAN, INFINITY])
def test_score_that_is_no_number_is_missing(missing: Any) -> None:
    # Task 0 has one score left, so only task 1 counts for k = 2.
    metrics = passk([1.0, missing], [0.0, 0.0])
    assert metrics["pass@1/accuracy"] == 50.0
    assert metrics["pass@2/accuracy"] == 0.0
    assert metrics["per_sample_aggregate"] == {"accuracy": [50.0, 0.0]}


def test_spread_across_runs_that_begin_late() -> None:
    metrics = passk([None, None, 1.0, 0.0], [None, None, 0.0, 0.0])
    assert metrics["per_sample_aggregate"] == {"accuracy": [50.0, 0.0]}
    # The first two runs are at positions 3 and 4, which the first two rollouts do not reach.
    assert "pass@1[avg-of-2]/accuracy" not in metrics
    for k in 2, 3, 4:
        assert metrics[f"pass@1[avg-of-{k}]/accuracy/std_dev_across_runs"] == pytest.approx(50 / 2**0.5)
        assert metrics[f"pass@1[avg-of-{k}]/accuracy/std_err_across_runs"] == pytest.approx(25)


def test_spread_within_tasks_is_of_the_scores_present() -> None:
    rollouts: list[Rollout] = [{"reward": 1.0}, {"reward": None}, {"reward": 0.0}]
    metrics, scores, names, max_k = compute_pass_majority_metrics([rollouts])
    add_avg_sample_std_dev(metrics, scores, names, max_k)
    keys = {key: value for key, value in metrics.items() if key.endswith("avg_sample_std_dev")}
    assert keys == {"pass@1[avg-of-3]/accuracy/avg_sample_std_dev": pytest.approx(0.5**0.5)}


def test_infinite_values_are_no_statistics() -> None:
    answer = compute_aggregate_metrics([row(0, 0, score=-INFINITY), row(0, 1, score=NAN), row(1, 0, score=2.0)])
    assert [group.get("mean/score") for group in answer.group_level_metrics] == [None, 2.0]
    assert answer.key_metrics == {"mean/score": 2.0}


@pytest.mark.parametrize(
    ("given", "answered"),
    [(NAN, None), (np.float64(0.5), 0.5), (np.array([1, 2]), [1, 2]), ({1: INFINITY}, {"1": None})],
)
def test_answer_of_a_hook_is_strict_json(given: Any, answered: Any) -> None:
    answer = compute_aggregate_metrics([row(0, 0)], lambda _: {"own": given}, lambda metrics: {"key": metrics["own"]})
    assert (answer.agent_metrics, answer.key_metrics) == ({"num_repeats": 1, "own": answered}, {"key": answered})
    json.dumps(answer.model_dump(), allow_nan=False)


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", [None, "text", [], {}, {"usage": None}, {"usage": [1]}, {"usage": "many"}])
def test_response_without_usage(response: Any) -> None:
    assert compute_aggregate_metrics([row(0, 0, reward=1.0, response=response)]).key_metrics == {"mean/reward": 1.0}


@pytest.mark.parametrize("unusable", [None, "many", [1], {"a": 1}])
def test_usage_that_is_no_number_hides_nothing(unusable: Any) -> None:
    response = {"usage": {"turns": unusable}}
    groups, _ = RewardProfiler().profile_from_data([row(0, 0)], [row(0, 0, turns=4, response=response)])
    assert (groups[0]["mean/turns"], groups[0]["rollout_infos"][0]["turns"]) == (4.0, 4)


def test_usage_wins_in_statistics_and_the_row_in_its_info() -> None:
    groups, _ = RewardProfiler().profile_from_data([row(0, 0)], [row(0, 0, turns=4, response={"usage": {"turns": 6}})])
    assert (groups[0]["mean/turns"], groups[0]["rollout_infos"][0]["turns"]) == (6.0, 4)


# --- masked rows ----------------------------------------------------------------------------------------------------


def masked_run() -> list[Rollout]:
    return [
        row(0, 0, reward=1.0, level="hard", mask_sample=True),
        row(0, 1, reward=0.0, level="easy", mask_sample=False),
        row(0, 2, reward=1.0, level="easy"),
        row(1, 0, reward=1.0, level="hard", mask_sample=True),
    ]


def test_masked_rows_stay_in_what_is_counted() -> None:
    inputs = [row(task, index) for task in (0, 1) for index in range(3)]
    groups, agents = RewardProfiler().profile_from_data(inputs, masked_run(), allow_partial_rollouts=True)
    assert [(g["num_rollouts"], g["missing_num_rollouts"], len(g["rollout_infos"])) for g in groups] == [
        (3, 0, 3),
        (1, 2, 1),
    ]
    assert not [key for key in groups[1] if key.startswith(("mean/", "max/", "min/", "median/", "std/", "histogram/"))]
    assert agents[0]["mean/reward"] == 0.5
    assert not [key for group in [*groups, *agents] for key in group if "mask_sample" in key]
    assert RewardProfiler().profile_completion_summary(inputs, masked_run())["completed_rollout_rows"] == 4


def test_hooks_get_no_masked_rows() -> None:
    seen: list[list[list[Rollout]]] = []

    def compute(tasks: list[list[Rollout]]) -> dict[str, Any]:
        seen.append(tasks)
        return compute_subset_metrics(tasks, "level") | {"first": compute_pass_majority_metrics(tasks)[0]}

    answer = compute_aggregate_metrics(masked_run(), compute)
    assert seen == [[masked_run()[1:3]]]
    assert answer.agent_metrics["first"]["pass@1[avg-of-1]/accuracy"] == 0.0
    assert answer.agent_metrics["easy/pass@2/accuracy"] == 100.0
    assert not [key for key in answer.agent_metrics if key.startswith("hard/")]


@pytest.mark.parametrize("value", [False, None, 0, 1, "true"])
def test_only_true_masks(value: Any) -> None:
    metrics = compute_aggregate_metrics([row(0, 0, reward=1.0, mask_sample=value)]).agent_metrics
    statistics = {f"{name}/reward": float(name != "std") for name in ("mean", "max", "min", "median", "std")}
    assert metrics == {**statistics, "num_repeats": 1}


def test_run_of_masked_rows_only() -> None:
    answer = compute_aggregate_metrics(masked_run()[-1:], lambda tasks: {"tasks": tasks})
    assert answer.agent_metrics == {
        "coverage/measured_rollouts": 0,
        "coverage/masked_rollouts": 1,
        "coverage/measured_tasks": 0,
        "coverage/fully_masked_tasks": 1,
        "tasks": [],
    }
    assert len(answer.group_level_metrics) == 1


# --- keys -----------------------------------------------------------------------------------------------------------


def test_single_response_without_task_is_task_0() -> None:
    assert compute_aggregate_metrics([{"reward": 1.0}]).group_level_metrics[0]["_ng_task_index"] == 0


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        ([row(None, 0), row(0, 1)], "verify_responses:1: no task index"),
        ([row(0, 0), row(0, None)], "verify_responses:2: no rollout index, while other rows have one"),
        ([row(0, 0), row(0, 0.0)], r"verify_responses:2: duplicate of verify_responses:1 \(task 0, rollout 0\)"),
    ],
)
def test_keys_that_cannot_be(responses: list[Rollout], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        compute_aggregate_metrics(responses)
    assert isinstance(caught.value, DataError)


@pytest.mark.parametrize(
    ("responses", "hint"),
    [
        ([row(None, 0), row(0, 1)], "every row needs its _ng_task_index"),
        ([row(0, 0), row(0, None)], "give every row its _ng_rollout_index, or none of them"),
        ([row(0, 0), row(0, 0)], "keep one of them"),
    ],
)
def test_hints_name_only_what_nemo_gym_has(responses: list[Rollout], hint: str) -> None:
    with pytest.raises(DataError) as caught:
        compute_aggregate_metrics(responses)
    assert caught.value.hint == hint


def test_error_of_a_hook_stays_what_it_is() -> None:
    class JudgeError(DataError):
        def __init__(self) -> None:
            super().__init__("no judge", "start it with {jobs}")

    def fail(_: Any) -> dict[str, Any]:
        raise JudgeError

    with pytest.raises(JudgeError, match="no judge"):
        compute_aggregate_metrics([row(0, 0)], fail)


@pytest.mark.parametrize(
    ("inputs", "rollouts", "message"),
    [
        ([row(0, 0), row(0, 1)], [row(0, 0)], r"no rollout: \(0, 1\)(?s:.*)\+\+allow_partial_rollouts=True"),
        ([row(0, 0)], [row(0, 0), row(7, 2)], r"1 rollout has no matching materialized input: \(7, 2\)"),
        ([row(0, 0), row(0, 0)], [row(0, 0)], r"duplicate materialized input .* \(task 0, rollout 0\)"),
        ([row(0, 0)], [row(0, 0), row(0, 0)], r"rollouts:2: duplicate of rollouts:1 \(task 0, rollout 0\)"),
    ],
    ids=["missing", "extra", "input-twice", "rollout-twice"],
)  # fmt: skip
def test_inputs_and_rollouts_that_do_not_match(inputs: list[Rollout], rollouts: list[Rollout], message: str) -> None:
    profiler = RewardProfiler()
    for method in profiler.profile_from_data, profiler.align_rows_and_results:
        with pytest.raises(ValueError, match=message):
            method(inputs, rollouts)


def test_align_pairs_inputs_and_rollouts_in_order() -> None:
    inputs = [row(1, 0, prompt="c"), row(0, 1, prompt="b"), row(0, 0, prompt="a")]
    rollouts = [row(0, 1, reward=2), row(1, 0, reward=3)]
    pairs = RewardProfiler().align_rows_and_results(inputs, rollouts, allow_partial_rollouts=True)
    assert pairs == [(inputs[1], rollouts[0]), (inputs[0], rollouts[1])]


def test_rollout_ids_of_any_kind() -> None:
    responses = [row("a", index, reward=1.0) for index in ({"seed": 2}, "1", 1.0, 0)]
    infos = compute_aggregate_metrics(responses).group_level_metrics[0]["rollout_infos"]
    assert [info["rollout_id"] for info in infos] == ["a:0", "a:1", "a:1", 'a:{"seed":2}']


def test_agent_of_the_rollout_where_the_input_names_none() -> None:
    rollouts = [row(0, 0, agent_ref={"name": "own"}), row(1, 0)]
    _, agents = RewardProfiler().profile_from_data([row(0, 0), row(1, 0)], rollouts)
    assert [agent["agent_ref"]["name"] for agent in agents] == ["agent", "own"]


def test_task_rows_name_their_agent_only_where_the_task_has_several() -> None:
    def agent(name: str) -> Rollout:
        return {"agent_ref": {"name": name}}

    inputs = [row(0, 0, **agent("b")), row(0, 1, **agent("a")), row(1, 0, **agent("a"))]
    groups, agents = RewardProfiler().profile_from_data(inputs, [row(0, 0, reward=0), row(0, 1, reward=1), row(1, 0)])
    assert [(g["_ng_task_index"], g.get("agent_ref"), g.get("mean/reward")) for g in groups] == [
        (0, {"name": "a"}, 1.0),
        (0, {"name": "b"}, 0.0),
        (1, None, None),
    ]
    assert [row["agent_ref"]["name"] for row in agents] == ["a", "b"]


def test_aggregate_metrics_are_of_one_agent() -> None:
    responses = [row(0, 0, reward=1.0, agent_ref={"name": "a"}), row(0, 1, reward=0.0, agent_ref={"name": "b"})]
    groups = compute_aggregate_metrics(responses).group_level_metrics
    assert [(group["mean/reward"], group["sample"]) for group in groups] == [(0.5, {"agent_ref": {"name": "agent"}})]
    assert "agent_ref" not in groups[0]


def test_per_task_metrics_find_their_task() -> None:
    tasks = [1, "1", True, {"id": 1}]
    rows = [{"_ng_task_index": task, "kind": type(task).__name__} for task in [*tasks, 99]]
    answer = compute_aggregate_metrics([row(task, 0) for task in tasks], lambda _: {"per_task_metrics": rows})
    kinds = [(group["_ng_task_index"], group["kind"]) for group in answer.group_level_metrics]
    assert kinds == [(1, "int"), ("1", "str"), ("true", "bool"), ('{"id":1}', "dict")]


def test_last_row_of_a_task_counts() -> None:
    rows = [{"_ng_task_index": 0, "a": 1, "b": 1}, {"_ng_task_index": 0, "a": 2, "num_rollouts": 9}]
    answer = compute_aggregate_metrics([row(0, 0)], lambda _: {"per_task_metrics": rows})
    assert {key: answer.group_level_metrics[0].get(key) for key in ("a", "b", "num_rollouts")} == {
        "a": 2,
        "b": None,
        "num_rollouts": 9,
    }


def test_no_responses() -> None:
    assert compute_aggregate_metrics([]) == AggregateMetrics(group_level_metrics=[], agent_metrics={}, key_metrics={})


# --- subsets and patterns -------------------------------------------------------------------------------------------


def subset_names(*values: Any) -> list[str]:
    metrics = compute_subset_metrics([[{"reward": 1.0, "level": value}] for value in values], "level")
    return [key.removesuffix("/pass@1/accuracy") for key in metrics if key.endswith("/pass@1/accuracy")]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([2, 2.0, 2.5], ["2", "2.5"]),
        ([{"b": 1, "a": [True]}, ["x"]], ['{"a":[true],"b":1}', '["x"]']),
        (["true", "0"], ["true", "0"]),
        (["true", True], ['"true"', "true"]),
        (["", "(empty)"], ["(empty)", '"(empty)"']),
        ([None, NAN], []),
    ],
)
def test_names_of_subsets(values: list[Any], names: list[str]) -> None:
    assert subset_names(*values) == names


def test_subset_of_a_task_is_that_of_its_first_rollout_that_has_one(tmp_path: Path) -> None:
    tasks: list[list[Rollout]] = [
        [row(0, 0, reward=1.0, level="b"), row(0, 1, reward=0.0, level="a")],
        [row(1, 0, reward=1.0), row(1, 1, reward=1.0, level=None), row(1, 2, reward=1.0, level="b")],
        [row(2, 0, reward=0.0), row(2, 1, reward=0.0, level=None)],
    ]
    metrics = compute_subset_metrics([*tasks, []], "level")
    assert metrics["b/pass@1/accuracy"] == 75.0
    assert {key.partition("/")[0] for key in metrics} == {"b"}
    path = write_jsonl(tmp_path / "run.jsonl", [rollout for rollouts in tasks for rollout in rollouts])
    assert printed("subsets", path, "--by", "level")["b/pass@1/accuracy"] == 75.0


@pytest.mark.parametrize("pattern", ["pass@1", "pass@{K}", "", "pass@{k}/{k}"])
def test_pattern_needs_one_k(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"must have \{k\} in it once"):
        highest_k_metrics({"pass@1/accuracy": 1.0}, pattern)


# --- files and frames -----------------------------------------------------------------------------------------------


def write_jsonl(path: Path, rows: list[Rollout]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def printed(command: str, path: str, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [command, path, "--format", "json", "--quiet", *options])
    assert result.exit_code == 0, result.output
    metrics: dict[str, Any] = json.loads(result.stdout)
    return metrics


def test_command_leaves_masked_rows_out_before_the_first_k_and_the_subset(tmp_path: Path) -> None:
    metrics = printed("subsets", write_jsonl(tmp_path / "run.jsonl", masked_run()), "--by", "level")
    assert metrics["easy/pass@1[avg-of-1]/accuracy"] == 0.0
    assert metrics["easy/pass@2/accuracy"] == 100.0
    assert metrics["coverage/masked_rollouts"] == 2
    assert not [key for key in metrics if key.startswith("hard/")]


def test_two_agents_on_one_task_are_two_tasks(tmp_path: Path) -> None:
    rows = [row(0, 0, reward=float(name == "a"), agent_ref={"name": name}) for name in "ab"]
    metrics = printed("passk", write_jsonl(tmp_path / "run.jsonl", rows))
    assert metrics["pass@1/accuracy"] == 50.0
    assert metrics["coverage"]["pass@1/accuracy"] == {"n_tasks": 2, "n_rollouts": 2}


@pytest.mark.parametrize("config_type", [RewardProfileConfig, SimpleNamespace])
def test_reward_profile_writes_strict_json(tmp_path: Path, config_type: Callable[..., Any]) -> None:
    inputs, rollouts = (
        [row(0, 0, prompt="?"), row(0, 1)],
        [row(0, 1, reward=NAN), row(0, 0, reward=1.0, score=INFINITY)],
    )
    config = config_type(
        materialized_inputs_jsonl_fpath=write_jsonl(tmp_path / "in.jsonl", inputs),
        rollouts_jsonl_fpath=write_jsonl(tmp_path / "run-1.5.jsonl", rollouts),
        allow_partial_rollouts=False,
    )
    paths = reward_profile(config)
    assert [path.name for path in paths] == ["run-1.5_reward_profiling.jsonl", "run-1.5_agent_metrics.json"]
    profiler = RewardProfiler()
    groups, agents = map(profiler.prepare_for_serialization, profiler.profile_from_data(inputs, rollouts))
    assert not {"NaN", "Infinity"} & set(paths[0].read_text().replace(",", ":").split(":"))
    assert [json.loads(line) for line in paths[0].read_text().splitlines()] == groups
    assert json.loads(paths[1].read_text()) == agents
    assert groups[0]["sample"] == {"prompt": "?"}
    assert [info["reward"] for info in groups[0]["rollout_infos"]] == [1.0, None]


def test_statistics_of_frames() -> None:
    profiler = RewardProfiler()
    frame = pd.DataFrame({"task": [2, 1, 2], "reward": [1.0, 0.5, 0.0], "turns": [3.0, math.nan, 5.0]})
    rows = profiler.prepare_for_serialization(profiler.calculate_metrics_single_df(frame.groupby("task")))
    assert rows == [
        # One row: no std is defined, so the column without a gap has 0.
        {"task": 1, "mean/reward": 0.5, "max/reward": 0.5, "min/reward": 0.5, "median/reward": 0.5, "std/reward": 0.0},
        {
            "task": 2,
            **{f"{name}/reward": value for name, value in [("mean", 0.5), ("max", 1.0), ("min", 0.0), ("median", 0.5)]},
            **{f"{name}/turns": value for name, value in [("mean", 4.0), ("max", 5.0), ("min", 3.0), ("median", 4.0)]},
            "std/reward": pytest.approx(0.5**0.5),
            "std/turns": pytest.approx(2**0.5),
        },
    ]
    assert profiler.histogram(frame["turns"][1:2]) is None
