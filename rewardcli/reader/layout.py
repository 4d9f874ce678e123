"""Which keys of a row are read, and the msgspec type that decodes just these and skips the rest.

A layout is a tree of the JSON keys that matter. Where every number is wanted its names are not known in advance:
then the tree learns. An unknown key, or a value of a type that its key never had, makes decoding fail; the row is
parsed whole once, the tree grows, and the msgspec type is built again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any

import msgspec

from ..rollouts import BOOLEAN, FLOAT, INTEGER, NULL
from .jsonrow import UNDECODABLE, UNSET, RowError, load_row, look_up
from .shorten import LONG_ROW, shortened

__all__ = ["NO_NUMBER", "UNNAMEABLE", "BadLine", "Layout", "RowColumns"]

JsonType = int | str

# The types of JSON, by those of Python. What a caller in Python gives may have any other type.
_TEXT, _LIST, _OBJECT, _OTHER = "text", "list", "object", "other"
_JSON_TYPE_OF: dict[type, JsonType] = {
    int: INTEGER,
    float: FLOAT,
    bool: BOOLEAN,
    str: _TEXT,
    type(None): NULL,
    list: _LIST,
    dict: _OBJECT,
}
# msgspec makes floats of integers where it is told to expect only floats.
_TYPE_OF: dict[JsonType, Any] = {INTEGER: int, FLOAT: int | float, BOOLEAN: bool, _TEXT: str, NULL: None}
_NUMBERS = {INTEGER, FLOAT, BOOLEAN, _OTHER}
BadLine = RowError | None  # None for a line that is blank

_SCALAR = bool | int | float | str | None
# A list as the value of a field that matters: skipped, as every list is, but seen to be there.
_SkippedList = msgspec.defstruct("SkippedList", [], array_like=True, frozen=True, gc=False)

# Stands for a number that is not there: a NaN, so that a column with gaps is still one of floats. Its identity tells it
# from any other NaN.
NO_NUMBER = float("nan")

# Rebuilding the type pays while rows share their keys. A file that goes on teaching keys, batch after batch, is parsed
# whole instead once so many more batches had news than had none.
_MOST_REBUILDS = 50
_WORTH_SHORTENING = 0.8

# Keys that msgspec takes for no field; rows that have one stay dicts.
UNNAMEABLE = re.compile(r'["\\\x00-\x1f]')


class _Node:
    """One key: whether its value is kept, and which keys below it matter."""

    __slots__ = ("attribute", "children", "get", "kept", "learns", "met", "struct", "types")

    def __init__(self, attribute: str = "", learns: bool = False) -> None:
        self.attribute = attribute
        self.get = _getter(attribute)
        self.children: dict[str, _Node] = {}
        self.met: dict[str, None] = {}
        self.kept = False
        self.learns = learns
        self.types: set[JsonType] = set()
        self.struct: Any = None

    def child(self, key: str) -> _Node:
        if key not in self.children:
            self.children[key] = _Node(f"k{len(self.children)}")
        return self.children[key]

    def nameable(self) -> bool:
        """Whether all keys from here down can be names of a msgspec type."""
        return all(not UNNAMEABLE.search(key) and child.nameable() for key, child in self.children.items())

    def build(self) -> Any:
        """Build the type of the value that this key has."""
        for child in self.children.values():
            child.build()
        self.struct = msgspec.defstruct(
            "Row",
            [(child.attribute, child.type(), child.default()) for child in self.children.values()],
            rename={child.attribute: key for key, child in self.children.items()},
            forbid_unknown_fields=self.learns,
            frozen=True,
            gc=False,
        )
        return self.struct

    def type(self) -> Any:
        if self.kept:
            return Any
        if self.has_fields():
            return self.struct | _SCALAR | list
        types = [_TYPE_OF[json_type] for json_type in _TYPE_OF if json_type in self.types]
        types += [self.struct] if _OBJECT in self.types else []
        # Skipping a list takes a type that excludes that of an object; then the list is parsed.
        types += [(list if _OBJECT in self.types else _SkippedList)] if _LIST in self.types else []
        return reduce(or_, types)

    def default(self) -> Any:
        return UNSET if self.kept else self.struct() if self.has_fields() else NO_NUMBER

    def has_fields(self) -> bool:
        """Whether keys below this one matter; then any value is let pass, and none is news."""
        return bool(self.children) or self.learns

    def may_be_number(self) -> bool:
        """Whether the decoder lets numbers pass here."""
        return self.kept or self.has_fields() or not self.types.isdisjoint(_NUMBERS)

    def only_state(self) -> int | None:
        """What every value is that the decoder lets pass here; None if its type does not say."""
        if self.kept or self.has_fields():
            return None
        return INTEGER if self.types == {INTEGER} else BOOLEAN if self.types == {BOOLEAN} else None

    def learn(self, value: Any) -> bool:
        """Take note of a value that stands here; says whether that was news."""
        json_type = _JSON_TYPE_OF.get(type(value), _OTHER)
        news = not (json_type in self.types or self.kept or self.has_fields())
        self.types.add(json_type)
        if json_type != _OBJECT:
            return news
        if self.learns:
            for key, item in value.items():
                child = self.children.get(key)
                if child is None:
                    news, child = True, self.child(key)
                news |= child.learn(item)
                self.met[key] = None
        else:
            for key, child in self.children.items():
                if key in value:
                    news |= child.learn(value[key])
        return news

    def convert(self, value: Any) -> Any:
        """A parsed value as the decoder would have given it."""
        if self.kept or not isinstance(value, dict):
            return value
        children = self.children
        return self.struct(**{children[k].attribute: children[k].convert(v) for k, v in value.items() if k in children})


class Layout:
    """What is read of each row.

    Args:
        paths: Key paths of which the value is kept, whatever it is.
        learns: Key paths below which every number is wanted, so that unknown keys are learnt; `()` is the row itself.
        apart: More such paths, whose keys have no part in `orders`.

    Attributes:
        orders: The keys of every row that taught a key, in the row's own order.
    """

    def __init__(
        self,
        paths: Iterable[Sequence[str]],
        learns: Sequence[Sequence[str]] = (),
        apart: Sequence[Sequence[str]] = (),
    ) -> None:
        self.orders: list[tuple[str, ...]] = []
        self._root = _Node()
        self._learns = learns
        for path in (*learns, *apart):
            self._node(path).learns = True
        for path in (paths := list(paths)):
            self._node(path).kept = True
        self._kept = [tuple(path) for path in paths]
        self._shortens = True
        self._rebuilds = 0
        self._learning = self._root.learns
        self._build()

    def _node(self, path: Sequence[str]) -> _Node:
        node = self._root
        for key in path:
            node = node.child(key)
        return node

    def _build(self) -> None:
        self._as_dicts = not self._root.nameable()
        if not self._as_dicts:
            self._decode = msgspec.json.Decoder(self._root.build()).decode

    def names(self, *path: str) -> list[str]:
        """The keys known so far below a path, in the order they were met."""
        node = self._node(path)
        return list(node.met | dict.fromkeys(node.children))

    def numbers(self, *path: str, everything: bool = False) -> dict[str, int | None]:
        """Those of them whose values may be numbers (or all), and the state of all values, if it is one."""
        children = self._node(path).children
        return {
            name: children[name].only_state()
            for name in self.names(*path)
            if everything or children[name].may_be_number()
        }

    def learn(self, rows: Iterable[Any]) -> bool:
        """Take note of the keys of rows that are dicts; says whether there was news."""
        news, known = False, self._count_met()
        for row in rows:
            news |= self._root.learn(row)
            if known != (known := self._count_met()):
                objects = (look_up(row, path) for path in self._learns)
                keys = (key for inner in objects if isinstance(inner, dict) for key in inner)
                self.orders.append(tuple(dict.fromkeys(keys)))
        return news

    def _count_met(self) -> int:
        return sum(len(self._node(path).met) for path in self._learns)

    def decode(self, lines: list[bytes]) -> tuple[list[Any], dict[int, BadLine]]:
        """Decode lines into rows.

        Returns:
            The rows (None for a line without one); and by position why a line is not a row.
        """
        short = self._without_long_arrays(lines)
        rows, bad = self._decode_lines(short, lines)
        if short is not lines and self._keeps_array(rows):
            self._shortens = False  # an array is a value that counts
            rows, bad = self._decode_lines(lines, lines)
        return rows, bad

    def _without_long_arrays(self, lines: list[bytes]) -> list[bytes]:
        """The lines to decode: shortened while that makes them much shorter, else as they are."""
        size = sum(map(len, lines)) if self._shortens else 0
        if not lines or size < LONG_ROW * len(lines):
            return lines
        short = list(map(shortened, lines))
        self._shortens = sum(map(len, short)) < _WORTH_SHORTENING * size
        return short

    def _keeps_array(self, rows: list[Any]) -> bool:
        columns = self.columns(rows)
        return any(isinstance(value, (list, dict)) for path in self._kept for value in columns[path])

    def _decode_lines(self, short: list[bytes], lines: list[bytes]) -> tuple[list[Any], dict[int, BadLine]]:
        if not self._learning and not self._as_dicts:
            try:
                rows = list(map(self._decode, short))
            except UNDECODABLE:
                pass
            else:
                self._rebuilds = max(self._rebuilds - 1, 0)
                return rows, {}
        rows, whole, bad = self._decode_each(short, lines)
        news = self.learn(whole.values()) and self._root.learns
        if news:
            self._build()
            self._rebuilds += not self._learning
        self._learning = self._rebuilds > _MOST_REBUILDS
        for position, row in whole.items():
            rows[position] = row if self._as_dicts else self._root.convert(row)
        return rows, bad

    def _decode_each(
        self, short: list[bytes], lines: list[bytes]
    ) -> tuple[list[Any], dict[int, Any], dict[int, BadLine]]:
        """Decode one line after the other, parsing whole what the type does not fit; all lines while learning.

        Returns:
            The rows, without those that were parsed whole; these, by position; and by position why a line is not a row.
        """
        rows: list[Any] = [None] * len(lines)
        whole: dict[int, Any] = {}
        bad: dict[int, BadLine] = {}
        for position, line in enumerate(lines):
            if not self._learning and not self._as_dicts:
                try:
                    rows[position] = self._decode(short[position])
                    continue
                except UNDECODABLE:
                    pass
            try:
                whole[position] = load_row(line)
            except RowError as error:
                bad[position] = error if line.strip() else None
        return rows, whole, bad

    def columns(self, rows: list[Any]) -> RowColumns:
        """The rows, by column."""
        return RowColumns(self._root, rows)


class RowColumns:
    """The values of rows of one type, or of dicts, by their paths."""

    def __init__(self, root: _Node, rows: Sequence[Any]) -> None:
        self._root = root
        self._values: dict[tuple[str, ...], Sequence[Any]] = {(): rows}

    def __getitem__(self, path: tuple[str, ...]) -> Sequence[Any]:
        """The values at a path, UNSET where there is none."""
        if path not in self._values:
            node = self._root
            for key in path:
                node = node.children[key]
            parents = self[path[:-1]]
            try:
                self._values[path] = node.get(parents)
            except AttributeError:  # a parent is not an object, or was decoded before the type grew
                self._values[path] = [_step(parent, node, path[-1]) for parent in parents]
        return self._values[path]


@cache
def _getter(attribute: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Get one attribute of many objects, twice as fast as `operator.attrgetter`: the access is specialised."""
    if not attribute:
        return list
    getter: Callable[[Sequence[Any]], list[Any]] = eval(f"lambda rows: [row.{attribute} for row in rows]")  # noqa: S307 - our own name
    return getter


def _step(value: Any, node: _Node, key: str) -> Any:
    absent = UNSET if node.kept or node.has_fields() else NO_NUMBER
    if isinstance(value, dict):
        return value.get(key, absent)
    return getattr(value, node.attribute, absent) if isinstance(value, msgspec.Struct) else absent
