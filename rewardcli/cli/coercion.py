"""Takes plain values from the command line without pydantic, whose import takes longer than a small file.

Typer converts every value, defaults too, with a pydantic type. Values that are plainly right are taken here; anything
else, and everything that is wrong, goes Typer's own way, so that its messages stay.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["PlainValues"]

_NOT_PLAIN = object()


class _Plain:
    """Stands in for what Typer's `get_runtime_param` gives."""

    def __init__(self, parameter: Any) -> None:
        self._typers_own = type(parameter).get_runtime_param
        self._annotation = parameter.type_descriptor.annotation
        self._choices = parameter.type_descriptor.choices
        settings = parameter.type_descriptor.parameter_info
        self._least, self._most = settings.min, settings.max

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        plain = self._plain(value)
        return self._typers_own(param).coerce(value, param=param, ctx=ctx) if plain is _NOT_PLAIN else plain

    def _plain(self, value: Any) -> Any:
        if self._choices is not None:
            return value if type(self._choices[0]) is str and value in self._choices else _NOT_PLAIN
        if self._annotation == list[str] and all(type(item) is str for item in value):
            return list(value)
        if self._annotation in (str, int, bool, float) and type(value) is self._annotation:
            return value
        if self._annotation is int and value.isdecimal() and self._in_range(int(value)):
            return int(value)
        if self._annotation is Path and (Path(value).is_dir() or not Path(value).exists()):
            return Path(value)
        return _NOT_PLAIN

    def _in_range(self, number: int) -> bool:
        return (self._least is None or number >= self._least) and (self._most is None or number <= self._most)


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
