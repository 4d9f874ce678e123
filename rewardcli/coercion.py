"""Takes plain values from the command line without pydantic, whose import takes longer than a small file.

Typer converts every value, defaults too, with a pydantic type. Values that need no conversion are taken here as they
are; anything else, and everything that is wrong, goes Typer's own way, so that its messages stay.
"""

from __future__ import annotations

from functools import partial
from typing import Any

__all__ = ["PlainValues"]


class _Plain:
    """Stands in for what Typer's `get_runtime_param` gives."""

    def __init__(self, parameter: Any) -> None:
        self._typers_own = type(parameter).get_runtime_param
        self._annotation = parameter.type_descriptor.annotation
        self._choices = parameter.type_descriptor.choices

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it."""
        repeated = param.multiple or param.nargs == -1
        if value is None:
            return () if repeated else None
        if self._is_plain(value):
            return list(value) if repeated else value
        return self._typers_own(param).coerce(value, param=param, ctx=ctx)

    def _is_plain(self, value: Any) -> bool:
        if self._choices is not None:
            return type(value) is str and type(self._choices[0]) is str and value in self._choices
        if self._annotation == list[str]:
            return isinstance(value, (list, tuple)) and all(type(item) is str for item in value)
        return self._annotation in (str, int, bool) and type(value) is self._annotation


class PlainValues:
    """For commands: their parameters take plain values; a Typer that works another way is left alone."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's parameters."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if hasattr(parameter, "get_runtime_param") and hasattr(parameter, "type_descriptor"):
                parameter.get_runtime_param = partial(_itself, _Plain(parameter))
        return parameters


def _itself(plain: _Plain) -> _Plain:
    return plain
