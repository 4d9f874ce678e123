"""One function over many items: in this process, in worker processes, or on a Ray cluster."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, Literal, TypeVar

from .errors import DataError, RewardcliError

__all__ = ["EngineName", "OnRay", "WorkerProcesses", "available_cores", "can_fork", "prefetch", "run"]

Item = TypeVar("Item")
Result = TypeVar("Result")

EngineName = Literal["local", "ray"]


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Whether worker processes can begin as copies of this one, with all that it holds."""
    return sys.platform == "linux"


def run(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int = 1,
    engine: EngineName = "local",
    ray_address: str | None = None,
    fork_safe: bool = True,
) -> Iterator[Result]:
    """Apply a function to every item and give the results in the order of the items.

    What goes wrong with an item is raised here when its result is due.

    Args:
        function: What to apply; workers get it pickled, or as a copy of this process.
        items: What to apply it to.
        jobs: How many worker processes; 1 keeps everything in this one.
        engine: Where the workers run.
        ray_address: The cluster to join; None starts one on this machine.
        fork_safe: Whether worker processes may be forked off this one.
    """
    if engine == "ray":
        return OnRay(ray_address, jobs).run(function, items)
    return WorkerProcesses(jobs, fork_safe).run(function, items) if jobs > 1 else map(function, items)


def prefetch(items: Iterator[Item]) -> Generator[Item]:
    """Give the same items, made in a thread of its own a few ahead, while those before them are used."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=4)
    stopped = threading.Event()
    end = object()

    def put(item: Any) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                break

    def work() -> None:
        failure = None
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            failure = error
        put((end, failure))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        for item, failure in iter(ready.get, None):
            if failure is not None:
                raise failure
            if item is end:
                break
            yield item
    finally:
        stopped.set()
        worker.join()


class WorkerProcesses:
    """Worker processes on this machine."""

    def __init__(self, jobs: int, fork_safe: bool) -> None:
        self._jobs = jobs
        self._fork_safe = fork_safe

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Give the results, in order; no worker outlives this, however it ends."""
        from multiprocessing.connection import wait

        waiting = deque(enumerate(items))
        busy: dict[Any, int] = {}
        done: dict[int, tuple[Any, Exception | None]] = {}
        with self._workers(function, min(self._jobs, len(items))) as idle:
            for number in range(len(items)):
                while number not in done:
                    try:
                        while waiting and idle:
                            place, item = waiting.popleft()
                            idle[-1].send(item)
                            busy[idle.pop()] = place
                        ready: list[Any] = wait(list(busy))
                        for pipe in ready:
                            done[busy.pop(pipe)] = pipe.recv()
                            idle.append(pipe)
                    except (EOFError, OSError) as error:
                        raise RewardcliError(
                            "a worker process died before it was done",
                            "it may have been killed for want of memory: try again, or with {jobs=1}",
                        ) from error
                result, failure = done.pop(number)
                if failure is not None:
                    raise failure
                yield result

    @contextmanager
    def _workers(self, function: Callable[[Item], Result], count: int) -> Iterator[list[Any]]:
        """Start workers; gives our ends of the pipes to them.

        Each has a pipe of its own, of which only it holds the other end: so its death, in the middle of a result too,
        is noticed, which concurrent.futures cannot promise.
        """
        import multiprocessing

        context: Any = multiprocessing.get_context("fork" if self._fork_safe and can_fork() else "spawn")
        pipes, workers = [], []
        try:
            for _ in range(count):
                ours, theirs = context.Pipe()
                pipes.append(ours)
                workers.append(context.Process(target=_work, args=(theirs, function), daemon=True))
                # A worker is born with Ctrl-C held back, until it ignores it.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
                try:
                    workers[-1].start()
                finally:
                    theirs.close()
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield list(pipes)
        finally:
            for worker in workers:
                if worker.pid is not None:
                    worker.terminate()
                    worker.join()
            for pipe in pipes:
                pipe.close()


