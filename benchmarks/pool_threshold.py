"""Where worker processes begin to pay: `python benchmarks/pool_threshold.py`.

Prints, for files of growing size, how long reading takes with two jobs relative to one, start-up of the workers
included. `rewardcli.reader.read.SMALLEST_SHARED` is set from it.
"""

import statistics
import tempfile
import time
from pathlib import Path

from rewardcli.reader import ReadOptions, find_fields, read, read_rows, sources

from make_data import write_data

ROW_BYTES = {"S": 440, "M": 8_100, "L": 146_000}
SIZES_MB = (16, 32, 64, 128)
ROUNDS = 7


def seconds(path: str, jobs: int) -> float:
    """How long reading takes once."""
    options = ReadOptions(jobs=jobs)
    fields, _, _ = find_fields([path], options, numbers=("reward",), answers=("extracted_answer",))
    begin = time.perf_counter()
    read_rows([path], fields, options)
    return time.perf_counter() - begin


def main() -> None:
    """Measures and prints."""
    read.SMALLEST_SHARED = 0
    sources.SMALLEST_PART = 1 << 20
    print("| shape | file | 2 jobs : 1 job |\n| --- | ---: | ---: |")
    for shape, row_bytes in ROW_BYTES.items():
        for size in SIZES_MB:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "rollouts.jsonl"
                write_data(path, shape, max(2, (size << 20) // row_bytes))
                pairs = [(seconds(str(path), 1), seconds(str(path), 2)) for _ in range(ROUNDS)]
            ratio = statistics.median(two for _, two in pairs) / statistics.median(one for one, _ in pairs)
            print(f"| {shape} | {size} MB | {ratio:.2f} |")


if __name__ == "__main__":
    main()
