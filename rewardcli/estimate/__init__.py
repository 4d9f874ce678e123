"""Means of task values with standard errors, intervals, comparisons and verdicts: arrays in, arrays out.

Nothing here knows which metric it is given, where the numbers came from or how they are shown. Names are loaded on
first use, so that `import rewardcli.estimate` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics.moments import Moments, pooled_task_values
    from .again import (
        RunNoise,
        again_interval,
        again_mean,
        credit_variances,
        disjoint_draws,
        draw_variances,
        max_variances,
        mean_variances,
        noise_share,
        subset_variances,
    )
    from .clusters import Clusters, cluster_codes
    from .comparison import (
        Comparison,
        Verdict,
        benjamini_hochberg,
        holm,
        paired,
        paired_mean,
        pseudo_difference,
        unpaired,
    )
    from .gates import Evidence, Judgement, Requirement, State, exit_status, judge, too_few_joined
    from .intervals import (
        BetaMean,
        HallMean,
        MeanKnowledge,
        StudentMean,
        beta_interval,
        hall_interval,
        t_interval,
    )
    from .means import Estimates, Interval, estimates, interval, per_look
    from .notes import cluster_note, few_tasks_note, noise_note, run_effect_note, single_draw_note
    from .planning import (
        Components,
        PassComponents,
        best_rollouts,
        components,
        detectable_difference,
        difference_variance,
        enough_rollouts,
        pass_components,
        run_effect,
        tasks_for_width,
        tasks_to_decide,
        tasks_to_detect,
    )
    from .quantiles import WoodruffQuantile, quantile_interval, woodruff
    from .signs import sign_flip_p

_HOMES = {
    "..metrics.moments": ("Moments", "pooled_task_values"),
    ".again": (
        "RunNoise",
        "again_interval",
        "again_mean",
        "credit_variances",
        "disjoint_draws",
        "draw_variances",
        "max_variances",
        "mean_variances",
        "noise_share",
        "subset_variances",
    ),
    ".clusters": ("Clusters", "cluster_codes"),
    ".comparison": (
        "Comparison",
        "Verdict",
        "benjamini_hochberg",
        "holm",
        "paired",
        "paired_mean",
        "pseudo_difference",
        "unpaired",
    ),
    ".gates": ("Evidence", "Judgement", "Requirement", "State", "exit_status", "judge", "too_few_joined"),
    ".intervals": (
        "BetaMean",
        "HallMean",
        "MeanKnowledge",
        "StudentMean",
        "beta_interval",
        "hall_interval",
        "t_interval",
    ),
    ".means": ("Estimates", "Interval", "estimates", "interval", "per_look"),
    ".notes": ("cluster_note", "few_tasks_note", "noise_note", "run_effect_note", "single_draw_note"),
    ".planning": (
        "Components",
        "PassComponents",
        "best_rollouts",
        "components",
        "detectable_difference",
        "difference_variance",
        "enough_rollouts",
        "pass_components",
        "run_effect",
        "tasks_for_width",
        "tasks_to_decide",
        "tasks_to_detect",
    ),
    ".quantiles": ("WoodruffQuantile", "quantile_interval", "woodruff"),
    ".signs": ("sign_flip_p",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BetaMean",
    "Clusters",
    "Comparison",
    "Components",
    "Estimates",
    "Evidence",
    "HallMean",
    "Interval",
    "Judgement",
    "MeanKnowledge",
    "Moments",
    "PassComponents",
    "Requirement",
    "RunNoise",
    "State",
    "StudentMean",
    "Verdict",
    "WoodruffQuantile",
    "again_interval",
    "again_mean",
    "benjamini_hochberg",
    "best_rollouts",
    "beta_interval",
    "cluster_codes",
    "cluster_note",
    "components",
    "credit_variances",
    "detectable_difference",
    "difference_variance",
    "disjoint_draws",
    "draw_variances",
    "enough_rollouts",
    "estimates",
    "exit_status",
    "few_tasks_note",
    "hall_interval",
    "holm",
    "interval",
    "judge",
    "max_variances",
    "mean_variances",
    "noise_note",
    "noise_share",
    "paired",
    "paired_mean",
    "pass_components",
    "per_look",
    "pooled_task_values",
    "pseudo_difference",
    "quantile_interval",
    "run_effect",
    "run_effect_note",
    "sign_flip_p",
    "single_draw_note",
    "subset_variances",
    "t_interval",
    "tasks_for_width",
    "tasks_to_decide",
    "tasks_to_detect",
    "too_few_joined",
    "unpaired",
    "woodruff",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rewardcli.estimate' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