def _work(pipe: Any, function: Callable[[Any], Any]) -> None:
    """Do one item after the other, as they come through the pipe, until the process is ended."""
    _begin_work()
    with suppress(EOFError, BrokenPipeError):  # the parent has gone
        while True:
            pipe.send(_outcome(function, pipe.recv()))


def _outcome(function: Callable[[Any], Any], item: Any) -> tuple[Any, Exception | None]:
    try:
        return function(item), None
    except Exception as error:  # noqa: BLE001 - the parent raises it
        if not isinstance(error, RewardcliError):
            error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return None, error


def _begin_work() -> None:
    """Leave Ctrl-C to the parent, and end when the parent has gone."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (parent := multiprocessing.parent_process()) is not None:

        def leave() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=leave, daemon=True).start()


class OnRay:
    """A Ray cluster, which schedules the items, does them again when a worker dies, and moves the results.

    Args:
        address: The cluster to join; None for that of `RAY_ADDRESS` or, without it, one of our own on this machine.
        jobs: How many cores a cluster of our own has.
    """

    def __init__(self, address: str | None, jobs: int) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._jobs = jobs

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Give the results, in order; Ray gets every item at once, for it is made for queues far longer than ours."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise RewardcliError("reading on a Ray cluster needs Ray", 'pip install "rewardcli[ray]"') from error
        # Ray prints what becomes of its workers; standard output is for results alone.
        with redirect_stdout(sys.stderr):
            yield from self._run(ray, function, items)

    def _run(self, ray: Any, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        joins = not ray.is_initialized()
        waiting: deque[Any] = deque()
        try:
            if joins:
                self._join(ray)
            apply: Any = ray.remote(num_cpus=1, max_retries=_RETRIES)(_packed)
            waiting.extend(apply.remote(function, item) for item in items)
            while waiting:
                yield pickle.loads(ray.get(waiting.popleft()))  # noqa: S301 - our own worker packed it
        except ray.exceptions.RayTaskError as error:
            raise _cause_of(error) from None
        except ray.exceptions.RayError as error:
            raise DataError(
                f"the Ray cluster gave up: {str(error).strip().splitlines()[0]}", "see the cluster's own log"
            ) from error
        finally:
            if joins:
                ray.shutdown()  # which also ends what still runs
            else:
                for result in waiting:
                    ray.cancel(result)

    def _join(self, ray: Any) -> None:
        options: dict[str, Any] = {"num_cpus": self._jobs, "include_dashboard": False}
        if self._address != "local":
            options = {}
            _make_sure_of(self._address)
        try:
            ray.init(self._address, log_to_driver=False, logging_level="ERROR", **options)
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RewardcliError(f"cannot join the Ray cluster at {self._address}: {reason}", _CHECK_ADDRESS) from error


# An item is done again when the worker or the machine that ran it is lost, not when the data is at fault.
_RETRIES = 3
_CHECK_ADDRESS = "check {ray_address} (or RAY_ADDRESS), and RAY_AUTH_TOKEN if the cluster asks for a token"


def _packed(function: Callable[[Item], Result], item: Item) -> bytes:
    """The result as one piece, copied out of Ray's store by who gets it: arrays in the store would keep it full."""
    return pickle.dumps(function(item), pickle.HIGHEST_PROTOCOL)


def _make_sure_of(address: str) -> None:
    """Knock at a cluster's address, because Ray itself keeps on trying for minutes where nobody answers."""
    import socket

    host, colon, port = address.rsplit("://", 1)[-1].rpartition(":")
    if not (colon and port.isdecimal()):
        return  # such as "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise RewardcliError(f"no Ray cluster answers at {address}: {error}", _CHECK_ADDRESS) from error


def _cause_of(error: Any) -> BaseException:
    """What an item raised, as it would have been raised here."""
    if isinstance(error.cause, RewardcliError):
        return error.cause
    if "ModuleNotFoundError" in str(error):
        return RewardcliError(
            f"the Ray workers cannot import what they need: {str(error).strip().splitlines()[-1]}",
            "install the same rewardcli on every machine of the cluster (docs/scale.md)",
        )
    return error  # type: ignore[no-any-return]
