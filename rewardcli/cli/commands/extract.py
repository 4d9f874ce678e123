"""`rewardcli extract`."""

from pathlib import Path
from typing import Annotated

import typer

from ...errors import UsageError
from ..app import command
from ..options import OUTPUT, SCORING, Output, Reading, option


@command("extract")
def extract(
    reading: Reading,
    output_file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The table to write, .parquet.", show_default=False)
    ],
    keep: Annotated[
        list[str] | None,
        option(SCORING, help="Also keep this field, to be an answer, a subset or a nested score; repeatable."),
    ] = None,
    quiet: Annotated[bool, option(OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False,
) -> None:
    """Keep the numbers of rollouts as a Parquet table, which every command accepts in place of the rollouts."""
    from ...output.files import atomic_files, ensure_writable
    from ...reader import (
        Wanted,
        expand,
        is_parquet,
        is_remote,
        load_pyarrow,
        parquet_labels,
        read_rollouts,
        write_parquet,
    )

    if not is_parquet(output_file) or is_remote(output_file):
        raise UsageError(f"the table '{output_file}' must be a local file .parquet", "for example: -o shard-07.parquet")
    load_pyarrow(output_file)  # rather now than when everything has been read
    target = Path(output_file)
    ensure_writable(target.parent)
    labels = dict.fromkeys([*(keep or ()), *parquet_labels(expand(reading.rollouts))])
    with Output(quiet=quiet).session() as session:
        wanted = Wanted(numbers=None, subsets=tuple(labels), reasons=True)
        rollouts = read_rollouts(reading.rollouts, wanted, reading.options(), session.console)
        with atomic_files(target) as (file,):
            write_parquet(rollouts, file, target)
        session.console.note("wrote", f"wrote {target}: {rollouts.n_rollouts:,} rollouts")
