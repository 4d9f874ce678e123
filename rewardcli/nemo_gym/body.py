"""The body of a request: read, parsed, and looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..reader.json_text import JsonError, parse_json
from .answers import Fault
from .models import AggregateMetricsRequest

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["BadBodyError", "TooLargeError", "TooSlowError", "parse_body", "read_body"]


class BadBodyError(Exception):
    """The body is not a request."""

    def __init__(self, kind: str, loc: list[str | int], message: str) -> None:
        super().__init__(message)
        self.fault = Fault(type=kind, loc=["body", *loc], msg=message)


class TooLargeError(Exception):
    """The body is larger than is let in."""


class TooSlowError(Exception):
    """The body comes too slowly."""


# How long a client may pause, and how long it may take in all: so many seconds, and one for so many bytes.
_PAUSE, _SECONDS, _BYTES_PER_SECOND = 30.0, 60.0, 10_000


async def read_body(request: Request, max_body: int) -> bytearray:
    """The whole body.

    Raises:
        TooLargeError: It is larger than `max_body` bytes.
        TooSlowError: The client stopped sending, or sends next to nothing.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body:
        raise TooLargeError
    body = bytearray()
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(_PAUSE) as limit:
            async for piece in request.stream():
                if len(body) + len(piece) > max_body:
                    raise TooLargeError
                body += piece
                limit.reschedule(min(clock() + _PAUSE, began + _SECONDS + len(body) / _BYTES_PER_SECOND))
    except TimeoutError:
        raise TooSlowError from None
    return body


def parse_body(body: bytearray) -> AggregateMetricsRequest:
    """The request in a body, which is emptied on the way.

    Raises:
        BadBodyError: It is not JSON, or of the wrong shape.
    """
    try:
        text = body.decode("utf-8-sig")
        body.clear()
        value = parse_json(text)
    except UnicodeDecodeError as error:
        raise BadBodyError("json_invalid", [error.start], f"not UTF-8 text at byte {error.start}") from None
    except JsonError as error:
        message = f"not JSON at line {error.line} column {error.column}: {error.what}" if error.line else error.what
        raise BadBodyError("json_invalid", [error.position], message) from None
    # By hand, since pydantic would copy every row.
    if not isinstance(value, dict):
        raise BadBodyError("dict_type", [], f"expected an object, found {_type_name(value)}")
    if "verify_responses" not in value:
        raise BadBodyError("missing", ["verify_responses"], "the field is required")
    rows = value["verify_responses"]
    if not isinstance(rows, list):
        raise BadBodyError("list_type", ["verify_responses"], f"expected a list, found {_type_name(rows)}")
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            loc: list[str | int] = ["verify_responses", position]
            raise BadBodyError("dict_type", loc, f"expected an object, found {_type_name(row)}")
    return AggregateMetricsRequest.model_construct(verify_responses=rows)


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
