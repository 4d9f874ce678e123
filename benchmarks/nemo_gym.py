"""Measure `profile` plus `passk` in one process, for rewardcli and for NeMo Gym's own `nemo_gym.reward_profile`.

Each side runs in a fresh process of its own environment, once per round, in the same order. It first does the whole job
on 64 rows, untimed, so that imports are not measured. Then it is timed on the real file: read rollouts and inputs,
profile, write the two profile files, and compute every pass@k and majority@k. Both use one process; NeMo Gym reads the
rollouts once for both stages, rewardcli once for each.

    python benchmarks/nemo_gym.py --python VENV/bin/python        # an environment that has nemo-gym
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import entry_points
from math import isclose
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 32_000
STAGES = ("profile", "passk")
Stages = dict[str, float]


def time_nemo_gym(rollouts: Path, inputs: Path, output: Path) -> Stages:
    """Call NeMo Gym's functions as its `gym eval profile` command does."""
    del sys.path[0]  # or this file would be imported in place of the package
    import orjson

    theirs = import_module("nemo_gym.reward_profile")

    def order(row: dict[str, Any]) -> tuple[int, int]:
        return row["_ng_task_index"], row["_ng_rollout_index"]

    start = perf_counter()
    with inputs.open() as file:
        rows = [orjson.loads(line) for line in file]
    with rollouts.open() as file:
        results = [orjson.loads(line) for line in file]
    results.sort(key=order)
    profiler = theirs.RewardProfiler()
    groups, agents = profiler.profile_from_data(rows, results)
    profiler.write_to_disk(groups, agents, output / rollouts.name)
    profiled = perf_counter()
    tasks: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        tasks.setdefault(order(result)[0], []).append(result)
    metrics, *rest = theirs.compute_pass_majority_metrics(list(tasks.values()), answer_key="extracted_answer")
    theirs.add_avg_sample_std_dev(metrics, *rest)
    (output / "passk.json").write_bytes(orjson.dumps(metrics))
    return {"profile": profiled - start, "passk": perf_counter() - profiled}


def time_rewardcli(rollouts: Path, inputs: Path, output: Path) -> Stages:
    """Run the two commands through the function behind the console script; each reads the file."""
    (script,) = entry_points(group="console_scripts", name="rewardcli")
    command = script.load()

    def run(*arguments: str) -> float:
        sys.argv = ["rewardcli", *arguments, "--format", "json", "--quiet", "--jobs", "1"]
        start = perf_counter()
        try:
            command()
        except SystemExit as stop:
            if stop.code:
                raise
        return perf_counter() - start

    with (output / "profile.json").open("w") as file, redirect_stdout(file):
        profile = run("profile", str(rollouts), "--inputs", str(inputs), "--output-dir", str(output))
    with (output / "passk.json").open("w") as file, redirect_stdout(file):
        passk = run("passk", str(rollouts), "--answer-key", "extracted_answer")
    return {"profile": profile, "passk": passk}


SIDES: dict[str, Callable[[Path, Path, Path], Stages]] = {"NeMo Gym": time_nemo_gym, "rewardcli": time_rewardcli}


def run_side(side: str, files: list[str]) -> None:
    """Do the job on the small pair of files, then on the large one, and print the seconds of its stages."""
    output = Path(files.pop())
    paths = [Path(file) for file in files]
    before = list(sys.path)
    SIDES[side](paths[0], paths[1], output)
    sys.path[:] = before
    print(json.dumps(SIDES[side](paths[2], paths[3], output)))


def make_pair(folder: Path, shape: str, rows: int) -> list[str]:
    """Make a rollouts file and its materialized inputs, sorted by task and rollout."""
    from make_data import write_data

    rollouts = folder / f"{shape}-{rows}.jsonl"
    inputs = folder / f"{shape}-{rows}_materialized_inputs.jsonl"
    if not rollouts.exists():
        write_data(rollouts, shape, rows)
    if not inputs.exists():
        keep = ("_ng_task_index", "_ng_rollout_index", "agent_ref", "responses_create_params", "difficulty")
        with rollouts.open() as file:
            kept = [{key: row[key] for key in keep} for row in map(json.loads, file)]
        kept.sort(key=lambda row: (row["_ng_task_index"], row["_ng_rollout_index"]))
        inputs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    return [str(rollouts), str(inputs)]


