"""The errors a user can cause: what is wrong, where, and what to do next."""

from __future__ import annotations

__all__ = ["DataError", "FieldError", "LineError", "RewardcliError", "UsageError"]


class RewardcliError(Exception):
    """Something the user can put right.

    Args:
        message: What is wrong, beginning with the file and line where there is one.
        hint: What to do next, one sentence.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(RewardcliError, ValueError):
    """The arguments alone show that the call is wrong."""

    exit_code = 2


class DataError(RewardcliError, ValueError):
    """The data cannot be read, or cannot carry the number that was asked for."""


class LineError(DataError):
    """A line of a rollouts file is not a rollout."""


class FieldError(DataError):
    """A field that was asked for is in no rollout."""
