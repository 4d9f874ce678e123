"""Leaves the inside of long arrays of numbers out of a row before it is decoded.

Rows of reinforcement learning are mostly token ids and log probabilities. A decoder that skips them still looks at
every digit; finding the brackets about them needs only memory searches, which are many times as fast. What is left
out is not validated, save that it holds no quote and no bracket.
"""

from __future__ import annotations

__all__ = ["LONG_ROW", "shortened"]

# Shorter rows gain nothing.
LONG_ROW = 16 << 10
_LONG_GAP = 1024
_LONG_ARRAY = 256
# A row of many short strings costs more to search than to decode: after this many the rest is left as it is.
_MOST_STRINGS = 400
_BACKSLASH = ord("\\")


def shortened(row: bytes) -> bytes:
    r"""The row with long arrays that hold no string, object or array emptied.

    Args:
        row: JSON. If it is not valid, what comes back need not be either.

    Returns:
        JSON of the same structure; the row itself if nothing is left out.

    >>> shortened(b'{"a": "[\\"", "ids": [' + b"1, " * 500 + b"2]}")
    b'{"a": "[\\"", "ids": []}'
    """
    kept: list[bytes] = []
    copied = position = 0
    for _ in range(_MOST_STRINGS):
        opening = row.find(b'"', position)
        gap_end = len(row) if opening < 0 else opening
        if gap_end - position > _LONG_GAP:
            end = row.find(b"]", position, gap_end)
            while end >= 0:
                begin = row.rfind(b"[", position, end)
                if begin >= 0 and end - begin > _LONG_ARRAY and row.find(b"{", begin, end) < 0:
                    kept.append(row[copied : begin + 1])
                    copied = end
                position = end + 1
                end = row.find(b"]", position, gap_end)
        if opening < 0:
            break
        position = _string_end(row, opening)
        if position == 0:
            return row
    return b"".join([*kept, row[copied:]]) if kept else row


def _string_end(row: bytes, opening: int) -> int:
    """Where the string that opens there has ended; 0 if it never does."""
    closing = row.find(b'"', opening + 1)
    while closing > 0 and row[closing - 1] == _BACKSLASH:
        first = closing - 1
        while row[first - 1] == _BACKSLASH:
            first -= 1
        if (closing - first) % 2 == 0:  # the backslashes escape each other, not the quote
            break
        closing = row.find(b'"', closing + 1)
    return closing + 1
