"""What the benchmarks share: run a command as a fresh process, run rounds of contenders, print a Markdown table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Measurement:
    """One run: its cost, its stdout, and why it failed if it did."""

    seconds: float
    peak_bytes: int
    output: bytes
    failure: str = ""


def run_measured(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    memory_limit: int | None = None,
    timeout: float | None = None,
) -> Measurement:
    """Run a command through the shim; stop it when it exceeds its memory limit (bytes) or its timeout (seconds)."""
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "shim.py"), str(write_end), *command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(env or {})},
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)
        try:
            stopped = _watch(process, memory_limit, timeout)
        finally:
            _end_group(process)
        with os.fdopen(read_end) as report:
            figures = report.read().split()
        stdout.seek(0)
        stderr.seek(0)
        output, errors = stdout.read(), stderr.read().decode(errors="replace")
    if stopped or not figures:
        return Measurement(0.0, 0, output, stopped or _failure(1 << 8, errors))
    seconds, peak_kilobytes, status = float(figures[0]), int(figures[1]), int(figures[2])
    return Measurement(seconds, peak_kilobytes * 1024, output, _failure(status, errors))


def _watch(process: subprocess.Popen[bytes], memory_limit: int | None, timeout: float | None) -> str:
    """Wait for the process to end; return why it must be stopped early, or an empty text."""
    start = time.monotonic()
    while True:
        try:
            process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        else:
            return ""
        if memory_limit is not None and _tree_memory(process.pid) > memory_limit:
            return "out of memory"
        if timeout is not None and time.monotonic() - start > timeout:
            return f"stopped after {timeout:,.0f} s"


def _tree_memory(pid: int) -> int:
    """Sum the anonymous memory, in bytes, of a process and its descendants (0 where /proc does not say)."""
    total = 0
    pending = [str(pid)]
    while pending:
        folder = Path("/proc", pending.pop())
        try:
            for line in (folder / "status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1]) * 1024
            for task in (folder / "task").iterdir():
                pending += (task / "children").read_text().split()
        except OSError:  # it has ended in the meantime
            continue
    return total


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a run."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(status: int, errors: str) -> str:
    """Describe a wait status; empty for success."""
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return ""
    last = errors.strip().splitlines()[-1] if errors.strip() else ""
    if "MemoryError" in last or "Out of Memory" in errors or code == -signal.SIGKILL:
        return "out of memory"
    return f"failed: {last[:100] or f'exit status {code}'}"


def run_rounds(
    names: Sequence[str], run: Callable[[str], Measurement], rounds: int, label: str = ""
) -> dict[str, list[Measurement]]:
    """Run every contender once per round, in the same order; one that fails is not run again."""
    results: dict[str, list[Measurement]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            if any(result.failure for result in results[name]):
                continue
            result = run(name)
            results[name].append(result)
            print(f"{label}round {number}: {name}: {result.failure or f'{result.seconds:.3f} s'}", file=sys.stderr)
    return results


def median_seconds(runs: Iterable[Measurement]) -> float:
    """Return the median wall time."""
    return median(run.seconds for run in runs)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table, with the first column aligned left and the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def find_rewardcli(given: str | None = None) -> str | None:
    """Find the console script: the given one, that of this environment, or the one on the path."""
    if given:
        return shutil.which(given)
    return shutil.which("rewardcli", path=Path(sys.executable).parent) or shutil.which("rewardcli")


def describe_machine() -> str:
    """Describe cores and Python, for the line under a table."""
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {sys.platform}"
