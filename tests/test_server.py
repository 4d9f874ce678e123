"""The server as a process, asked by a real HTTP client."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import httpx2 as httpx
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from rewardcli import (
    AggregateMetrics,
    AggregateMetricsMixin,
    AggregateMetricsRequest,
    DataError,
    UsageError,
    compute_aggregate_metrics,
)
from rewardcli.nemo_gym.serving import listen
from rewardcli.server import create_app, mount_aggregate_metrics

WORD = "wörd"
HOOKS = """
import asyncio
import concurrent.futures
import sys
import time

from rewardcli import AggregateMetricsMixin, DataError


class Opaque:
    pass


class Wishes(AggregateMetricsMixin):
    def compute_metrics(self, tasks):
        wish = tasks[0][0].get("wish")
        self.seen = tasks[0][0]["reward"]
        if wish == "sleep":
            time.sleep(tasks[0][0]["seconds"])
        if wish == "fail":
            raise ZeroDivisionError("the judge divides by zero")
        if wish == "exit":
            sys.exit(3)
        if wish == "stop":
            next(iter([]))
        if wish == "cancel":
            raise asyncio.CancelledError("enough")
        if wish == "cancelled":
            raise concurrent.futures.CancelledError
        if wish == "interrupt":
            raise KeyboardInterrupt
        if wish == "close":
            raise GeneratorExit
        if wish == "opaque":
            return {"custom": Opaque()}
        if wish == "data":
            raise DataError("the judge has no answer", "add one")
        if wish == "odd":
            return {"nan": float("nan"), "large": 2**100, "text": "\\ud800" if tasks[0][0].get("half") else "x"}
        return {"custom": len(tasks)}

    def get_key_metrics(self, agent_metrics):
        return {"seen": self.seen}


class Proxy(AggregateMetricsMixin):
    async def aggregate_metrics(self, body):
        answer = await super().aggregate_metrics(body)
        answer.key_metrics["rows"] = len(body.verify_responses)
        match body.verify_responses[0].get("wish"):
            case "cancel":
                raise asyncio.CancelledError("enough")
            case "interrupt":
                raise KeyboardInterrupt
            case "exit":
                sys.exit(3)
        return answer
