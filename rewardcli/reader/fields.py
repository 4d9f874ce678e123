"""Which fields of the rows are read: what the first rows have, what is asked for, what is guessed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..errors import FieldError
from ..listener import Listener
from . import dialects
from .dialects import NEMO_GYM, REWARD, Dialect
from .files import display_name, is_parquet
from .jsonrow import UNSET, RowError, load_row, look_up
from .options import ReadOptions, Wanted
from .streams import HEAD_BYTES, head_of

__all__ = ["LINE_KEY", "Fields", "Head", "check_fields", "find_fields", "paths_of"]

LINE_KEY = "@line"
BOM = b"\xef\xbb\xbf"
_LARGEST_HEAD = 256 << 20


def paths_of(name: str) -> list[tuple[str, ...]]:
    """Where a field may stand: as a top-level key, else, if dotted, along a path."""
    return [(name,), tuple(name.split("."))] if "." in name else [(name,)]


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a row are read, by their names on disk.

    Attributes:
        task: The field of the task; "@line" makes every row a task of its own.
        index: The field of the rollout index.
        agent: The field of the agent's name.
        dialect: Where mask, usage and reward stand.
        numbers: The numeric fields; None for all of them, those of the usage included.
        answers: Fields whose values are compared as answers.
        subsets: Fields whose values are compared as keys.
        nested: Objects whose numeric fields are kept apart.
        reasons: Whether it is kept why a number is missing, even where a field holds none far and wide.
        offsets: Whether the byte offset of every row is kept.
    """

    task: str
    index: str
    agent: str
    dialect: Dialect = NEMO_GYM
    numbers: tuple[str, ...] | None = ()
    answers: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    reasons: bool = False
    offsets: bool = False

    def paths(self, name: str) -> list[tuple[str, ...]]:
        """Where a numeric field may stand; the reward where the dialect has it."""
        return paths_of(self.dialect.reward if name == REWARD else name)

    @property
    def server(self) -> str:
        """The field of the server that ran the agent; "" where it does not count."""
        return self.dialect.server if self.agent == self.dialect.agent else ""

    @property
    def usage(self) -> tuple[str, ...]:
        """The path of the usage."""
        return tuple(self.dialect.usage.split("."))


# --- the first rows -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Head:
    """The first rows of the data: what fields there are."""

    source: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    dialect: Dialect = NEMO_GYM

    @property
    def names(self) -> list[str]:
        """The names of the fields, those one and two levels down dotted."""
        names: dict[str, None] = dict.fromkeys(self.known)
        for row in self.rows:
            for key, value in row.items():
                names[key] = None
                for inner in value if isinstance(value, dict) else ():
                    names[f"{key}.{inner}"] = None
            usage = look_up(row, self.dialect.usage.split("."))
            names |= dict.fromkeys(usage if isinstance(usage, dict) else ())
        return list(names)

    def has(self, name: str) -> bool:
        """Whether the first row has the field."""
        return bool(self.rows) and any(look_up(self.rows[0], path) not in (UNSET, None) for path in paths_of(name))


def _read_head(path: str, most: int = 64) -> Head:
    head = Head(display_name(path))
    for line in islice(_first_lines(path), most):
        try:
            head.rows.append(load_row(line))
        except RowError:  # the reader itself will say what is wrong, with its line
            continue
    signs = (dialect for dialect in dialects.DIALECTS if dialect.signs and all(map(head.has, dialect.signs)))
    head.dialect = next(signs, dialects.DIALECTS[0])
    return head


def _first_lines(path: str) -> Iterator[bytes]:
    size = HEAD_BYTES
    _, start = head_of(path, size)
    while b"\n" not in start.strip() and size <= len(start) < _LARGEST_HEAD:  # a row longer than the head
        size *= 8
        _, start = head_of(path, size)
    return iter(start.removeprefix(BOM).splitlines())


# --- choosing -------------------------------------------------------------------------------------------------------


def find_fields(paths: Sequence[str], wanted: Wanted, options: ReadOptions, listener: Listener) -> tuple[Fields, Head]:
    """Decide which fields are the keys, looking at the first rows.

    Returns:
        The fields to read, and the first rows.
    """
    text_paths = [path for path in paths if not is_parquet(path)]
    if text_paths:
        head = _read_head(text_paths[0])
    else:
        from .parquet import parquet_fields

        head = Head(paths[0], known=parquet_fields(paths[0]))
    dialect = head.dialect

    def choose(role: str, named: str | None, usual: str, guesses: tuple[str, ...]) -> str | None:
        if named is not None or head.has(usual) or not head.rows:
            return named or usual
        guess = next((name for name in guesses if head.has(name)), None)
        if guess:
            text = f"no {usual}: the {role} is taken from '{guess}' ({{{role}_key}} names another field)"
            listener.note(f"{role}-guessed", text)
        return guess

    task = choose("task", options.task_key, dialect.task, dialect.task_guesses)
    index = choose("rollout", options.rollout_key, dialect.index, dialect.index_guesses)
    if index is None and task != LINE_KEY and head.rows:
        listener.note(
            "rollout-by-appearance",
            "no rollout index: rollouts count in order of appearance within their task ({rollout_key} names a field)",
        )
    fields = Fields(
        task=task or dialect.task,
        index=index or dialect.index,
        agent=options.agent_key or dialect.agent,
        dialect=dialect,
        numbers=wanted.numbers,
        answers=wanted.answers,
        subsets=wanted.subsets,
        nested=wanted.nested,
        reasons=wanted.reasons,
        offsets=wanted.again,
    )
    return fields, head


def check_fields(numbers: Iterable[str], labels: Iterable[str], wanted: Wanted, head: Head) -> None:
    """Make sure that every field asked for is in some rollout.

    Args:
        numbers: The numeric fields that there are, those of the usage included.
        labels: The other fields that there are.
        wanted: What was asked for.
        head: The first rows.

    Raises:
        FieldError: One is in none.
    """
    missing = [name for name in wanted.numbers or () if name not in numbers]
    missing += [name for name in (*wanted.answers, *wanted.subsets) if name not in labels]
    for name in missing:
        raise FieldError(f"{head.source}: no rollout has the field '{name}'", suggestion(name, head.names))


def suggestion(name: str, names: Sequence[str]) -> str:
    """What to do about a field that is not there: the names that look like it, or the first few."""
    similar = difflib.get_close_matches(name, names, 4, 0.5) or [n for n in names if n.rsplit(".", 1)[-1] == name][:4]
    if similar:
        return f"did you mean {' or '.join(similar)}?"
    if not names:
        return "the rows have no fields"
    return f"the fields are {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
