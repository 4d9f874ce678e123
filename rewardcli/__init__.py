"""Reward profiles, pass@k, majority@k and their spread from files of LLM rollouts.

Every name of `nemo_gym.reward_profile` is here under the same name. Names are loaded on first use, so that
`import rewardcli` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import DataError, FieldError, LineError, RewardcliError, UsageError
    from .metrics.histogram import Histogram
    from .nemo_gym.aggregate import AggregateMetricsMixin, compute_aggregate_metrics
    from .nemo_gym.dicts import _group_by_task
    from .nemo_gym.files import reward_profile
    from .nemo_gym.models import AggregateMetrics, AggregateMetricsRequest, RewardProfileConfig
    from .nemo_gym.pass_majority import (
        add_avg_sample_std_dev,
        compute_pass_majority_metrics,
        compute_subset_metrics,
        highest_k_metrics,
    )
    from .nemo_gym.profiler import RewardProfiler

__version__ = "0.1.0"

_HOMES = {
    "nemo_gym.aggregate": ("AggregateMetricsMixin", "compute_aggregate_metrics"),
    "errors": ("DataError", "FieldError", "LineError", "RewardcliError", "UsageError"),
    "nemo_gym.dicts": ("_group_by_task",),
    "nemo_gym.models": ("AggregateMetrics", "AggregateMetricsRequest", "RewardProfileConfig"),
    "nemo_gym.pass_majority": (
        "add_avg_sample_std_dev",
        "compute_pass_majority_metrics",
        "compute_subset_metrics",
        "highest_k_metrics",
    ),
    "metrics.histogram": ("Histogram",),
    "nemo_gym.files": ("reward_profile",),
    "nemo_gym.profiler": ("RewardProfiler",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AggregateMetrics",
    "AggregateMetricsMixin",
    "AggregateMetricsRequest",
    "DataError",
    "FieldError",
    "Histogram",
    "LineError",
    "RewardProfileConfig",
    "RewardProfiler",
    "RewardcliError",
    "UsageError",
    "__version__",
    "_group_by_task",
    "add_avg_sample_std_dev",
    "compute_aggregate_metrics",
    "compute_pass_majority_metrics",
    "compute_subset_metrics",
    "highest_k_metrics",
    "reward_profile",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rewardcli' has no attribute '{name}'")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
