"""Measure what rewardcli costs before it does any work: version, help, completion and pass@k of a small file.

Every command runs as a fresh process, once per round, always in the same order, after one round that is not counted.
The yardsticks are a bare `import typer` and a Typer script with one command that prints a line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Mapping

TRIVIAL = '''import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    """Say hello."""
    print(f"hello {name}")


app()
'''
IMPORT, COMMAND = "python -c 'import typer'", "trivial typer command"


@dataclass(frozen=True)
class Start:
    """One command line, its environment, and the yardstick to compare it with."""

    command: list[str]
    against: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


def starts(script: str | None, folder: Path, rollouts: Path) -> dict[str, Start]:
    """List everything to measure, in order."""
    trivial = folder / "trivial.py"
    trivial.write_text(TRIVIAL)
    found = {
        "python -c pass": Start([sys.executable, "-c", "pass"]),
        IMPORT: Start([sys.executable, "-c", "import typer"]),
        COMMAND: Start([sys.executable, str(trivial)]),
    }
    if script:
        passk = [script, "passk", str(rollouts), "--format"]
        completion = {"_REWARDCLI_COMPLETE": "complete_bash", "COMP_WORDS": "rewardcli pa", "COMP_CWORD": "1"}
        found |= {
            "rewardcli --version": Start([script, "--version"], IMPORT),
            "rewardcli --help": Start([script, "--help"], IMPORT),
            "rewardcli completion": Start([script], IMPORT, completion),
            "rewardcli passk, JSON": Start([*passk, "json"], COMMAND),
            "rewardcli passk, table": Start([*passk, "table"], COMMAND),
        }
    return found


def row(name: str, start: Start, results: Mapping[str, list[Measurement]]) -> list[str]:
    """Make the row: median, and difference from and ratio to the yardstick."""
    if failed := next((run.failure for run in results[name] if run.failure), ""):
        return [name, failed, start.against, "", ""]
    seconds = median_seconds(results[name])
    if not start.against:
        return [name, f"{1000 * seconds:.0f}", "", "", ""]
    yardstick = median_seconds(results[start.against])
    difference = f"{1000 * (seconds - yardstick):+.0f}"
    return [name, f"{1000 * seconds:.0f}", start.against, difference, f"{seconds / yardstick:.2f}"]


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--rollouts", type=Path, help="the small file; default: 192 slim rows, made on the spot")
    parser.add_argument("--rewardcli", help="the console script to measure; default: the one in this environment")
    options = parser.parse_args()
    script = find_rewardcli(options.rewardcli)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rollouts = options.rollouts or folder / "rollouts.jsonl"
        if not options.rollouts:
            make = [str(HERE / "make_data.py"), "--shape", "S", "--rows", "192", "-o", str(rollouts)]
            if made := run_measured([sys.executable, *make]).failure:
                sys.exit(f"the small file could not be made: {made}")
        measured = starts(script, folder, rollouts)

        def run(name: str) -> Measurement:
            return run_measured(measured[name].command, measured[name].env)

        for each in measured:
            run(each)
        results = run_rounds(list(measured), run, options.rounds)
    print(f"Medians of {options.rounds}:\n")
    rows = [row(each, start, results) for each, start in measured.items()]
    print(markdown_table(["start", "ms", "against", "difference, ms", "ratio"], rows))
    print(f"\n{describe_machine()}." + ("" if script else " **rewardcli is not installed.**"))


if __name__ == "__main__":
    main()
