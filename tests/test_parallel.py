"""One function over many items, whatever becomes of those who apply it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from rewardcli.errors import DataError, RewardcliError
from rewardcli.parallel import WorkerProcesses, prefetch, run


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_are_those_of_the_function(jobs: int) -> None:
    assert list(run(len, ["a", "bb", ""], jobs=jobs)) == [1, 2, 0]
    assert list(run(len, [], jobs=jobs)) == []


def die_while_sending(item: int) -> bytes:
    """Does its work, but for the second item half of the result is sent when the worker dies."""

    def send_half(pipe: Connection, data: bytes) -> None:
        os.write(pipe.fileno(), bytes(data)[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    if item == 1:
        Connection._send = send_half  # type: ignore[attr-defined]
    return b"x" * 100_000


def test_a_worker_that_dies_while_it_sends_its_result_is_noticed() -> None:
    with pytest.raises(RewardcliError, match="a worker process died before it was done"):
        list(WorkerProcesses(2, fork_safe=True).run(die_while_sending, range(4)))


@pytest.mark.parametrize("fork_safe", [True, False])
@pytest.mark.parametrize("jobs", [2, 5])
def test_results_come_in_the_order_of_the_items(fork_safe: bool, jobs: int) -> None:
    items = [list(range(n)) for n in range(7)]
    assert list(WorkerProcesses(jobs, fork_safe=fork_safe).run(len, items)) == list(range(7))
    assert multiprocessing.active_children() == []


def test_no_worker_is_left_when_the_results_are_not_wanted() -> None:
    results = WorkerProcesses(2, fork_safe=True).run(len, ["a", "bb", "ccc"])
    assert next(results) == 1
    del results
    assert multiprocessing.active_children() == []


def test_what_goes_wrong_in_a_worker_is_raised_with_its_traceback() -> None:
    results = WorkerProcesses(2, fork_safe=True).run(int, ["1", "x"])
    assert next(results) == 1
    with pytest.raises(ValueError, match="invalid literal") as error:
        next(results)
    assert error.value.__notes__[0].startswith("In a worker process:\nTraceback")
    assert multiprocessing.active_children() == []


def fail(item: str) -> None:
    raise DataError(f"{item}: wrong", "fix it")


def test_an_error_in_the_data_comes_through_whole() -> None:
    with pytest.raises(DataError, match="a: wrong") as error:
        list(WorkerProcesses(2, fork_safe=True).run(fail, ["a", "b"]))
    assert (error.value.hint, hasattr(error.value, "__notes__")) == ("fix it", False)


# --- prefetch -------------------------------------------------------------------------------------------------------


def test_prefetched_items_are_the_same_in_the_same_order() -> None:
    assert list(prefetch(iter([3, None, 1]))) == [3, None, 1]
    assert list(prefetch(iter([]))) == []


def test_few_items_are_made_ahead() -> None:
    begun: list[int] = []
    before = threading.active_count()

    def make() -> Iterator[int]:
        for item in range(100):
            begun.append(item)
            yield item

    items = prefetch(make())
    assert next(items) == 0
    time.sleep(0.05)
    assert len(begun) < 10
    items.close()
    assert threading.active_count() == before


def test_what_goes_wrong_ahead_is_raised_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise DataError("wrong")

    items = prefetch(make())
    assert next(items) == 1
    with pytest.raises(DataError, match="wrong"):
        next(items)