"""


class Server:
    """`rewardcli serve` as a process."""

    def __init__(self, folder: Path, *options: str, code: str = "", **environment: str) -> None:
        self.log_path = folder / "server.log"
        (folder / "wishes.py").write_text(HOOKS, encoding="utf-8")
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(["-c", code] if code else ["-m", "rewardcli"]), "serve", "--port", "0", *options],
                cwd=folder,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
        self.client = httpx.Client(timeout=100, trust_env=False)
        for _ in range(800):
            match = re.search(r"listening on (http://\S+)", self.log())
            if match or self.process.poll() is not None:
                break
            time.sleep(0.05)
        assert match, self.log()
        self.url = match[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def post(self, body: Any, **settings: Any) -> httpx.Response:
        return self.client.post(f"{self.url}/aggregate_metrics", content=body, **settings)

    def ask(self, *rows: dict[str, Any]) -> httpx.Response:
        return self.post(json.dumps({"verify_responses": rows}))

    def memory(self) -> int:
        """The resident memory, in KB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        match = re.search(r"VmRSS:\s+(\d+)", status)
        assert match
        return int(match[1])

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: str, **environment: str) -> Server:
        servers.append(Server(tmp_path, *options, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("plain"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("hooked"), "--hooks", "wishes:Wishes")
    yield server
    server.stop()


def rollout(task: int, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"_ng_task_index": task, "_ng_rollout_index": index, "reward": 1.0, **fields}


def large_body(megabytes: int, reward: int) -> bytes:
    """Rollouts of 100 KB, eight a task."""
    row = (
        b'{"_ng_task_index":%d,"_ng_rollout_index":%d,"reward":%d,"response":{"usage":{"total_tokens":7}},"text":"%s"}'
    )
    text = b"x" * 100_000
    rows = [row % (i // 8, i % 8, reward, text) for i in range(megabytes * 10)]
    return b'{"verify_responses":[' + b",".join(rows) + b"]}"


def strictly(content: bytes) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content, parse_constant=refuse)


# --- answers --------------------------------------------------------------------------------------------------------


def test_health(plain: Server) -> None:
    assert plain.client.get(f"{plain.url}/health").json() == {"status": "ok"}


def test_openapi_describes_both_routes(plain: Server) -> None:
    description = plain.client.get(f"{plain.url}/openapi.json").json()
    assert set(description["paths"]) == {"/health", "/aggregate_metrics"}
    route = description["paths"]["/aggregate_metrics"]["post"]
    body = route["requestBody"]["content"]["application/json"]["schema"]
    assert body["title"] == "AggregateMetricsRequest"
    assert set(route["responses"]) == {"200", "400", "408", "413", "422", "500"}
    answer = route["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/AggregateMetrics"}
    assert plain.client.get(f"{plain.url}/docs").status_code == 200


def test_openapi_shows_the_lock_where_a_token_is_needed() -> None:
    with TestClient(create_app(token=WORD)) as client:
        headers = {b"Authorization": f"Bearer {WORD}".encode()}
        description = client.get("/openapi.json", headers=headers).json()
    assert description["paths"]["/aggregate_metrics"]["post"]["security"] == [{"HTTPBearer": []}]
    assert description["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert "security" not in description["paths"]["/health"]["get"]
    assert "security" not in create_app().openapi()["paths"]["/aggregate_metrics"]["post"]


def test_answers_as_python_does(plain: Server) -> None:
    rows = [
        rollout(t, i, score=t * 0.1 + i, ok=i == 0, response={"usage": {"total_tokens": 10 + i}})
        for t in range(3)
        for i in range(2)
    ]
    answer = plain.ask(*rows)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert strictly(answer.content) == compute_aggregate_metrics(rows).model_dump()


def test_no_responses(plain: Server) -> None:
    empty: dict[str, Any] = {
        "group_level_metrics": [],
        "agent_metrics": {},
        "key_metrics": {},
        "repeat_level_metrics": [],
    }
    assert plain.post(b'\xef\xbb\xbf{"verify_responses": []}\r\n').json() == empty


def test_several_agents_are_answered_as_one(plain: Server) -> None:
    rows = [rollout(0, i, agent_ref={"name": name}) for i, name in enumerate("ab")]
    answer = plain.ask(*rows).json()
    assert [row["num_rollouts"] for row in answer["group_level_metrics"]] == [2]
    assert answer["group_level_metrics"][0]["sample"] == {"agent_ref": {"name": "agent"}}


@pytest.mark.parametrize(
    ("rows", "key", "value"),
    [
        ('[{"reward": 1}]', "mean/reward", 1.0),
        ('[{"_ng_task_index": 0, "reward": NaN}, {"_ng_task_index": 0, "reward": 2}]', "mean/reward", 2.0),
        ('[{"_ng_task_index": 0, "reward": -Infinity}, {"_ng_task_index": 0, "reward": 2}]', "mean/reward", 2.0),
        ('[{"_ng_task_index": 0, "reward": 1e400}, {"_ng_task_index": 0, "reward": 2}]', "mean/reward", 2.0),
        ('[{"reward": 1, "large": %d}]' % 2**100, "mean/large", 2.0**100),  # noqa: UP031 - braces all over
        ('[{"reward": 1, "large": 1%s}]' % ("0" * 400), "mean/reward", 1.0),
        ('[{"reward": 1, "large": 1%s}]' % ("0" * 5000), "mean/reward", 1.0),
        ('[{"reward": 1, "response": null}]', "mean/reward", 1.0),
        ('[{"reward": 1, "response": {"usage": null}}]', "mean/reward", 1.0),
        ('[{"reward": 0.30000000000000004}, {"reward": 0.3}]', "mean/reward", 0.3),
        ('[{"reward": 1, "half \\ud800": 2}]', "mean/half \\ud800", 2.0),
        ('[{"reward": 1, "whole \\ud83d\\ude00": 2}]', "mean/whole \U0001f600", 2.0),
        ('[{"reward": 1, "note": %s1%s}]' % ("[" * 200, "]" * 200), "mean/reward", 1.0),  # noqa: UP031 - braces
    ],
    ids=[
        "one", "nan", "infinity", "1e400", "2**100", "10**400", "10**5000",
        "no-response", "no-usage", "0.1+0.2", "half-surrogate", "emoji", "deep",
    ],
)  # fmt: skip
def test_odd_data_is_answered(plain: Server, rows: str, key: str, value: float) -> None:
    if "0.3" in rows:
        rows = rows.replace('{"', '{"_ng_task_index": 0, "')
    answer = plain.post(f'{{"verify_responses": {rows}}}')
    assert answer.status_code == 200, answer.text
    assert strictly(answer.content)["agent_metrics"][key] == pytest.approx(value)


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "loc", "message"),
    [
        (b"", "json_invalid", [0], "not JSON at line 1 column 1: expected a value"),
        (b"hello", "json_invalid", [0], "not JSON at line 1 column 1: expected a value"),
        (
            b'{"verify_responses":\n [{]}',
            "json_invalid",
            [24],
            "not JSON at line 2 column 4: expected a name in double quotes",
        ),
        (b'{"verify_responses": [{"a": 1}', "json_invalid", [30], "not JSON at line 1 column 31: expected ',' or ']'"),
        (
            b'{"verify_responses": []} x',
            "json_invalid",
            [25],
            "not JSON at line 1 column 26: text after the end of the row",
        ),
        (b'{"verify_responses": "\xff"}', "json_invalid", [22], "not UTF-8 text at byte 22"),
        (b"[" * 100_000, "json_invalid", [0], "nested too deeply"),
        (b"[]", "dict_type", [], "expected an object, found a list"),
        (b"null", "dict_type", [], "expected an object, found null"),
        (b"{}", "missing", ["verify_responses"], "the field is required"),
        (b'{"verify_responses": {}}', "list_type", ["verify_responses"], "expected a list, found an object"),
        (b'{"verify_responses": null}', "list_type", ["verify_responses"], "expected a list, found null"),
        (b'{"verify_responses": [{}, 7]}', "dict_type", ["verify_responses", 1], "expected an object, found a number"),
        (b'{"verify_responses": [true]}', "dict_type", ["verify_responses", 0], "expected an object, found a boolean"),
    ],
)
def test_bad_body(plain: Server, body: bytes, kind: str, loc: list[Any], message: str) -> None:
    answer = plain.post(body)
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert (fault["type"], fault["loc"]) == (kind, ["body", *loc])
    assert fault["msg"].startswith(message)


@pytest.mark.parametrize(
    "rows",
    [
        [rollout(3, 1), rollout(3, 1)],
        [{"reward": 1}, {"reward": 2}],
        [rollout(0), {"_ng_rollout_index": 0, "reward": 1}],
        [{"_ng_task_index": 0, "_ng_rollout_index": 0}, {"_ng_task_index": 0}],
    ],
    ids=["duplicate", "no-task", "one-without-task", "one-without-rollout"],
)
def test_bad_data(plain: Server, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError) as raised:
        compute_aggregate_metrics(rows)
    answer = plain.ask(*rows)
    assert answer.status_code == 400
    assert answer.json()["detail"] == {
        "type": type(raised.value).__name__,
        "message": raised.value.message,
        "hint": raised.value.hint,
    }


def test_hooks(hooked: Server) -> None:
    answer = hooked.ask(rollout(0), rollout(1)).json()
    assert answer["agent_metrics"]["custom"] == 2
    assert answer["key_metrics"] == {"seen": 1.0}


@pytest.mark.parametrize(
    ("wish", "kind", "message"),
    [
        ("fail", "ZeroDivisionError", "the judge divides by zero"),
        ("exit", "SystemExit", "3"),
        ("stop", "RuntimeError", "a hook raised StopIteration"),
        ("cancel", "CancelledError", "enough"),
        ("cancelled", "CancelledError", ""),
        ("interrupt", "KeyboardInterrupt", ""),
        ("close", "GeneratorExit", ""),
        ("opaque", "PydanticSerializationError", "Unable to serialize unknown type"),
    ],
)
def test_hook_that_fails(hooked: Server, wish: str, kind: str, message: str) -> None:
    answer = hooked.ask(rollout(0, wish=wish))
    assert answer.status_code == 500
    detail = answer.json()["detail"]
    assert detail["type"] == kind
    assert detail["message"].startswith(message)
    assert re.search(rf"Traceback(.|\n)*{kind}", hooked.log())
    assert hooked.ask(rollout(0)).status_code == 200


def test_hook_that_finds_bad_data(hooked: Server) -> None:
    answer = hooked.ask(rollout(0, wish="data"))
    assert answer.status_code == 400
    assert answer.json()["detail"] == {"type": "DataError", "message": "the judge has no answer", "hint": "add one"}


def test_hook_with_odd_values(hooked: Server) -> None:
    metrics = strictly(hooked.ask(rollout(0, wish="odd")).content)["agent_metrics"]
    assert (metrics["nan"], metrics["large"]) == (None, 2**100)
    answer = hooked.ask(rollout(0, wish="odd", half=True))
    assert (answer.status_code, answer.json()["detail"]["type"]) == (500, "UnicodeEncodeError")


def test_other_requests_are_answered_meanwhile(hooked: Server) -> None:
    asking = threading.Thread(target=hooked.ask, args=[rollout(0, wish="sleep", seconds=1)])
    began = time.monotonic()
    asking.start()
    time.sleep(0.1)
    assert hooked.client.get(f"{hooked.url}/health").status_code == 200
    assert hooked.post(b"[]").status_code == 422
    assert time.monotonic() - began < 0.9
    asking.join()


def test_overridden_endpoint(serve: Callable[..., Server]) -> None:
    answer = serve("--hooks", "wishes:Proxy").ask(rollout(0), rollout(1))
    assert answer.json()["key_metrics"] == {"mean/reward": 1.0, "rows": 2}


def test_overridden_endpoint_that_fails(serve: Callable[..., Server]) -> None:
    server = serve("--hooks", "wishes:Proxy")
    kinds = {"cancel": "CancelledError", "interrupt": "KeyboardInterrupt", "exit": "SystemExit"}
    for wish, kind in kinds.items():
        answer = server.ask(rollout(0, wish=wish))
        assert (answer.status_code, answer.json()["detail"]["type"]) == (500, kind)
    assert server.ask(rollout(0)).status_code == 200


def test_hooks_of_two_requests_do_not_mix(hooked: Server) -> None:
    def seen(reward: int) -> Any:
        body = json.dumps({"verify_responses": [rollout(0, reward=reward, wish="sleep", seconds=0.05)]})
        with httpx.Client(timeout=60, trust_env=False) as client:
            return client.post(f"{hooked.url}/aggregate_metrics", content=body).json()["key_metrics"]["seen"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(seen, range(8))) == list(range(8))


# --- load -----------------------------------------------------------------------------------------------------------


def test_twenty_bodies_at_once(plain: Server) -> None:
    bodies = [large_body(10, reward) for reward in range(20)]
    waits: list[float] = []

    def reward_of(body: bytes) -> Any:
        with httpx.Client(timeout=100, trust_env=False) as client:
            return client.post(f"{plain.url}/aggregate_metrics", content=body).json()["agent_metrics"]["mean/reward"]

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(reward_of, body) for body in bodies]
        while not all(answer.done() for answer in answers):
            began = time.monotonic()
            assert plain.client.get(f"{plain.url}/health").status_code == 200
            waits.append(time.monotonic() - began)
            time.sleep(0.02)
    assert [answer.result() for answer in answers] == list(range(20))
    assert len(waits) > 5
    assert max(waits) < 2


def test_body_of_200_megabytes(plain: Server) -> None:
    answer = plain.post(large_body(200, 5))
    assert answer.status_code == 200
    assert answer.json()["agent_metrics"]["mean/reward"] == 5
    assert len(answer.json()["group_level_metrics"]) == 250


def test_clients_that_hang_up(serve: Callable[..., Server]) -> None:
    server = serve()
    head = b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n"
    server.ask(rollout(0))
    before = server.memory()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head + b'{"verify_responses": [' + b" " * 10_000_000)
    assert server.ask(rollout(0)).status_code == 200
    time.sleep(0.5)
    assert server.memory() - before < 60_000
    assert "Traceback" not in server.log()
    assert "rror" not in server.log()


