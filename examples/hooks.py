"""Four environments' hooks, for `rewardcli aggregate --hooks`, `rewardcli serve --hooks` and NeMo Gym alike.

With `from nemo_gym.reward_profile import ...` in place of `from rewardcli import ...` the classes are the same.
"""

from collections import Counter
from typing import Any

from rewardcli import (
    AggregateMetricsMixin,
    add_avg_sample_std_dev,
    compute_pass_majority_metrics,
    compute_subset_metrics,
    highest_k_metrics,
)

Rollout = dict[str, Any]
Tasks = list[list[Rollout]]
Metrics = dict[str, Any]


class MathMetrics(AggregateMetricsMixin):
    """Accuracy of final answers, also by difficulty."""

    def compute_metrics(self, tasks: Tasks) -> Metrics:
        """Everything that can be said of the reward and of the answers' votes."""
        metrics, scores, names, max_k = compute_pass_majority_metrics(tasks, answer_key="extracted_answer")
        add_avg_sample_std_dev(metrics, scores, names, max_k)
        return metrics | compute_subset_metrics(tasks, "difficulty", answer_key="extracted_answer")

    def get_key_metrics(self, agent_metrics: Metrics) -> Metrics:
        """Accuracy at the highest k, and what it cost."""
        key = {name: agent_metrics[name] for name in ("mean/output_tokens",) if name in agent_metrics}
        for pattern in ("pass@1[avg-of-{k}]", "pass@{k}", "majority@{k}"):
            key |= highest_k_metrics(agent_metrics, pattern, exclude_names=["no_answer"])
        return key


class JudgedMetrics(AggregateMetricsMixin):
    """A rule checks the answer first; a judge is asked only where the rule says no, so each may be absent."""

    @staticmethod
    def scores(rollout: Rollout) -> dict[str, float | bool]:
        """The scores that this rollout has, by name."""
        fields = {"accuracy": "reward", "symbolic_accuracy": "symbolic_correct", "judge_accuracy": "judge_correct"}
        return {name: rollout[field] for name, field in fields.items() if field in rollout}

    def compute_metrics(self, tasks: Tasks) -> Metrics:
        """Each score over the rollouts that have it, and how often the judge was asked."""
        metrics, *_ = compute_pass_majority_metrics(tasks, self.scores)
        asked = ["judge_correct" in rollout for rollouts in tasks for rollout in rollouts]
        return metrics | {"judge_asked_pct": 100 * sum(asked) / len(asked)} if asked else metrics

    def get_key_metrics(self, agent_metrics: Metrics) -> Metrics:
        """The mean of every score over all rollouts, and the judge's share."""
        key = highest_k_metrics(agent_metrics, "pass@1[avg-of-{k}]")
        return key | {name: agent_metrics[name] for name in ("judge_asked_pct",) if name in agent_metrics}


class TaskMetrics(AggregateMetricsMixin):
    """What stands out task by task: which are solved, and how much their answers agree."""

    def compute_metrics(self, tasks: Tasks) -> Metrics:
        """A row for each task, merged into its group row, and the totals of these rows."""
        rows = [self.of_task(rollouts) for rollouts in tasks]
        agreements = [row["agreement"] for row in rows if row["agreement"] is not None]
        return {
            "per_task_metrics": rows,
            "solved_tasks": sum(row["solved"] for row in rows),
            "unsolved_tasks": sum(not row["solved"] for row in rows),
            "mean_agreement": sum(agreements) / len(agreements) if agreements else None,
        }

    @staticmethod
    def of_task(rollouts: list[Rollout]) -> Metrics:
        """The row of one task; the agreement is the share of the commonest answer among those given."""
        answers = [rollout["extracted_answer"] for rollout in rollouts if rollout.get("extracted_answer") is not None]
        commonest = Counter(answers).most_common(1)
        return {
            "_ng_task_index": rollouts[0]["_ng_task_index"],
            "solved": any((rollout.get("reward") or 0) >= 1 for rollout in rollouts),
            "agreement": commonest[0][1] / len(answers) if commonest else None,
        }

    def get_key_metrics(self, agent_metrics: Metrics) -> Metrics:
        """The mean reward and the totals."""
        names = ("mean/reward", "solved_tasks", "unsolved_tasks", "mean_agreement")
        return {name: agent_metrics[name] for name in names if name in agent_metrics}


class CostMetrics(AggregateMetricsMixin):
    """What a correct answer costs: a ratio of sums, which is not the mean of anything that a rollout has."""

    def compute_metrics(self, tasks: Tasks) -> Metrics:
        """Output tokens of all rollouts, for each correct one."""
        rollouts = [rollout for rollouts in tasks for rollout in rollouts]
        usages = [(rollout.get("response") or {}).get("usage") or {} for rollout in rollouts]
        correct = sum((rollout.get("reward") or 0) >= 1 for rollout in rollouts)
        return (
            {"tokens_per_correct": sum(usage.get("output_tokens", 0) for usage in usages) / correct} if correct else {}
        )

    def compute_repeat_metrics(self, tasks: Tasks) -> Metrics:
        """The same of one repeat, from which its spread across repeats follows."""
        return self.compute_metrics(tasks)

    def get_key_metrics(self, agent_metrics: Metrics) -> Metrics:
        """The cost over all rollouts, and what it may be if the same tasks are run again."""
        statistics = ("mean", "ci_low_95", "ci_high_95")
        names = ("tokens_per_correct", *(f"{name}_across_repeats/tokens_per_correct" for name in statistics))
        return {name: agent_metrics[name] for name in (*names, "num_repeats") if name in agent_metrics}
