"""The HTTP endpoint `/aggregate_metrics`: an app of its own, or a route in anyone's."""

from __future__ import annotations

import asyncio
import copy
import ctypes
import hmac
import json
import logging
import os
import platform
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python
from starlette.requests import ClientDisconnect

from .. import __version__
from ..errors import DataError, RewardcliError, UsageError
from ..reader import without_surrogates
from .aggregate import AggregateMetricsMixin, strict
from .models import AggregateMetrics, AggregateMetricsRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["MAX_BODY", "create_app", "listen", "mount_aggregate_metrics", "run"]

MAX_BODY = 1 << 30
HEALTH = "/health"

# Requests that are parsed and computed at one time; others wait with nothing but their body. Python runs one thread at
# a time, so more threads would not be faster: they would only hold more parsed bodies in memory, and make the event
# loop, which takes its turn among them, answer later. With one alone, a small body would wait for a large one.
_AT_ONCE = 4
# How long the rest of a body is read and thrown away after it was refused. A socket closed with unread bytes in it
# resets the connection, and many a client then never sees the answer.
_LINGER_SECONDS = 2.0

_log = logging.getLogger(__name__)


# --- answers --------------------------------------------------------------------------------------------------------


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


class Place(BaseModel):
    """What is wrong with a body, and where."""

    type: str = Field(description="The kind of error.")
    loc: list[str | int] = Field(description='"body", then keys and positions; for bad JSON, the character.')
    msg: str = Field(description="What is wrong.")


class PlaceAnswer(BaseModel):
    """The answer to a body that is no request."""

    detail: list[Place]


def _detail(kind: str, message: str, hint: str = "") -> dict[str, Any]:
    whole = message.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair cannot be sent
    return ProblemAnswer(detail=Problem(type=kind, message=whole, hint=hint)).model_dump()


class _Refusal(JSONResponse):
    """An answer given before the body is read; what still comes of the body is thrown away for a little while."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, then reads on for a moment."""
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


# --- the body -------------------------------------------------------------------------------------------------------


class _BadBodyError(Exception):
    """The body is no request."""

    def __init__(self, kind: str, place: list[str | int], message: str) -> None:
        super().__init__(message)
        self.place = Place(type=kind, loc=["body", *place], msg=message)


class _TooLargeError(Exception):
    """The body is larger than is let in."""


async def _read(request: Request, max_body: int) -> bytearray:
    """The whole body."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body:
        raise _TooLargeError
    body = bytearray()
    async for piece in request.stream():
        if len(body) + len(piece) > max_body:
            raise _TooLargeError
        body += piece
    return body


def _same(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _any_int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts: beyond every float too
        return float(digits)


def _load(text: str) -> Any:
    # Python's own parser reads NaN, Infinity and large numbers. The hook does nothing but be Python code: there, at
    # each object, other threads get their turn, which the parser by itself gives away only at the end of the body.
    try:
        value = json.loads(text, object_hook=_same)
    except json.JSONDecodeError:
        raise
    except ValueError:
        value = json.loads(text, object_hook=_same, parse_int=_any_int)
    return without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def _parse(body: bytearray) -> AggregateMetricsRequest:
    """The request in a body, which is emptied on the way.

    Raises:
        _BadBodyError: It is no JSON, or of the wrong shape.
    """
    try:
        text = body.decode("utf-8-sig")
        body.clear()
        value = _load(text)
    except UnicodeDecodeError as error:
        raise _BadBodyError("json_invalid", [error.start], f"not UTF-8 text at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise _BadBodyError("json_invalid", [error.pos], f"not JSON at {where}: {error.msg}") from None
    except RecursionError:
        raise _BadBodyError("json_invalid", [0], "nested too deeply") from None
    # By hand, since pydantic would copy every row.
    if not isinstance(value, dict):
        raise _BadBodyError("dict_type", [], f"expected an object, found {_kind(value)}")
    if "verify_responses" not in value:
        raise _BadBodyError("missing", ["verify_responses"], "the field is required")
    rows = value["verify_responses"]
    if not isinstance(rows, list):
        raise _BadBodyError("list_type", ["verify_responses"], f"expected a list, found {_kind(rows)}")
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _BadBodyError("dict_type", ["verify_responses", position], f"expected an object, found {_kind(row)}")
    return AggregateMetricsRequest.model_construct(verify_responses=rows)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _encode(metrics: AggregateMetrics) -> bytes:
    """The metrics as strict JSON; `strict` has made them so, but a mixin of one's own may have answered by itself."""
    fields = {name: getattr(metrics, name) for name in AggregateMetrics.model_fields}
    return msgspec.json.encode(fields, enc_hook=lambda value: strict(to_jsonable_python(value)))


def _let_go(rows: list[dict[str, Any]]) -> None:
    """Frees rows a few at a time: to free a million at once takes a second, in which no other thread can run."""
    while rows:
        del rows[-1000:]


# --- the routes -----------------------------------------------------------------------------------------------------


async def _answer(mixin: AggregateMetricsMixin, body: bytearray) -> Response:
    """What the mixin says of a body, or what is wrong."""
    try:
        asked = await asyncio.to_thread(_parse, body)
        metrics = AggregateMetrics.model_validate(await mixin.aggregate_metrics(asked))
        answer = await asyncio.to_thread(_encode, metrics)
        rows = [*asked.verify_responses, *metrics.group_level_metrics]
        del asked, metrics
        await asyncio.to_thread(_let_go, rows)
        return Response(answer, media_type="application/json")
    except _BadBodyError as error:
        return JSONResponse(PlaceAnswer(detail=[error.place]).model_dump(), 422)
    except DataError as error:
        return JSONResponse(_detail(type(error).__name__, error.message, error.hint), 400)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook may do anything, even call sys.exit
        _log.exception("POST /aggregate_metrics failed")
        message, hint = (error.message, error.hint) if isinstance(error, RewardcliError) else (str(error), "")
        return JSONResponse(_detail(type(error).__name__, message, hint), 500)