def has_module(python: str, module: str) -> bool:
    """Check whether an interpreter can import a module from outside this folder."""
    return subprocess.run([python, "-P", "-c", f"import {module}"], check=False, capture_output=True).returncode == 0


def different_keys(output: Path) -> list[str]:
    """List the pass@k and majority@k keys in which the two sides differ."""
    ours, theirs = (json.loads((output / side / "passk.json").read_text()) for side in ("rewardcli", "NeMo Gym"))
    flat = [key for key, value in theirs.items() if isinstance(value, int | float)]
    return [key for key in flat if key not in ours or not isclose(ours[key], theirs[key], rel_tol=1e-9, abs_tol=1e-12)]


def measure_shape(
    shape: str, commands: dict[str, list[str]], options: argparse.Namespace
) -> tuple[list[list[str]], list[str]]:
    """Run all rounds on one shape; return the rows of the table and the remarks under it."""
    from harness import run_measured, run_rounds

    files = [*make_pair(options.data, shape, 64), *make_pair(options.data, shape, options.rows)]
    rows = []
    with tempfile.TemporaryDirectory(dir=options.data, prefix="out-") as folder:
        outputs = {side: Path(folder, side) for side in commands}
        for output in outputs.values():
            output.mkdir()
        results = run_rounds(
            list(commands),
            lambda side: run_measured([*commands[side], *files, str(outputs[side])]),
            options.rounds,
            f"{shape} ",
        )
        failed = {side: run.failure for side, runs in results.items() for run in runs if run.failure}
        remarks = [f"**{shape}, {side}: {failure}**" for side, failure in failed.items()]
        medians: dict[str, list[float]] = {}
        for side, runs in results.items():
            if side in failed:
                continue
            stages = [json.loads(run.output.splitlines()[-1]) for run in runs]
            seconds = [[run[stage] for stage in STAGES] for run in stages]
            medians[side] = [*map(median, zip(*seconds, strict=True)), median(map(sum, seconds))]
            peak = max(run.peak_bytes for run in runs) / 1e6
            rows.append([shape, side, *(f"{value:.2f}" for value in medians[side]), f"{peak:,.0f}"])
        if len(medians) == len(SIDES):
            ratios = [f"{a / b:.1f} ×" for a, b in zip(medians["NeMo Gym"], medians["rewardcli"], strict=True)]
            rows.append([shape, "NeMo Gym / rewardcli", *ratios, ""])
            if keys := different_keys(Path(folder)):
                remarks.append(f"**{shape}: the two differ in {len(keys)} keys, the first is {keys[0]}**")
    return rows, remarks


def main() -> None:
    """Run the rounds and print the table."""
    if sys.argv[1:2] == ["--side"]:
        run_side(sys.argv[2], sys.argv[3:])
        return
    from harness import HERE, describe_machine, markdown_table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has nemo_gym; default: this one")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=ROWS, help="default: %(default)s")
    parser.add_argument("--shapes", default="S,M", help="default: %(default)s")
    parser.add_argument("--data", type=Path, default=HERE / ".data", help="folder of the generated files")
    options = parser.parse_args()
    pythons = {"NeMo Gym": options.python, "rewardcli": sys.executable}
    absent = [
        side
        for side, module in (("NeMo Gym", "nemo_gym.reward_profile"), ("rewardcli", "rewardcli"))
        if not has_module(pythons[side], module)
    ]
    rows = []
    notes = [f"**{side} is not installed for {pythons[side]} and was not measured.**" for side in absent]
    for shape in options.shapes.split(","):
        commands = {side: [pythons[side], __file__, "--side", side] for side in SIDES if side not in absent}
        measured, remarks = measure_shape(shape, commands, options)
        rows += measured
        notes += remarks
    print(f"{options.rows:,} rows, medians of {options.rounds}, seconds without imports:\n")
    print(markdown_table(["shape", "side", *STAGES, "both", "peak MB"], rows))
    print("\n".join(["", f"{describe_machine()}.", *notes]))


if __name__ == "__main__":
    main()
