"""The one reader: files of rollouts in, `Rollouts` out, through `read_rollouts`.

What bytes, lines and rows come in:

| word | what it is |
|---|---|
| source | a file, a URL or standard input, as messages name it |
| part | bytes of a source that one worker reads: between two line ends, or all of it |
| block | bytes as they come from the disk, the network or a decompressor, wherever they end |
| batch | about a megabyte of whole lines, decoded together |
| chunk | the rows of one part, as columns |
| piece | what one chunk, or some rows of it, add to a column |
"""

from .again import InputRows, read_again, rereadable
from .columns import column_of
from .dialects import DIALECTS, NEMO_GYM, Dialect
from .door import read_rollouts, rollouts_of_dicts
from .files import beside, display_name, expand, is_parquet, is_stream, output_stem, sibling
from .jsonrow import RowError, load_row
from .layout import UNNAMEABLE
from .options import ReadOptions, Wanted
from .parquet import load_pyarrow, parquet_labels, write_parquet
from .read import forkable_jobs
from .remote import is_remote

__all__ = [
    "DIALECTS",
    "NEMO_GYM",
    "UNNAMEABLE",
    "Dialect",
    "InputRows",
    "ReadOptions",
    "RowError",
    "Wanted",
    "beside",
    "column_of",
    "display_name",
    "expand",
    "forkable_jobs",
    "is_parquet",
    "is_remote",
    "is_stream",
    "load_pyarrow",
    "load_row",
    "output_stem",
    "parquet_labels",
    "read_again",
    "read_rollouts",
    "rereadable",
    "rollouts_of_dicts",
    "sibling",
    "write_parquet",
]
