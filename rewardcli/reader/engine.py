"""Runs one function over many parts: in this process, in worker processes, or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

from ..errors import DataError, RewardcliError

__all__ = ["Engine", "InProcess", "OnRay", "WorkerProcesses", "available_cores", "make_engine"]

Task = TypeVar("Task")
Result = TypeVar("Result")

EngineName = Literal["local", "ray"]


class Engine(Protocol):
    """Applies a function to every task and gives the results in the order of the tasks."""

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """The results, in order; what a task raises is raised here."""
        ...


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_engine(name: EngineName, jobs: int, ray_address: str | None = None, fork_safe: bool = True) -> Engine:
    """The engine for a number of jobs.

    Args:
        name: "local" or "ray".
        jobs: How many worker processes; 1 keeps everything in this one.
        ray_address: The cluster to join; None starts one on this machine.
        fork_safe: Whether worker processes may be forked off this one.
    """
    if name == "ray":
        return OnRay(ray_address, jobs)
    return WorkerProcesses(jobs, fork_safe) if jobs > 1 else InProcess()


class InProcess:
    """One task after the other, here."""

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See `Engine.run`."""
        return map(function, tasks)


class WorkerProcesses:
    """Worker processes on this machine."""

    def __init__(self, jobs: int, fork_safe: bool) -> None:
        self._jobs = jobs
        self._fork_safe = fork_safe

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See `Engine.run`; no worker outlives it, however it ends."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        fork = self._fork_safe and "fork" in multiprocessing.get_all_start_methods() and os.uname().sysname == "Linux"
        context = multiprocessing.get_context("fork" if fork else "spawn")
        others = set(multiprocessing.active_children())
        with ProcessPoolExecutor(min(self._jobs, len(tasks)), context, _begin_work) as pool:
            try:
                yield from pool.map(function, tasks)
            except BrokenProcessPool as error:
                raise RewardcliError(
                    "a worker process died before it was done",
                    "it may have been killed for want of memory: try again, or with --jobs 1",
                ) from error
            except BaseException:
                for worker in set(multiprocessing.active_children()) - others:
                    worker.terminate()
                raise


def _begin_work() -> None:
    """Leaves Ctrl-C to the parent, and ends when the parent has gone."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (parent := multiprocessing.parent_process()) is not None:

        def leave() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=leave, daemon=True).start()


class OnRay:
    """Tasks on a Ray cluster, which schedules them, runs them again when a worker dies, and moves the results."""

    def __init__(self, address: str | None, jobs: int) -> None:
        self._address = address
        self._jobs = jobs

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See `Engine.run`."""
        try:
            import ray
        except ImportError as error:
            raise RewardcliError("--engine ray needs Ray", 'pip install "rewardcli[ray]"') from error
        own = not ray.is_initialized()
        if own:
            options: dict[str, Any] = {"address": self._address} if self._address else {"num_cpus": self._jobs}
            try:
                ray.init(log_to_driver=False, logging_level="ERROR", **options)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise RewardcliError(f"cannot join the Ray cluster: {error}", "check --ray-address") from error
        try:
            remote = ray.remote(max_retries=3, num_cpus=1)(function)
            yield from map(ray.get, [remote.remote(task) for task in tasks])
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, RewardcliError) else error from None
        except ray.exceptions.RayError as error:
            raise DataError(f"the Ray cluster gave up: {error}", "see the cluster's own log") from error
        finally:
            if own:
                ray.shutdown()
