"""Compare rewardcli with other readers of the same files, and print Markdown tables.

Every contender runs as a fresh process, once per round, always in the same order. Speed is relative to the baseline:
`orjson.loads` on each line, with every numeric field and the answer extracted, in one process (= 1, more is faster).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from harness import (
    HERE,
    Measurement,
    describe_machine,
    find_rewardcli,
    markdown_table,
    median_seconds,
    run_measured,
    run_rounds,
)

Command = Callable[[Path, Path], list[str]]
SHAPES = ("S", "M", "L")
LIBRARIES = ("rewardcli", "orjson", "msgspec", "numpy", "pandas", "polars", "duckdb")


@dataclass(frozen=True)
class Contender:
    """A name, and how to make its command from (rollouts file, empty output folder)."""

    name: str
    command: Command
    needs: str = "orjson"
    env: dict[str, str] = field(default_factory=dict)


def job(name: str, *rest: str, output: bool = False) -> Command:
    """Make the command of one job of contenders.py."""

    def command(file: Path, folder: Path) -> list[str]:
        outputs = [str(folder / "profile.jsonl")] if output else []
        return [sys.executable, str(HERE / "contenders.py"), name, str(file), *outputs, *rest]

    return command


def rewardcli(script: str, name: str, jobs: int) -> Command:
    """Make the command `rewardcli passk` or `rewardcli profile`, as a user types it."""

    def command(file: Path, folder: Path) -> list[str]:
        rest = ["--answer-key", "extracted_answer"] if name == "passk" else ["--output-dir", str(folder)]
        return [script, name, str(file), *rest, "--format", "json", "--jobs", str(jobs)]

    return command


def plural(count: int, noun: str) -> str:
    """Format a count with its noun, as in `1 job` and `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def contenders(script: str | None) -> list[Contender]:
    """List all contenders, in the order in which every round runs them."""
    found = [
        Contender(f"rewardcli {name}, {plural(jobs, 'job')}", rewardcli(script or "", name, jobs), "rewardcli")
        for name in ("passk", "profile")
        for jobs in (1, 2)
    ]
    found += [
        Contender("loop", job("loop")),
        Contender("loop-columns", job("loop-columns")),
        Contender("parse", job("parse")),
        Contender("read", job("read"), "sys"),
        Contender("pandas", job("pandas"), "pandas"),
        Contender("pandas-chunks", job("pandas-chunks"), "pandas"),
    ]
    for name in ("passk", "profile"):
        write = name == "profile"
        for threads in (1, 2):
            env = {"POLARS_MAX_THREADS": str(threads)}
            polars = job(f"polars-{name}", output=write)
            found.append(Contender(f"polars {name}, {plural(threads, 'thread')}", polars, "polars", env))
        for threads in (1, 2):
            duckdb = job(f"duckdb-{name}", str(threads), output=write)
            found.append(Contender(f"duckdb {name}, {plural(threads, 'thread')}", duckdb, "duckdb"))
    return found


def data_file(folder: Path, shape: str, scale: float) -> Path:
    """Return the file of a shape; make it first if it does not exist."""
    from make_data import SHAPES as SIZES
    from make_data import write_data

    rows = max(1, round(SIZES[shape].rows * scale))
    path = folder / (f"{shape}.jsonl" if scale == 1 else f"{shape}-{rows}.jsonl")
    if not path.exists():
        print(f"making {path} …", file=sys.stderr)
        write_data(path, shape, rows)
    return path


def measure_shape(
    shape: str, file: Path, running: Sequence[Contender], options: argparse.Namespace
) -> dict[str, list[Measurement]]:
    """Run all rounds on one file, after reading it once so that every contender finds it in memory."""
    by_name = {contender.name: contender for contender in running}

    def run(name: str) -> Measurement:
        contender = by_name[name]
        with tempfile.TemporaryDirectory(dir=file.parent, prefix="out-") as folder:
            os.sync()  # so that no run pays for what the previous one wrote
            limit = int(options.memory_limit_gb * 1e9)
            return run_measured(contender.command(file, Path(folder)), contender.env, limit, options.timeout)

    run_measured([sys.executable, str(HERE / "contenders.py"), "read", str(file)])
    return run_rounds(list(by_name), run, options.rounds, f"{shape} ")


def disagreements(results: dict[str, list[Measurement]]) -> list[str]:
    """List the contenders whose metrics differ from those of the first one that prints any."""
    reference: dict[str, float] = {}
    found = []
    for name, runs in results.items():
        for result in runs:
            try:
                metrics = json.loads(result.output)
            except ValueError:
                continue
            values = {key: value for key, value in metrics.items() if isinstance(value, float | int)}
            reference = reference or values
            common = [key for key in values if key in reference]
            if not all(math.isclose(values[key], reference[key], rel_tol=1e-9) for key in common):
                found.append(name)
                break
    return found


def speed(runs: Sequence[Measurement], baseline: Sequence[Measurement]) -> str:
    """Say how many times as fast as the baseline it is, or why there is no figure."""
    failed = failure(runs)
    if failed or not runs:
        return failed or "not installed"
    if failure(baseline) or not baseline:
        return "no baseline"
    return f"{median_seconds(baseline) / median_seconds(runs):.2f}"


def failure(runs: Sequence[Measurement]) -> str:
    """Say why the contender failed; empty if it did not."""
    return next((run.failure for run in runs if run.failure), "")


def detail_row(name: str, runs: Sequence[Measurement], baseline: Sequence[Measurement]) -> list[str]:
    """Make the row: name, speed, median, fastest and slowest, peak memory."""
    if not runs or failure(runs):
        return [name, speed(runs, baseline), "", "", ""]
    seconds = sorted(run.seconds for run in runs)
    peak = max(run.peak_bytes for run in runs) / 1e6
    spread = f"{seconds[0]:.2f}–{seconds[-1]:.2f}"
    return [name, speed(runs, baseline), f"{median_seconds(runs):.2f}", spread, f"{peak:,.0f}"]


def library_versions() -> str:
    """List the versions of what was measured."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--shapes", default=",".join(SHAPES), help="default: %(default)s")
    add("--rounds", type=int, default=5, help="default: %(default)s; use fewer only to try it out")
    add("--only", default="", help="contenders whose name contains one of these words, comma-separated")
    add("--rows-scale", type=float, default=1.0, help="share of the full number of rows; default: 1")
    add("--data", type=Path, default=HERE / ".data", help="folder of the generated files; default: %(default)s")
    add("--rewardcli", help="the console script to measure; default: the one in this environment")
    add("--baseline", default="loop", help="the contender that counts as 1 and always runs; default: %(default)s")
    add("--memory-limit-gb", type=float, default=round(memory / 2, 1), help="default: half of this machine's memory")
    add("--timeout", type=float, default=900, help="seconds for one run; default: %(default)s")
    return parser.parse_args()


def main() -> None:
    """Run the rounds and print the tables."""
    options = parse_options()
    script = find_rewardcli(options.rewardcli)
    words = [word.strip() for word in options.only.split(",") if word.strip()]
    chosen = [
        contender
        for contender in contenders(script)
        if not words or contender.name == options.baseline or any(word in contender.name for word in words)
    ]
    if options.baseline not in {contender.name for contender in chosen}:
        sys.exit(f"no contender is named {options.baseline!r}")
    running = [c for c in chosen if (script if c.needs == "rewardcli" else c.needs == "sys" or find_spec(c.needs))]

    shapes = options.shapes.split(",")
    results: dict[str, dict[str, list[Measurement]]] = {}
    titles = {}
    for shape in shapes:
        file = data_file(options.data, shape, options.rows_scale)
        with file.open("rb") as lines:
            rows = sum(1 for _ in lines)
        size = file.stat().st_size
        titles[shape] = f"{shape}: {rows:,} × {size / rows:,.0f} B"
        results[shape] = measure_shape(shape, file, running, options)

    def runs(shape: str, name: str) -> list[Measurement]:
        return results[shape].get(name, [])

    print(f"Speed relative to `{options.baseline}` (= 1, more is faster), medians of {options.rounds}:\n")
    summary = [[c.name, *(speed(runs(s, c.name), runs(s, options.baseline)) for s in shapes)] for c in chosen]
    print(markdown_table(["contender", *titles.values()], summary))
    for shape in shapes:
        print(f"\n{titles[shape]}\n")
        details = [detail_row(c.name, runs(shape, c.name), runs(shape, options.baseline)) for c in chosen]
        print(markdown_table(["contender", "speed", "median s", "fastest–slowest s", "peak MB"], details))
        if differing := disagreements(results[shape]):
            print(f"\n**These got different numbers: {', '.join(differing)}**")
    print(f"\n{describe_machine()}; {library_versions()}; memory limit {options.memory_limit_gb:g} GB per contender.")


if __name__ == "__main__":
    main()
