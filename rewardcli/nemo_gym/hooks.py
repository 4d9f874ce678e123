"""An environment's own metrics, by the name of their class."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RewardcliError, UsageError

if TYPE_CHECKING:
    from .aggregate import AggregateMetricsMixin

__all__ = ["load_hooks", "prints_aside"]


@contextmanager
def prints_aside() -> Iterator[None]:
    """Send what hooks print to standard error: standard output is for results."""
    with redirect_stdout(sys.stderr):
        yield


def load_hooks(text: str) -> "AggregateMetricsMixin":
    """An instance of the class that `module:Class` names.

    The module is looked for in the working directory first, and then among those that are installed. Whatever else is
    in that directory comes last: a file there does not replace an installed module that happens to have its name.

    Raises:
        UsageError: The text is not `module:Class`.
        RewardcliError: There is no such class, it does not derive from `AggregateMetricsMixin`, or it fails to load.
    """
    from .aggregate import AggregateMetricsMixin

    module_name, colon, class_name = text.partition(":")
    if not (colon and module_name and class_name):
        raise UsageError(f"the hooks '{text}' are not module:Class", "for example: {hooks=my_environment:MyMetrics}")
    with prints_aside():
        try:
            hooks = getattr(_import_module(module_name), class_name)
        except ModuleNotFoundError as error:
            what = f"hooks: there is no module '{error.name}'"
            raise RewardcliError(what, "run where the module is, or install it") from error
        except AttributeError as error:
            raise RewardcliError(f"hooks: {error}", "check the name of the class") from error
        except Exception as error:
            raise _failure(module_name, error) from error
        if not (isinstance(hooks, type) and issubclass(hooks, AggregateMetricsMixin)):
            what = f"hooks: {text} does not derive from rewardcli.AggregateMetricsMixin"
            raise RewardcliError(what, "derive it from that class")
        try:
            return hooks()
        except Exception as error:
            raise _failure(text, error) from error


def _failure(name: str, error: Exception) -> RewardcliError:
    reason = f"{type(error).__name__}: {error}"
    return RewardcliError(f"hooks: {name} cannot be loaded: {reason}", "fix it, and try again")


def _import_module(name: str) -> Any:
    from importlib import import_module
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    top = name.partition(".")[0]
    spec = None if top in sys.modules else PathFinder.find_spec(top, [folder])
    if spec is not None:
        module = sys.modules[top] = module_from_spec(spec)
        try:
            if spec.loader is not None:  # a folder without __init__.py has none
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[top]
            raise
    return import_module(name)