def test_clients_that_leave_while_they_wait(serve: Callable[..., Server]) -> None:
    server = serve("--hooks", "wishes:Wishes")
    body = json.dumps({"verify_responses": [rollout(0, wish="sleep", seconds=0.4)]}).encode()
    head = b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    began = time.monotonic()
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head + body)
    assert server.ask(rollout(0)).status_code == 200
    assert time.monotonic() - began < 0.4 * 20  # of the forty at most the first few are computed
    assert "Traceback" not in server.log()


def test_memory_after_a_thousand_requests(serve: Callable[..., Server]) -> None:
    server = serve()
    rows = [rollout(t, i, score=0.5, text="x" * 100) for t in range(5) for i in range(4)]
    body = json.dumps({"verify_responses": rows}).encode()
    bad = b'{"verify_responses": [7]}'
    for _ in range(100):
        server.post(body)
        server.post(bad)
    after_100 = server.memory()
    for _ in range(900):
        assert server.post(body).status_code == 200
        assert server.post(bad).status_code == 422
    # The rows of 900 requests, kept, would take more than 20 MB; it is 0 to 1 MB that comes and goes.
    assert server.memory() - after_100 < 6_000


def test_sigterm_lets_requests_finish(serve: Callable[..., Server]) -> None:
    server = serve("--hooks", "wishes:Wishes")
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(server.ask(rollout(0, wish="sleep", seconds=1.5)).status_code)
    )
    asking.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port))
    asking.join()
    assert answers == [200]
    server.process.wait(10)
    assert "Finished server process" in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "stalled", [b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", b"POST /"]
)
def test_sigterm_ends_the_server_though_a_client_stalls(serve: Callable[..., Server], stalled: bytes) -> None:
    server = serve("--grace", "0.5")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(stalled)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        server.process.wait(10)
    assert time.monotonic() - began < 5
    assert "Traceback" not in server.log()


