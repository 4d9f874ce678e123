"""What the server answers when something is wrong, and how."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["Fault", "FaultAnswer", "Health", "ProblemAnswer", "Refusal", "problem"]

# How long the rest of a body is read and thrown away after it was refused. A socket closed with unread bytes in it
# resets the connection, and many a client then never sees the answer.
_LINGER_SECONDS = 2.0


class Health(BaseModel):
    """The answer of a server that is up."""

    status: str = "ok"


class Problem(BaseModel):
    """What went wrong."""

    type: str = Field(description="The name of the exception, or of the problem.")
    message: str = Field(description="What is wrong.")
    hint: str = Field(default="", description="What to do next.")


class ProblemAnswer(BaseModel):
    """The answer when something went wrong."""

    detail: Problem


class Fault(BaseModel):
    """What is wrong with a body, and where."""

    type: str = Field(description="The kind of error.")
    loc: list[str | int] = Field(description='"body", then keys and positions; for bad JSON, the character.')
    msg: str = Field(description="What is wrong.")


class FaultAnswer(BaseModel):
    """The answer to a body that is not a request."""

    detail: list[Fault]


def problem(kind: str, message: str, hint: str = "") -> dict[str, Any]:
    """The content of a `ProblemAnswer`."""
    whole = message.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair cannot be sent
    return ProblemAnswer(detail=Problem(type=kind, message=whole, hint=hint)).model_dump()


class Refusal(JSONResponse):
    """An answer given before the body is read; what still comes of the body is thrown away for a little while."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then read on for a moment."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})
