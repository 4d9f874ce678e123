"""The HTTP endpoint `/aggregate_metrics`: an app of its own, or a route in anyone's."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic_core import to_jsonable_python
from starlette.requests import ClientDisconnect

from .. import __version__
from ..errors import DataError, RewardcliError, UsageError
from .aggregate import AggregateMetricsMixin, HookExitError
from .answers import FaultAnswer, Health, ProblemAnswer, Refusal, problem
from .body import BadBodyError, TooLargeError, TooSlowError, parse_body, read_body
from .models import AggregateMetrics, AggregateMetricsRequest
from .strict_json import encode, strict

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["MAX_BODY", "create_app", "mount_aggregate_metrics"]

MAX_BODY = 1 << 30
HEALTH = "/health"

# Requests that are parsed and computed at one time; others wait with nothing but their body. Python runs one thread at
# a time, so more threads would not be faster: they would only hold more parsed bodies in memory, and make the event
# loop, which takes its turn among them, answer later. With one alone, a small body would wait for a large one.
_AT_ONCE = 4

_log = logging.getLogger(__name__)
_bearer = HTTPBearer(auto_error=False, description="The token that the server was started with.")


# --- the answer -----------------------------------------------------------------------------------------------------


def _encoded(metrics: AggregateMetrics) -> bytes:
    """The metrics as strict JSON; `strict` has made them so, but an overridden endpoint may have answered by itself."""
    fields = {name: getattr(metrics, name) for name in AggregateMetrics.model_fields}
    if not fields["perf_summary"]:
        del fields["perf_summary"]
    return encode(fields, lambda value: strict(to_jsonable_python(value)))


def _let_go(rows: list[dict[str, Any]]) -> None:
    """Free rows a few at a time: to free a million at once takes a second, in which no other thread can run."""
    while rows:
        del rows[-1000:]


async def _answer(mixin: AggregateMetricsMixin, body: bytearray) -> Response:
    """What the mixin says of a body, or what is wrong."""
    try:
        asked = await asyncio.to_thread(parse_body, body)
        metrics = AggregateMetrics.model_validate(await mixin.aggregate_metrics(asked))
        answer = await asyncio.to_thread(_encoded, metrics)
        rows = [*asked.verify_responses, *metrics.group_level_metrics]
        del asked, metrics
        await asyncio.to_thread(_let_go, rows)
        return Response(answer, media_type="application/json")
    except BadBodyError as error:
        return JSONResponse(FaultAnswer(detail=[error.fault]).model_dump(), 422)
    except DataError as error:
        return JSONResponse(problem(type(error).__name__, error.message, error.hint), 400)
    except BaseException as error:  # a hook may do anything, even call sys.exit
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        _log.exception("POST /aggregate_metrics failed")
        cause = error.error if isinstance(error, HookExitError) else error
        message, hint = (cause.message, cause.hint) if isinstance(cause, RewardcliError) else (str(cause), "")
        return JSONResponse(problem(type(cause).__name__, message, hint), 500)


# --- the routes -----------------------------------------------------------------------------------------------------

_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {
        "model": ProblemAnswer,
        "description": "The data cannot be aggregated: for example, two rollouts have the same key.",
    },
    408: {"model": ProblemAnswer, "description": "The body stopped coming."},
    413: {"model": ProblemAnswer, "description": "The body is too large."},
    422: {"model": FaultAnswer, "description": "The body is not JSON, or has the wrong shape."},
    500: {"model": ProblemAnswer, "description": "A hook raised an exception."},
}


def mount_aggregate_metrics(
    app: FastAPI | APIRouter,
    mixin: AggregateMetricsMixin | None = None,
    *,
    path: str = "/aggregate_metrics",
    max_body: int = MAX_BODY,
) -> None:
    """Add `POST /aggregate_metrics` to an app.

    Args:
        app: The app, or a router of it. Who may call the route is its own business.
        mixin: The hooks; None for none.
        path: The path of the route.
        max_body: The size in bytes of the largest body that is let in.
    """
    hooks = AggregateMetricsMixin() if mixin is None else mixin
    turns = asyncio.Semaphore(_AT_ONCE)
    nobody = Response(status_code=499)  # for a client that has hung up

    async def aggregate_metrics(request: Request) -> Response:
        """Profile verify responses as one agent, and add what the environment's hooks compute."""
        try:
            body = await read_body(request, max_body)
            async with turns:
                # Who left while it waited wants no answer.
                return nobody if await request.is_disconnected() else await _answer(hooks, body)
        except ClientDisconnect:
            return nobody
        except TooLargeError:
            message, hint = f"the body is larger than {max_body:,} bytes", "send fewer rollouts at a time"
            return Refusal(problem("BodyTooLarge", message, hint), 413, {"Connection": "close"})
        except TooSlowError:
            content = problem("BodyTooSlow", "the body stopped coming, or comes too slowly", "send it in one go")
            return Refusal(content, 408, {"Connection": "close"})

    app.add_api_route(
        path,
        aggregate_metrics,
        methods=["POST"],
        response_model=AggregateMetrics,
        responses=_RESPONSES,
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
            sent = await _bearer(Request(scope))
            if sent is None or not hmac.compare_digest(sent.credentials.strip().encode("latin-1"), self._token):
                content = problem("Unauthorized", "the token is missing or wrong", "send Authorization: Bearer <token>")
                app = Refusal(content, 401, {"Connection": "close", "WWW-Authenticate": "Bearer"})
        await app(scope, receive, send)


def _check_token(token: str) -> None:
    """Make sure that a caller can send the token."""
    if not token:
        raise UsageError("the token is empty", "give it at least one character")
    try:
        token.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the token is not UTF-8 text", "choose letters and digits") from error
    if token != token.strip() or not all(char.isprintable() for char in token):
        raise UsageError(
            "the token has spaces at an end, or characters that no HTTP header can carry", "choose letters and digits"
        )


def create_app(
    mixin: AggregateMetricsMixin | None = None, *, token: str | None = None, max_body: int = MAX_BODY
) -> FastAPI:
    """The app that `rewardcli serve` runs: `POST /aggregate_metrics` and `GET /health`.

    Args:
        mixin: The hooks; None for none.
        token: What callers must send as `Authorization: Bearer <token>`, except for the health; None for nothing.
        max_body: The size in bytes of the largest body that is let in.

    Raises:
        UsageError: The token is empty, or no HTTP header can carry it.
    """
    if token is not None:
        _check_token(token)
    app = FastAPI(title="rewardcli", version=__version__, description="Aggregate metrics of LLM rollouts.")

    @app.get(HEALTH)
    async def health() -> Health:
        """Answers while the server is up, however much it computes."""
        return Health()

    # The route asks for the token so that the API's description says so; the check is before it, as 404 needs it too.
    router = APIRouter(dependencies=[Security(_bearer)] if token else [])
    mount_aggregate_metrics(router, mixin, max_body=max_body)
    app.include_router(router)
    if token:
        app.add_middleware(_TokenRequired, token=token)
    return app
