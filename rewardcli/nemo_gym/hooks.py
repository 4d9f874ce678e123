"""An environment's own metrics, by the name of their class."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RewardcliError, UsageError

if TYPE_CHECKING:
    from .aggregate import AggregateMetricsMixin

__all__ = ["load_hooks"]


def load_hooks(text: str) -> "AggregateMetricsMixin":
    """An instance of the class that `module:Class` names.

    Raises:
        UsageError: The text is not `module:Class`.
        RewardcliError: There is no such class, or it does not derive from `AggregateMetricsMixin`.
    """
    from importlib import import_module

    from .aggregate import AggregateMetricsMixin

    module_name, colon, class_name = text.partition(":")
    if not (colon and module_name and class_name):
        raise UsageError(f"the hooks '{text}' are not module:Class", "for example: {hooks=my_environment:MyMetrics}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        hooks = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise RewardcliError(
            f"hooks: there is no module '{error.name}'", "run where the module is, or install it"
        ) from error
    except AttributeError as error:
        raise RewardcliError(f"hooks: {error}", "check the name of the class") from error
    if not (isinstance(hooks, type) and issubclass(hooks, AggregateMetricsMixin)):
        raise RewardcliError(
            f"hooks: {text} does not derive from rewardcli.AggregateMetricsMixin", "derive it from that class"
        )
    return hooks()
