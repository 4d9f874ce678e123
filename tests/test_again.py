"""Rows that are read twice."""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from rewardcli.errors import DataError, LineError
from rewardcli.reader import InputRows, ReadOptions, Wanted, parts, read_again, read_rollouts, rereadable
from rewardcli.reader import read as reading
from rewardcli.reader.again import seekable
from rewardcli.rollouts import Rollouts

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}

every_compression = pytest.mark.parametrize("compression", COMPRESS)


def rows(count: int, first: int = 0) -> bytes:
    return b"".join(b'{"row":%d}\n' % row for row in range(first, first + count))


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


# --- rollouts -------------------------------------------------------------------------------------------------------


def line(task: int, **fields: object) -> bytes:
    return json.dumps({"_ng_task_index": task, "_ng_rollout_index": 0, "reward": task, **fields}).encode() + b"\n"


def read(*paths: str, **options: object) -> Rollouts:
    return read_rollouts(paths, Wanted(numbers=("reward",), again=True), ReadOptions(**options))  # type: ignore[arg-type]


def tasks_again(rollouts: Rollouts) -> list[int]:
    return [row["_ng_task_index"] for row in read_again(rollouts)]


@pytest.mark.parametrize("compression", [None, *COMPRESS])
@pytest.mark.parametrize("jobs", [1, 2])
def test_rows_are_had_again_in_the_order_of_the_rollouts(
    compression: str | None, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALLEST_SHARED", 0)
    monkeypatch.setattr(parts, "SMALLEST_PART", 500)
    data = b"\xef\xbb\xbf\n" + b"".join(line(task) + b"\n" * (task % 3) for task in reversed(range(100)))
    one = written(tmp_path / "one.jsonl", data if compression is None else COMPRESS[compression](data))
    two = written(tmp_path / "two.jsonl", line(200) + line(150))
    rollouts = read(one, two, jobs=jobs)
    assert tasks_again(rollouts) == [*range(100), 150, 200]
    assert tasks_again(rollouts.take_rows(rollouts.numbers["reward"].values % 50 == 0)) == [0, 50, 150, 200]
    assert [row["reward"] for row in read_again(rollouts, np.array([101, 7]))] == [200, 7]


def test_a_byte_order_mark_in_the_middle_shifts_nothing(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    path = written(tmp_path / "run.jsonl", mark + line(0) + line(1) + mark + line(2) + line(3))
    rollouts = read(path, on_error="skip")
    assert [rollouts.location(row).line for row in range(3)] == [1, 2, 4]
    assert tasks_again(rollouts) == [0, 1, 3]


def test_a_row_that_cannot_be_had_again_is_an_error(tmp_path: Path) -> None:
    bad = b'{"_ng_task_index":5000,"_ng_rollout_index":0,"reward":1,"deep":{"text":"\xff"}}\n'
    path = written(tmp_path / "run.jsonl", b"".join(line(task, text="x" * 200) for task in range(2000)) + bad)
    rollouts = read(path)
    with pytest.raises(LineError, match=r"run\.jsonl:2001: the row cannot be read whole: not UTF-8 text"):
        read_again(rollouts)


def test_a_file_that_changed_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl", line(0) + line(1))
    rollouts = read(path)
    written(tmp_path / "run.jsonl", line(0, more=1) + line(1))
    with pytest.raises(DataError, match=r"run\.jsonl:2: the row is gone"):
        read_again(rollouts)


def test_rows_whose_offsets_were_not_kept_cannot_be_had_again(tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl", line(0))
    with pytest.raises(DataError, match="the rollouts themselves are needed"):
        read_again(read_rollouts([path], Wanted()))


def test_a_pipe_is_kept_to_be_read_again(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, line(1) + line(0))
    os.close(writer)
    plain = written(tmp_path / "run.jsonl", line(2))
    with rereadable([f"/dev/fd/{reader}", plain]) as files:
        assert files[1] == plain
        assert tasks_again(read(*files)) == [0, 1, 2]
    assert not Path(files[0]).exists()
    os.close(reader)


# --- inputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, *COMPRESS])
def test_inputs_are_had_again_without_their_keys(compression: str | None, tmp_path: Path) -> None:
    data = b"\n".join([b"", line(1, q='"'), b'{"_ng_task_index":0, "_ng_rollout_index":0, "x":NaN}', line(2, q=[1])])
    inputs = written(tmp_path / "inputs.jsonl", data if compression is None else COMPRESS[compression](data))
    path = written(tmp_path / "run.jsonl", line(0) + line(1) + line(2))
    matching = read_rollouts([path], Wanted(inputs=inputs)).matching
    assert matching is not None
    assert matching.input_of.tolist() == [1, 0, 2]
    with InputRows(matching) as rows:
        again = [json.loads(bytes(rows.raw(position))) for position in (2, 0, 1)]
    assert again == [{"reward": 2, "q": [1]}, {"reward": 1, "q": '"'}, {"x": None}]


# --- seeking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, *COMPRESS])
def test_any_file_can_be_read_from_any_byte_on(compression: str | None, tmp_path: Path) -> None:
    content = rows(5000)
    path = written(tmp_path / "run.jsonl", content if compression is None else COMPRESS[compression](content))
    with seekable(path) as stream:
        for offset in (40_000, 0, 123, len(content) - 5):
            stream.seek(offset)
            assert stream.read(100) == content[offset : offset + 100]
            assert os.pread(stream.fileno(), 100, offset) == content[offset : offset + 100]


@every_compression
def test_seeking_in_a_damaged_file_is_an_error_that_names_it(compression: str, tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl.x", COMPRESS[compression](os.urandom(9999))[:5000])
    with pytest.raises(DataError, match=r"run\.jsonl\.x"):
        seekable(path)
