import bz2
import gzip
import io
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rewardcli.errors import DataError
from rewardcli.reader import parts, streams
from rewardcli.reader.files import STDIN
from rewardcli.reader.parts import Part, lines_before, parts_of, read_batches
from rewardcli.reader.streams import head_of

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}

every_compression = pytest.mark.parametrize("compression", COMPRESS)


def rows(count: int, first: int = 0) -> bytes:
    return b"".join(b'{"row":%d}\n' % row for row in range(first, first + count))


def incompressible_rows(count: int) -> bytes:
    rng = random.Random(3)  # noqa: S311 - made-up data
    return b"".join(b'{"text":"%s"}\n' % rng.randbytes(400).hex().encode() for _ in range(count))


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def lines_of(part: Part) -> list[bytes]:
    return [line for lines in read_batches(part) for line in lines]


def all_lines(*paths: str, jobs: int = 1) -> list[bytes]:
    return [line for part in parts_of(list(paths), jobs) for line in lines_of(part)]


# --- parts of plain files -------------------------------------------------------------------------------------------

CONTENTS = {
    "equal lines": rows(10),
    "no newline at the end": rows(30)[:-1],
    "one line": b'{"row":0}',
    "a long line among short ones": rows(5) + b'{"text":"' + b"x" * 500 + b'"}\n' + rows(5),
    "blank lines and CRLF": b"\n\n" + rows(8).replace(b"\n", b"\r\n") + b"\n\n\n" + rows(3),
    "a byte order mark": b"\xef\xbb\xbf" + rows(12),
    "empty": b"",
}