def mount_aggregate_metrics(
    app: FastAPI | APIRouter,
    mixin: AggregateMetricsMixin | None = None,
    *,
    path: str = "/aggregate_metrics",
    max_body: int = MAX_BODY,
) -> None:
    """Adds `POST /aggregate_metrics` to an app.

    Args:
        app: The app, or a router of it. Who may call the route is its own business.
        mixin: The hooks; None for none.
        path: The path of the route.
        max_body: The size in bytes of the largest body that is let in.
    """
    hooks = AggregateMetricsMixin() if mixin is None else mixin
    turns = asyncio.Semaphore(_AT_ONCE)
    nobody = Response(status_code=499)  # for who has hung up

    async def aggregate_metrics(request: Request) -> Response:
        """Profiles verify responses as one agent, and adds what the environment's hooks compute."""
        try:
            body = await _read(request, max_body)
            async with turns:
                # Who left while it waited wants no answer.
                return nobody if await request.is_disconnected() else await _answer(hooks, body)
        except ClientDisconnect:
            return nobody
        except _TooLargeError:
            message = f"the body is larger than {max_body:,} bytes"
            detail = _detail(
                "BodyTooLarge", message, "send fewer rollouts, or start the server with a larger --max-body"
            )
            return _Refusal(detail, 413, {"Connection": "close"})

    app.add_api_route(
        path,
        aggregate_metrics,
        methods=["POST"],
        response_model=AggregateMetrics,
        responses={
            400: {
                "model": ProblemAnswer,
                "description": "The data cannot carry the numbers: for example two rollouts of one key.",
            },
            413: {"model": ProblemAnswer, "description": "The body is too large."},
            422: {"model": PlaceAnswer, "description": "The body is no JSON, or of the wrong shape."},
            500: {"model": ProblemAnswer, "description": "A hook raised an exception."},
        },
        openapi_extra={  # the route reads the body itself, so FastAPI cannot know
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": AggregateMetricsRequest.model_json_schema()}},
            }
        },
    )


class _TokenRequired:
    """Lets only those in who send the token; anyone may ask for the health."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._app
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) != HEALTH:
            headers = dict(scope["headers"])
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            if not (hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"):
                detail = _detail("Unauthorized", "the token is missing or wrong", "send Authorization: Bearer <token>")
                app = _Refusal(detail, 401, {"Connection": "close", "WWW-Authenticate": "Bearer"})
        await app(scope, receive, send)


def create_app(
    mixin: AggregateMetricsMixin | None = None, *, token: str | None = None, max_body: int = MAX_BODY
) -> FastAPI:
    """The app that `rewardcli serve` runs: `POST /aggregate_metrics` and `GET /health`.

    Args:
        mixin: The hooks; None for none.
        token: What callers must send as `Authorization: Bearer <token>`, except for the health; None for nothing.
        max_body: The size in bytes of the largest body that is let in.

    Raises:
        UsageError: The token is empty.
    """
    app = FastAPI(title="rewardcli", version=__version__, description="Aggregate metrics of LLM rollouts.")

    @app.get(HEALTH)
    async def health() -> Health:
        """Answers while the server is up, however much it computes."""
        return Health()

    mount_aggregate_metrics(app, mixin, max_body=max_body)
    if token is not None:
        if not token:
            raise UsageError("the token is empty", "give it at least one character")
        app.add_middleware(_TokenRequired, token=token)
    return app


# --- the server -----------------------------------------------------------------------------------------------------


def listen(host: str, port: int, *, guarded: bool) -> socket.socket:
    """Opens the socket that the server listens on.

    Args:
        host: A name or an address.
        port: The port; 0 for any that is free.
        guarded: Whether callers need a token. Without one, only this machine may call.

    Raises:
        UsageError: The address can be reached from elsewhere, and callers need no token.
        RewardcliError: Nobody can listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise RewardcliError(f"no address is known for the host '{host}'", "check --host") from error
    family, kind, protocol, _, address = found[0]
    if not guarded and not ip_address(address[0]).is_loopback:
        raise UsageError(
            f"without a token the server listens on this machine only, and '{host}' is reached from elsewhere",
            "give --token or REWARDCLI_TOKEN, or a --host such as 127.0.0.1",
        )
    # With its protocol named, asyncio lets answers go out at once instead of waiting to fill a packet.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise RewardcliError(f"cannot listen on {host} port {port}: {reason}", "choose another --port") from error
    return listener


def _return_memory() -> None:
    """Has large blocks of memory returned to the system when they are freed.

    glibc takes the largest block freed so far for the measure of what to keep. After some bodies of 10 MB the server
    then held 500 MB for good; with the measure fixed, 210.
    """
    if platform.libc_ver()[0] == "glibc":
        m_mmap_threshold = -3
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 1 << 20)


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, and then until the requests in flight have finished."""
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG

    log_config = copy.deepcopy(LOGGING_CONFIG)
    log_config["handlers"]["access"]["stream"] = "ext://sys.stderr"  # as everything that is not a result
    log_config["loggers"]["rewardcli"] = {"handlers": ["default"], "level": "INFO"}
    _return_memory()
    uvicorn.Server(uvicorn.Config(app, log_config=log_config, ws="none")).run(sockets=[listener])