def test_sigterm_ends_the_server_though_a_hook_is_at_work(serve: Callable[..., Server]) -> None:
    server = serve("--hooks", "wishes:Wishes", "--grace", "0.5")
    body = json.dumps({"verify_responses": [rollout(0, wish="sleep", seconds=60)]}).encode()
    head = b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + body)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        server.process.wait(10)
    assert time.monotonic() - began < 5


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_largest_body(serve: Callable[..., Server]) -> None:
    server = serve("--max-body", "100000")
    message, hint = "the body is larger than 100,000 bytes", "send fewer rollouts at a time"

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 50_000

    for body in (b" " * 100_001, b" " * 20_000_000, pieces()):
        answer = server.post(body)
        assert answer.status_code == 413
        assert answer.json()["detail"] == {"type": "BodyTooLarge", "message": message, "hint": hint}
    # This client sends its whole body before it looks for an answer.
    simple = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    simple.request("POST", "/aggregate_metrics", b" " * 20_000_000)
    assert simple.getresponse().status == 413
    simple.close()
    fits = json.dumps({"verify_responses": [rollout(0)]}).encode().ljust(100_000)
    assert server.post(fits).status_code == 200
    assert server.post(iter([fits[:50_000], fits[50_000:]])).status_code == 200

    heads = {b"Content-Length: 5000000000": b"", b"Transfer-Encoding: chunked": b"30d40\r\n" + b" " * 200_000}
    for head, start in heads.items():  # answered though the rest never comes
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + start)
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert "Traceback" not in server.log()