@pytest.mark.parametrize("smallest", [1, 2, 7, 10, 11, 20, 64, 1000])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_parts_cover_every_line_exactly_once(
    content: bytes, smallest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SMALLEST_PART", smallest)
    path = written(tmp_path / "run.jsonl", content)
    for jobs in (1, 2, 3, 8, 100):
        assert all_lines(path, jobs=jobs) == content.splitlines(keepends=True)


def test_a_larger_file_has_many_parts_and_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST_PART", 1000)
    monkeypatch.setattr(parts, "FIRST_BATCH_BYTES", 50)
    monkeypatch.setattr(parts, "BATCH_BYTES", 200)
    content = rows(2000)
    cut = parts_of([written(tmp_path / "run.jsonl", content)], jobs=3)
    assert len(cut) >= 12
    assert len(list(read_batches(cut[0]))) > 3
    assert sum(part.size for part in cut) == len(content)
    assert [line for part in cut for line in lines_of(part)] == content.splitlines(keepends=True)


def test_files_stay_in_the_order_given_each_in_its_own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST_PART", 30)
    content = {name: rows(9, first) for first, name in enumerate(("b.jsonl", "a.jsonl.gz", "empty.jsonl", "c.jsonl"))}
    content["empty.jsonl"] = b""
    paths = [
        written(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data) for name, data in content.items()
    ]
    assert list(dict.fromkeys(part.path for part in parts_of(paths, 2))) == paths
    assert all_lines(*paths, jobs=2) == b"".join(content.values()).splitlines(keepends=True)


def test_lines_before_a_part_are_those_of_the_parts_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST_PART", 25)
    monkeypatch.setattr(parts, "BATCH_BYTES", 16)
    cut = parts_of([written(tmp_path / "run.jsonl", b"\n" + rows(30))], jobs=4)
    data = Path(cut[0].path).read_bytes()
    assert len(cut) > 4
    assert [lines_before(part) for part in cut] == [data[: part.start].count(b"\n") for part in cut]


def test_rows_appended_while_reading_are_left_out(tmp_path: Path) -> None:
    for content in (rows(5), rows(5)[:-1]):
        path = written(tmp_path / "run.jsonl", content)
        (part,) = parts_of([path], 1)
        with Path(path).open("ab") as stream:
            stream.write(rows(3, first=5))
        assert lines_of(part) == content.splitlines(keepends=True)


@pytest.mark.parametrize("left", [0, 25, 30])
def test_a_file_that_became_shorter_is_an_error(left: int, tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl", rows(5))
    (part,) = parts_of([path], 1)
    os.truncate(path, left)
    with pytest.raises(DataError, match=r"run\.jsonl: the file became shorter while it was read"):
        lines_of(part)


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl: no such file"):
        parts_of([str(tmp_path / "gone.jsonl")], 1)


# --- compressed files -----------------------------------------------------------------------------------------------


@every_compression
@pytest.mark.parametrize("name", ["run.jsonl.packed", "run.jsonl"])
def test_compressed_files_are_known_by_their_first_bytes(compression: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, COMPRESS[compression](rows(50)))
    assert parts_of([path], 4) == [Part(path, compression=compression)]
    assert all_lines(path) == rows(50).splitlines(keepends=True)
    assert head_of(path, 1000) == (compression, rows(50))


@every_compression
def test_members_one_after_the_other_are_one_stream(compression: str, tmp_path: Path) -> None:
    compress = COMPRESS[compression]
    # A line that is split between members, an empty member, no newline at the end.
    content = rows(30)[:-1]
    packed = compress(content[:55]) + compress(b"") + compress(content[55:200]) + compress(content[200:])
    assert all_lines(written(tmp_path / "run.jsonl.x", packed)) == content.splitlines(keepends=True)


@every_compression
def test_lines_longer_than_a_block_stay_whole(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEAD_BYTES", 100)
    content = incompressible_rows(20) + b"\n\n" + rows(40)
    path = written(tmp_path / "run.jsonl.x", COMPRESS[compression](content))
    assert all_lines(path) == content.splitlines(keepends=True)


@every_compression
def test_an_empty_compressed_file_has_no_lines(compression: str, tmp_path: Path) -> None:
    assert all_lines(written(tmp_path / "run.jsonl.x", COMPRESS[compression](b""))) == []


def truncated(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def without_its_last_byte(packed: bytes) -> bytes:
    return packed[:-1]


def corrupted(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(64) + packed[middle + 64 :]


every_damage = pytest.mark.parametrize("damage", [truncated, without_its_last_byte, corrupted])


@every_compression
@every_damage
def test_damaged_data_is_an_error(compression: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl.x", damage(COMPRESS[compression](incompressible_rows(100))))
    with pytest.raises(
        DataError, match=rf"run\.jsonl\.x: the {compression} data is corrupt or cut off after \d+ "
    ) as e:
        all_lines(path)
    assert e.value.hint == "compress it again, or keep what came before with on_error='skip'"


def kept_of(path: str) -> tuple[list[bytes], list[str]]:
    reasons: list[str] = []
    (part,) = parts_of([path], 1)
    return [line for lines in read_batches(part, True, reasons.append) for line in lines], reasons


@every_compression
@every_damage
def test_skip_keeps_the_members_before_the_damage(
    compression: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    compress = COMPRESS[compression]
    path = written(tmp_path / "run.jsonl.x", compress(rows(1000)) + damage(compress(incompressible_rows(100))))
    kept, reasons = kept_of(path)
    assert kept[:1000] == rows(1000).splitlines(keepends=True)
    assert len(reasons) == 1
    assert f"after {sum(map(len, kept))} decompressed bytes" in reasons[0]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", [truncated, corrupted])
def test_skip_keeps_the_lines_of_a_member_before_its_damage(
    compression: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content = incompressible_rows(1200)
    path = written(tmp_path / "run.jsonl.x", damage(COMPRESS[compression](content)))
    kept, reasons = kept_of(path)
    # The damage is about line 600; a decompressor hands out blocks, and may see the damage late.
    assert kept[:200] == content.splitlines(keepends=True)[:200]
    assert len(reasons) == 1


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skip_keeps_no_piece_of_a_line(compression: str, tmp_path: Path) -> None:
    content = incompressible_rows(5000)
    kept, _ = kept_of(written(tmp_path / "run.jsonl.x", truncated(COMPRESS[compression](content))))
    assert 1000 < len(kept) < 3000
    assert kept == content.splitlines(keepends=True)[: len(kept)]


@every_compression
def test_reading_may_stop_early(compression: str, tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl.x", COMPRESS[compression](rows(400_000)))
    batches = read_batches(parts_of([path], 1)[0])
    assert next(batches)[0] == b'{"row":0}\n'
    batches.close()  # type: ignore[attr-defined]


# --- standard input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, *COMPRESS])
@pytest.mark.parametrize("count", [0, 3, 5000])
def test_standard_input_is_read_whole_after_a_look_at_its_head(
    compression: str | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rows(count) if compression is None else COMPRESS[compression](rows(count))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    head = head_of(STDIN, 10_000)
    assert head_of(STDIN, 10_000) == head
    assert head[0] == compression
    (part,) = parts_of([STDIN], 4)
    assert part.name == "<stdin>"
    assert lines_of(part) == rows(count).splitlines(keepends=True)
