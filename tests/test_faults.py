import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner, Result

from rewardcli.cli import app
from rewardcli.reader import parts
from rewardcli.reader import read as reading

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

# The command line, with workers that stay in the middle of what they read, or write.
READING = """
import time
from rewardcli.reader import parts, read
from rewardcli.cli import main

def stuck(*args):
    for batch in batches(*args):
        time.sleep(100)
        yield batch

batches, read.read_batches = read.read_batches, stuck
read.SMALLEST_SHARED, parts.SMALLEST_PART = 0, 100
main()
"""
WRITING = """
import multiprocessing, time
from rewardcli.nemo_gym import files, rows
from rewardcli.cli import main

def stuck(*args):
    if multiprocessing.parent_process():
        time.sleep(100)
    return columns(*args)

columns, rows.TaskRows.columns = rows.TaskRows.columns, stuck
files.SMALLEST_SHARED, files.TASKS_AT_ONCE = 0, 10
main()
"""


def row(task: int, rollout: int = 0, **fields: Any) -> bytes:
    fields = {"_ng_task_index": task, "_ng_rollout_index": rollout, "reward": 1, **fields}
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture(autouse=True)
def rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("run.jsonl")
    path.write_bytes(b"".join(row(task) for task in range(100)))
    return path


def run(*args: str) -> Result:
    return CliRunner().invoke(app, args, catch_exceptions=False)


# --- processes ------------------------------------------------------------------------------------------------------


def parent_and_state(pid: int) -> tuple[int, str]:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0, "gone"
    return int(parent), state


def is_alive(pid: int) -> bool:
    return parent_and_state(pid)[1] not in {"gone", "Z"}


