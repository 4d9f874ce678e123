"""The one reader: files of rollouts in, a `Rollouts` out."""

from .arrange import Rows, arrange, merge_chunks
from .read import ReadOptions, find_fields, read_inputs, read_rows

__all__ = ["ReadOptions", "Rows", "arrange", "find_fields", "merge_chunks", "read_inputs", "read_rows"]
