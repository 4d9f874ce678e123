"""Find where worker processes begin to pay off: `python benchmarks/pool_threshold.py`.

For files of growing size, print how long reading takes with two jobs relative to one, start-up of the workers included.
`rewardcli.reader.read.SMALLEST_SHARED` is set from this.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rewardcli.reader import ReadOptions, Wanted, parts, read, read_rollouts

from make_data import write_data

ROW_BYTES = {"S": 440, "M": 8_100, "L": 146_000}
WANTED = Wanted(numbers=("reward",), answers=("extracted_answer",))


def seconds(path: str, jobs: int) -> float:
    """Time one reading of a file."""
    begin = time.perf_counter()
    read_rollouts([path], WANTED, ReadOptions(jobs=jobs))
    return time.perf_counter() - begin


def ratio(shape: str, size_mb: float, rounds: int) -> float:
    """Make a file and return the median time with two jobs relative to one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollouts.jsonl"
        write_data(path, shape, max(2, int(size_mb * 2**20) // ROW_BYTES[shape]))
        pairs = [(seconds(str(path), 1), seconds(str(path), 2)) for _ in range(rounds)]
    return statistics.median(two for _, two in pairs) / statistics.median(one for one, _ in pairs)


def main() -> None:
    """Measure every shape and size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(ROW_BYTES), help="default: %(default)s")
    parser.add_argument("--sizes", default="16,32,64,128", help="in MB; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    options = parser.parse_args()
    # Share out files of any size, in parts small enough for two workers.
    read.SMALLEST_SHARED = 0
    parts.SMALLEST_PART = 1 << 20
    print("| shape | file | 2 jobs : 1 job |\n| --- | ---: | ---: |")
    for shape in options.shapes.split(","):
        for size in options.sizes.split(","):
            print(f"| {shape} | {size} MB | {ratio(shape, float(size), options.rounds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