def children_of(pid: int) -> list[int]:
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in found if parent_and_state(child)[0] == pid and is_alive(child)]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class Running:
    """A command with two workers, which are in the middle of something."""

    def __init__(self, script: str) -> None:
        arguments = ["profile", "run.jsonl", "--jobs", "2", "--output-dir", "out"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        wait_for(lambda: len(children_of(self.process.pid)) == 2)
        self.workers = children_of(self.process.pid)

    def end(self) -> tuple[int, bytes, list[bytes]]:
        """The exit status, what was shown, and what was told, notes left out."""
        shown, told = self.process.communicate(timeout=20)
        return self.process.returncode, shown, [line for line in told.splitlines() if not line.startswith(b"note:")]


@pytest.fixture(params=[READING, WRITING], ids=["reading", "writing"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Takes care that nothing is left of it, nor written by it."""
    running = Running(request.param)
    try:
        yield running
        wait_for(lambda: not any(map(is_alive, running.workers)))
        assert not list(Path("out").glob("run_*"))
    finally:
        for pid in [running.process.pid, *running.workers]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        running.process.communicate()


def test_a_killed_worker_is_an_error(running: Running) -> None:
    os.kill(running.workers[1], signal.SIGKILL)
    assert running.end() == (
        1,
        b"",
        [
            b"Error: a worker process died before it was done",
            b"Hint: it may have been killed for want of memory: try again, or with --jobs 1",
        ],
    )
    assert not list(Path("out").glob("*"))


@pytest.mark.parametrize("to", [os.killpg, os.kill], ids=["to all", "to the parent"])
def test_ctrl_c_ends_the_workers_too(running: Running, to: Callable[[int, int], None]) -> None:
    time.sleep(0.2)
    to(running.process.pid, signal.SIGINT)
    assert running.end() == (130, b"", [b"interrupted"])
    assert not list(Path("out").glob("*"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_workers_end_when_their_parent_has_gone(running: Running, how: int) -> None:
    os.kill(running.process.pid, how)
    assert running.end() == (-how, b"", [])
    assert how == signal.SIGKILL or not list(Path("out").glob("*"))


# --- the engine -----------------------------------------------------------------------------------------------------


# --- files that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_of_a_file_that_grows_no_row_is_torn(rollouts: Path, monkeypatch: pytest.MonkeyPatch, jobs: str) -> None:
    monkeypatch.setattr(reading, "SMALLEST_SHARED", 0)
    monkeypatch.setattr(parts, "SMALLEST_PART", 1000)
    complete = 100
    stopped = threading.Event()

    def grow() -> None:
        nonlocal complete
        with rollouts.open("ab", buffering=0) as file:
            while not stopped.is_set():
                made = row(complete, text="x" * 50)
                file.write(made[:40])
                time.sleep(0.0005)
                file.write(made[40:])
                complete += 1

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(8):
            least = complete
            result = run("passk", "run.jsonl", "--jobs", jobs, "--format", "json", "--quiet")
            if result.exit_code == 0:
                told = json.loads(result.stdout)
                assert told["pass@1/accuracy"] == 100
                assert least <= told["coverage"]["pass@1/accuracy"]["n_rollouts"] <= complete
            else:
                assert re.match(r"Error: run\.jsonl:\d+:\d+: the line is cut off: ", result.stderr)
    finally:
        stopped.set()
        writer.join()


# --- damaged compression --------------------------------------------------------------------------------------------

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def cut_off(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(30) + packed[middle + 30 :]


@pytest.fixture(params=[(kind, harm) for kind in COMPRESS for harm in (cut_off, damaged)], ids=str)
def bad_archive(request: pytest.FixtureRequest) -> str:
    """Ten tasks in a member that is whole, ninety in one that is not; the name of the compression."""
    kind, harm = request.param
    texts = [os.urandom(100).hex() for _ in range(90)]
    whole = COMPRESS[kind](b"".join(row(task) for task in range(10)))
    harmed = harm(COMPRESS[kind](b"".join(row(10 + i, text=text) for i, text in enumerate(texts))))
    Path("run.jsonl").write_bytes(whole + harmed)
    return str(kind)


PLAIN = b"".join(row(task) for task in range(100, 110))


@pytest.mark.parametrize("others", [[], ["other.jsonl.gz"]], ids=["here", "in workers"])
def test_damaged_compression_is_an_error(bad_archive: str, others: list[str]) -> None:
    Path("other.jsonl.gz").write_bytes(gzip.compress(PLAIN))
    result = run("passk", "run.jsonl", *others, "--jobs", "2", "--write", "json", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    message = rf"Error: run\.jsonl: the {bad_archive} data is corrupt or cut off after \d+ decompressed bytes \(.+\)"
    hint = "Hint: compress it again, or keep what came before with --on-error skip"
    assert re.fullmatch(rf"{message}\n{hint}\n", result.stderr)
    assert not list(Path().glob("*_passk.json"))


@pytest.mark.parametrize("others", [[], ["other.jsonl.gz"]], ids=["here", "in workers"])
def test_what_came_before_the_damage_is_kept_if_wanted(bad_archive: str, others: list[str]) -> None:
    Path("other.jsonl.gz").write_bytes(gzip.compress(PLAIN))
    result = run("passk", "run.jsonl", *others, "--jobs", "2", "--on-error", "skip", "--format", "json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    kept = told["coverage"]["pass@1/accuracy"]["n_rollouts"] - (10 if others else 0)
    assert 10 <= kept < 100
    assert told["pass@1/accuracy"] == 100
    assert f"the {bad_archive} data is corrupt or cut off after " in result.stderr


def test_damage_that_unpacks_is_cut_off_at_the_first_bad_line() -> None:
    rows = b"".join(row(task, text="x" * 40) for task in range(3000))
    packed = bytearray(gzip.compress(rows, 0))  # stored: what is changed unpacks, and only the checksum tells
    place = packed.index(b'"_ng_task_index": 2000,')
    packed[place : place + 300] = b"?" * 300
    Path("damaged.jsonl.gz").write_bytes(bytes(packed))
    failed = run("passk", "damaged.jsonl.gz", "--quiet")
    assert failed.exit_code == 1
    assert "damaged.jsonl.gz:2001:" in failed.stderr
    assert "if the gzip file is damaged, compress it again" in failed.stderr
    for most in ("100", "0"):
        kept = run("passk", "damaged.jsonl.gz", "--on-error", "skip", "--max-errors", most, "-f", "json")
        assert kept.exit_code == 0, kept.stderr
        assert json.loads(kept.stdout)["coverage"]["pass@1/accuracy"]["n_tasks"] == 2000
        assert "the first bad line of which is 2001:" in kept.stderr
