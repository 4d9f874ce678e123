"""Errors in NeMo Gym's words: its Python API has other settings than rewardcli's command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import RewardcliError

__all__ = ["in_nemo_gym_words"]

# How NeMo Gym spells a setting that it has too.
_SETTINGS = {"allow_partial": "++allow_partial_rollouts=True"}
# What to do instead of using a setting that it does not have.
_INSTEAD = {
    "task_key": "every row needs its _ng_task_index",
    "rollout_key": "give every row its _ng_rollout_index, or none of them",
    "duplicates": "keep one of them",
    "on_error": "fix the line, or delete it",
    "jobs": "try again, on a machine with more memory",
}


def _translated(error: RewardcliError) -> RewardcliError:
    """The error, with a hint that names only settings of NeMo Gym."""
    names: list[str] = []

    def spell(name: str, _value: str | None) -> str:
        names.append(name)
        return _SETTINGS.get(name, name)

    hint = error.hint_for(spell)
    if not names or type(error).__init__ is not RewardcliError.__init__:
        return error
    hint = next((_INSTEAD[name] for name in names if name in _INSTEAD), hint)
    return type(error)(error.what, hint, error.location)


@contextmanager
def in_nemo_gym_words() -> Iterator[None]:
    """Translate the errors that are raised inside."""
    try:
        yield
    except RewardcliError as error:
        if (translated := _translated(error)) is error:
            raise
        raise translated.with_traceback(error.__traceback__) from error.__cause__