def seconds_until_closed(connection: socket.socket, trickle: bytes = b"") -> float:
    """How long the server keeps a connection whose client sends next to nothing."""
    began = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - began < 10:
        try:
            connection.sendall(trickle)
            if not connection.recv(1000):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


LIMITED = """
from rewardcli.nemo_gym import body, serving
serving.HEADER_SECONDS, body._PAUSE, body._SECONDS = 1.0, 1.0, 2.0
from rewardcli.cli import main
main()
"""


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, code=LIMITED)
    yield server
    server.stop()


@pytest.mark.parametrize("start", [b"", b"POST /aggr", b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("trickle", [b"", b"x"], ids=["stalled", "trickling"])
def test_headers_have_a_time_limit(limited: Server, start: bytes, trickle: bytes) -> None:
    with socket.create_connection(("127.0.0.1", limited.port)) as connection:
        connection.sendall(start)
        assert seconds_until_closed(connection, trickle) < 5
    assert limited.ask(rollout(0)).status_code == 200


@pytest.mark.parametrize("trickle", [b"", b" "], ids=["stalled", "trickling"])
def test_bodies_have_a_time_limit(limited: Server, trickle: bytes) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", limited.port)) as connection:
        connection.sendall(b"POST /aggregate_metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        connection.settimeout(0.2)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 8
            connection.sendall(trickle)
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")
    assert "Traceback" not in limited.log()


def test_more_connections_than_descriptors(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))"
    server = Server(tmp_path, code=f"{limit}; from rewardcli.cli import main; main()")
    try:
        with ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            time.sleep(1)
            assert len(server.log()) < 2_000
        time.sleep(0.5)
        assert server.ask(rollout(0)).status_code == 200
        assert "Traceback" not in server.log()
    finally:
        server.stop()


def test_token(serve: Callable[..., Server]) -> None:
    server = serve(REWARDCLI_TOKEN=WORD)
    body = json.dumps({"verify_responses": [rollout(0)]})

    def status(path: str, value: bytes | None) -> int:
        headers = {b"Authorization": value} if value else {}
        if path == "/aggregate_metrics":
            return int(server.post(body, headers=headers).status_code)
        return int(server.client.get(f"{server.url}{path}", headers=headers).status_code)

    word = WORD.encode()
    assert status("/aggregate_metrics", b"Bearer " + word) == 200
    assert status("/aggregate_metrics", b"bearer " + word) == 200
    for wrong in (None, b"Bearer", b"Bearer x", b"Basic " + word, word, b"Bearer " + word + b"x"):
        assert status("/aggregate_metrics", wrong) == 401
    assert status("/openapi.json", None) == 401
    assert status("/nowhere", None) == 401
    assert status("/health", None) == 200
    refused = server.post(large_body(10, 1))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["detail"]["message"] == "the token is missing or wrong"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - these are refused
def test_other_hosts_need_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="without a token"):
        listen(host, 0, guarded=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    listen(host, 0, guarded=False).close()


def run(*options: str, code: str = "pass", **variables: str) -> tuple[int, str]:
    start = f"{code}; from rewardcli.cli import main; main()"
    environment = {key: value for key, value in os.environ.items() if key != "REWARDCLI_TOKEN"} | variables
    finished = subprocess.run(
        [sys.executable, "-c", start, "serve", *options], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.stdout == ""
    return finished.returncode, finished.stderr


def test_refuses_to_start() -> None:
    status, message = run("--host", "0.0.0.0")  # noqa: S104 - it is refused
    assert status == 2
    assert "Error: without a token the server listens on this machine only, and '0.0.0.0' is reached" in message
    assert "give --token or REWARDCLI_TOKEN" in message
    for options, environment in ((["--token", ""], {}), ([], {"REWARDCLI_TOKEN": ""})):
        status, message = run(*options, **environment)
        assert status == 2
        assert "Error: the token is empty" in message
    for token in ("a\nb", " a", "a ", "a\x7fb"):
        assert run("--token", token)[0] == 2
    status, message = run(REWARDCLI_TOKEN="a\udcff")  # noqa: S106 - it is refused
    assert status == 2
    assert "Error: the token is not UTF-8 text" in message
    status, message = run("--hooks", "nowhere:Class")
    assert status == 1
    assert "Error: hooks: there is no module 'nowhere'" in message


def test_port_in_use() -> None:
    with listen("127.0.0.1", 0, guarded=False) as taken:
        status, message = run("--port", str(taken.getsockname()[1]))
    assert status == 1
    assert "Error: cannot listen on 127.0.0.1 port" in message
    assert "Address already in use" in message


@pytest.mark.parametrize("name", ["fastapi", "uvicorn"])
def test_extra_missing(name: str) -> None:
    status, message = run(code=f"import sys; sys.modules['{name}'] = None")
    assert status == 1
    assert f"Error: serve needs {name}" in message
    assert 'pip install "rewardcli[serve]"' in message


# --- in another app -------------------------------------------------------------------------------------------------


class Counting(AggregateMetricsMixin):
    def compute_metrics(self, tasks: list[list[dict[str, Any]]]) -> dict[str, Any]:
        return {"tasks": len(tasks)}


BODY = {"verify_responses": [rollout(0), rollout(1)]}


def test_route_in_another_app() -> None:
    app = FastAPI()
    mount_aggregate_metrics(app, Counting())
    router = APIRouter(prefix="/v1")
    mount_aggregate_metrics(router, path="/metrics", max_body=300)
    app.include_router(router)
    with TestClient(app) as client:
        assert client.post("/aggregate_metrics", json=BODY).json()["agent_metrics"]["tasks"] == 2
        assert "tasks" not in client.post("/v1/metrics", json=BODY).json()["agent_metrics"]
        assert client.post("/v1/metrics", content=b" " * 301).status_code == 413
        assert set(client.get("/openapi.json").json()["paths"]) == {"/aggregate_metrics", "/v1/metrics"}


def test_app_in_another_app() -> None:
    app = FastAPI()
    app.mount("/metrics", create_app(Counting(), token=WORD))
    with TestClient(app) as client:
        assert client.get("/metrics/health").status_code == 200
        assert client.post("/metrics/aggregate_metrics", json=BODY).status_code == 401
        answer = client.post(
            "/metrics/aggregate_metrics", json=BODY, headers={b"Authorization": f"Bearer {WORD}".encode()}
        )
        assert answer.json()["agent_metrics"]["tasks"] == 2


def test_endpoint_that_answers_a_dict() -> None:
    class Answering(AggregateMetricsMixin):
        async def aggregate_metrics(self, body: AggregateMetricsRequest) -> AggregateMetrics:
            await asyncio.sleep(0)
            answer: Any = {"agent_metrics": {"nan": float("nan"), "rows": len(body.verify_responses)}}
            return answer  # type: ignore[no-any-return]

    with TestClient(create_app(Answering())) as client:
        assert strictly(client.post("/aggregate_metrics", json=BODY).content) == {
            "group_level_metrics": [],
            "agent_metrics": {"nan": None, "rows": 2},
            "key_metrics": {},
            "repeat_level_metrics": [],
        }
