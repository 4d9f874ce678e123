"""Reading on a real Ray cluster of this machine, with two workers; one of them is killed on the way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rewardcli.errors import LineError, RewardcliError, UsageError
from rewardcli.listener import Listener
from rewardcli.parallel import OnRay
from rewardcli.reader import ReadOptions, Wanted, parts, read_rollouts
from rewardcli.rollouts import Rollouts

ray = pytest.importorskip("ray")

# Ray leaves it to the garbage collector to close its sockets and files, and announces changes of its own defaults.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:ray")]

TASKS, ROLLOUTS = 800, 10


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ray") / "rollouts.jsonl"
    text = "token " * 100
    with path.open("w") as file:
        for task in range(TASKS):
            for rollout in range(ROLLOUTS):
                row = {
                    "_ng_task_index": task,
                    "_ng_rollout_index": rollout,
                    "reward": (task * 7 + rollout * 3) % 5 / 4,
                    "answer": f"{task % 13}-{rollout % 3}",
                    "text": text,
                    "response": {"usage": {"output_tokens": task + rollout}},
                }
                file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster with two workers, which this process has joined."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are cut into hundreds of parts; the plan is made here, so the workers need not know."""
    monkeypatch.setattr(parts, "SMALLEST_PART", 32 << 10)
    monkeypatch.setattr(parts, "LARGEST_PART", 32 << 10)


def read(path: Path | str, listener: Listener | None = None, **options: Any) -> Rollouts:
    return read_rollouts(
        [str(path)], Wanted(numbers=None, answers=("answer",)), ReadOptions(jobs=2, **options), listener
    )


def assert_same(some: Rollouts, other: Rollouts) -> None:
    for name in ("tasks", "indices", "agents"):
        np.testing.assert_array_equal(getattr(some, name).codes, getattr(other, name).codes)
        assert getattr(some, name).values == getattr(other, name).values
    assert (some.origins.sources, some.orders) == (other.origins.sources, other.orders)
    np.testing.assert_array_equal(some.positions, other.positions)
    np.testing.assert_array_equal(some.labels["answer"].codes, other.labels["answer"].codes)
    for one, another in ((some.numbers, other.numbers), (some.usage, other.usage)):
        assert list(one) == list(another)
        for name in one:
            here, there = one[name].dense(), another[name].dense()
            np.testing.assert_array_equal(here.values, there.values)
            np.testing.assert_array_equal(here.states, there.states)


def processes() -> Iterator[tuple[int, bytes]]:
    """Every process of this machine, and its command."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield int(process.name), (process / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue


def busy_workers() -> list[int]:
    """The worker processes that are at a task, which Ray puts into their title."""
    return [process for process, title in processes() if title.startswith(b"ray::_packed")]


class Killer(Listener):
    """Kills a worker at work when the fifth part has been read."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = 0
        self.parts_when_killed = 0
        self.killed: int | None = None

    def advance(self, count: int) -> None:
        assert count
        self.parts += 1
        if self.parts == 5:
            self.kill()

    def kill(self) -> None:
        deadline = time.monotonic() + 10
        while self.killed is None and time.monotonic() < deadline:
            for worker in busy_workers():
                os.kill(worker, signal.SIGSTOP)  # so that it cannot finish before it dies
                if worker in busy_workers():
                    os.kill(worker, signal.SIGKILL)
                    self.killed, self.parts_when_killed = worker, self.parts
                    return
                os.kill(worker, signal.SIGCONT)


@pytest.mark.usefixtures("cluster", "many_parts")
def test_a_worker_killed_in_the_middle_changes_nothing(rollouts: Path) -> None:
    expected = read(rollouts)
    killer = Killer()
    rows = read(rollouts, killer, engine="ray")
    assert killer.killed is not None
    assert killer.parts_when_killed < killer.parts / 2
    assert not Path(f"/proc/{killer.killed}").exists()
    assert_same(rows, expected)
    assert rows.n_tasks == TASKS


@pytest.mark.usefixtures("cluster", "many_parts")
def test_a_bad_line_is_named_as_in_one_process(rollouts: Path, tmp_path: Path) -> None:
    lines = rollouts.read_bytes().splitlines(keepends=True)
    lines[6_000] = b'{"reward": nonsense}\n'
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join(lines))
    with pytest.raises(LineError) as here:
        read(path)
    with pytest.raises(LineError) as there:
        read(path, engine="ray")
    assert str(there.value) == str(here.value)
    assert f"{path}:6001:" in str(there.value)
    listener = Listener()
    read(path, listener, engine="ray", on_error="skip")
    assert [note.text for note in listener.notes if f"1 line skipped, the first {path}:6001:" in note.text]


@pytest.mark.usefixtures("cluster")
def test_a_relative_path_means_the_file_it_means_here(
    rollouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "some.jsonl").write_bytes(rollouts.read_bytes()[:20_000].rpartition(b"\n")[0])
    monkeypatch.chdir(folder)
    assert read("some.jsonl", engine="ray").origins.sources == ["some.jsonl"]


def test_standard_input_stays_here() -> None:
    with pytest.raises(UsageError, match="cannot read standard input"):
        read("-", engine="ray")


@pytest.mark.usefixtures("cluster")
def test_workers_that_lack_a_package_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(task: int) -> int:
        return task

    # Pickled by name, and known here only.
    monkeypatch.setitem(sys.modules, "only_here", types.ModuleType("only_here"))
    work.__module__, work.__qualname__ = "only_here", "work"
    monkeypatch.setattr(sys.modules["only_here"], "work", work, raising=False)
    with pytest.raises(
        RewardcliError, match=r"cannot import what they need: .*'only_here'\ninstall the same rewardcli"
    ):
        list(OnRay(None, 2).run(work, [1]))


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "rewardcli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.returncode, out, err


def test_a_command_joins_a_running_cluster(rollouts: Path, cluster: str) -> None:
    command = ("passk", rollouts, "--answer-key", "answer", "-f", "json")
    here = outcome(start(*command, "-j", 1))
    assert outcome(start(*command, "--engine", "ray", "--ray-address", cluster)) == here


def test_a_command_starts_a_cluster_of_its_own_and_ends_it(rollouts: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    process = start("extract", rollouts, "-o", table, "--engine", "ray", "-j", 2, "-q")
    assert outcome(process) == (0, "", "")
    assert table.is_file()
    # Every process of the cluster has a folder in its command that is named after the process that began it.
    assert not [title for _, title in processes() if re.search(rb"/session_[^/]*_%d/" % process.pid, title)]


def test_an_address_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    begin = time.monotonic()
    with pytest.raises(RewardcliError, match=r"no Ray cluster answers at 127.0.0.1:1: .*refused\ncheck ray_address"):
        list(OnRay("127.0.0.1:1", 2).run(str, [1]))
    assert time.monotonic() - begin < 10


def test_without_ray(rollouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RewardcliError, match=r"reading on a Ray cluster needs Ray\npip install") as caught:
        read(rollouts, engine="ray")
    assert caught.value.exit_code == 1
