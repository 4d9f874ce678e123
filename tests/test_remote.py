"""Rollouts behind URLs, through fsspec: its memory and local file systems, and one that serves only byte ranges."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.registry import known_implementations
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from rewardcli import parallel
from rewardcli.errors import DataError, LineError
from rewardcli.reader import ReadOptions, Wanted, parts, read, read_rollouts, streams, write_parquet
from rewardcli.reader.again import seekable
from rewardcli.reader.files import expand
from rewardcli.reader.parts import Part, lines_before, parts_of, read_batches
from rewardcli.rollouts import Rollouts


def rows(count: int, first: int = 0) -> bytes:
    return b"".join(
        json.dumps({"_ng_task_index": n, "_ng_rollout_index": 0, "reward": n % 2, "text": "x" * (n % 90)}).encode()
        + b"\n"
        for n in range(first, first + count)
    )


def load(*paths: str, **options: Any) -> Rollouts:
    return read_rollouts(paths, Wanted(numbers=("reward",)), ReadOptions(**{"jobs": 1} | options))


def all_lines(cut: list[Part]) -> bytes:
    return b"".join(line for part in cut for lines in read_batches(part) for line in lines)


# --- a store that, like s3fs and gcsfs, serves ranges of bytes ------------------------------------------------------


class _BucketFile(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.fetch(self.path, start, end)  # type: ignore[no-any-return]


class Bucket(AbstractFileSystem):  # type: ignore[misc]
    protocol = "bucket"
    blocksize = 8192
    files: ClassVar[dict[str, bytes]] = {}
    fetched: ClassVar[list[tuple[str, int, int]]] = []
    down_after: ClassVar[int | None] = None

    def fetch(self, path: str, start: int, end: int) -> bytes:
        if self.down_after is not None and end > self.down_after:
            raise RuntimeError("the store does not answer")
        self.fetched.append((path, start, end))
        return self.files[path][start:end]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path not in self.files:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.files[path]), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path).rstrip("/")
        found = [self.info(name) for name in self.files if name.rpartition("/")[0] == path]
        return found if detail else [entry["name"] for entry in found]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> _BucketFile:
        return _BucketFile(self, path, mode, self.blocksize)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> type[Bucket]:
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "files", {})
    monkeypatch.setattr(Bucket, "fetched", [])
    monkeypatch.setattr(Bucket, "down_after", None)
    return Bucket


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST_PART", 10_000)
    monkeypatch.setattr(parts, "LARGEST_PART", 10_000)
    monkeypatch.setattr(streams, "READ_BYTES", 4096)


@pytest.mark.usefixtures("small_parts")
def test_byte_ranges_give_the_lines_of_the_file(bucket: type[Bucket]) -> None:
    data = rows(1000)
    bucket.files["runs/a.jsonl"] = data
    cut = parts_of(["bucket://runs/a.jsonl"], 4)
    assert len(cut) > 5
    assert all_lines(cut) == data
    assert all(data[part.start - 1 : part.start] in {b"", b"\n"} for part in cut)
    assert [lines_before(part) for part in cut] == [data[: part.start].count(b"\n") for part in cut]


@pytest.mark.usefixtures("small_parts")
def test_a_part_fetches_little_more_than_its_own_bytes(bucket: type[Bucket]) -> None:
    bucket.files["runs/a.jsonl"] = rows(3000)
    part = parts_of(["bucket://runs/a.jsonl"], 4)[3]
    bucket.fetched.clear()
    assert len(all_lines([part])) == part.size
    assert sum(end - start for _, start, end in bucket.fetched) < part.size + 3 * 8192
    assert min(start for _, start, _ in bucket.fetched) >= part.start


@pytest.mark.usefixtures("small_parts")
def test_a_bad_line_is_named_by_url_and_line(bucket: type[Bucket]) -> None:
    data = rows(1000).splitlines(keepends=True)
    data[700] = b"{oops\n"
    bucket.files["runs/a.jsonl"] = b"".join(data)
    with pytest.raises(LineError, match=r"^bucket://runs/a.jsonl:701:2: not JSON"):
        load("bucket://runs/a.jsonl")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_store_that_fails_on_the_way_is_no_damaged_file(bucket: type[Bucket], compress: Any) -> None:
    bucket.files["runs/a.jsonl"] = compress(b"".join(rows(1, n * 7919) for n in range(5000)))
    bucket.down_after = len(bucket.files["runs/a.jsonl"]) // 2
    with pytest.raises(DataError) as caught:
        load("bucket://runs/a.jsonl", on_error="skip")
    assert str(caught.value) == (
        "bucket://runs/a.jsonl: RuntimeError: the store does not answer\n"
        "check the address, the credentials and the network"
    )


def test_planning_opens_every_shard_once(bucket: type[Bucket]) -> None:
    bucket.files |= {f"runs/{n}.jsonl": rows(10, 10 * n) for n in range(5)}
    paths = expand(["bucket://runs/*.jsonl"])
    assert [part.path for part in parts_of(paths, 2)] == [f"bucket://runs/{n}.jsonl" for n in range(5)] == paths
    assert len(bucket.fetched) == 5


def test_a_folder_stands_for_its_shards(bucket: type[Bucket]) -> None:
    names = ("b.jsonl", "a.jsonl.gz", "a_materialized_inputs.jsonl", "notes.txt", "deep/c.jsonl")
    bucket.files |= {f"runs/{name}": b"" for name in names}
    assert expand(["bucket://runs/"]) == ["bucket://runs/a.jsonl.gz", "bucket://runs/b.jsonl"]


class _Page(io.BytesIO):
    """What a web server sends that tells neither a size nor ranges."""

    size = None

    def seek(self, *_: int) -> int:
        raise ValueError("Cannot seek streaming HTTP file")


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_server_that_tells_no_size_is_read_as_a_stream(
    bucket: type[Bucket], compress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_open", lambda *_, **__: _Page(compress(rows(50))))
    assert parts_of(["bucket://page.jsonl"], 2)[0].end is None
    assert len(load("bucket://page.jsonl", jobs=2).masked) == 50


# --- fsspec's own file systems --------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_memory(memory: Any) -> None:
    memory.pipe_file("/runs/a.jsonl", rows(30))
    memory.pipe_file("/runs/b.jsonl.gz", gzip.compress(rows(30, 30)))
    rollouts = load("memory://runs/a.jsonl", "memory://runs/b.jsonl.gz")
    assert rollouts.origins.sources == ["memory://runs/a.jsonl", "memory://runs/b.jsonl.gz"]
    assert rollouts.tasks.values == list(range(60))
    assert rollouts.numbers["reward"].values.sum() == 30
    assert str(rollouts.location(45)) == "memory://runs/b.jsonl.gz:16"


def test_globs_and_folders_in_memory(memory: Any) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        memory.pipe_file(f"/runs/{name}", rows(3))
    expected = ["memory:///runs/a.jsonl", "memory:///runs/b.jsonl"]
    assert expand(["memory://runs/*.jsonl"]) == expected
    assert expand(["memory://runs/"]) == expected
    assert len(load(*expected[:1]).masked) == 3


def test_a_table_in_memory(memory: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    memory.pipe_file("/a.jsonl", rows(9))
    with memory.open("/a.parquet", "wb") as file:
        write_parquet(load("memory://a.jsonl"), file, tmp_path)
    rollouts = load("memory://a.parquet")
    assert rollouts.n_tasks == 9
    assert str(rollouts.location(4)) == "memory://a.parquet:5"


def test_a_remote_file_can_be_read_from_any_byte_on(memory: Any) -> None:
    data = rows(40)
    memory.pipe_file("/a.jsonl", data)
    memory.pipe_file("/a.jsonl.gz", gzip.compress(data))
    for url in ("memory://a.jsonl", "memory://a.jsonl.gz"):
        with seekable(url) as file:
            file.seek(data.index(b"\n") + 1)
            assert file.readline() == rows(1, 1)


def test_local_files_by_url(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(rows(5))
    (tmp_path / "b.jsonl").write_bytes(rows(5, 5))
    rollouts = load(f"file://{tmp_path}/*.jsonl")
    assert rollouts.origins.sources == [f"file://{tmp_path}/a.jsonl", f"file://{tmp_path}/b.jsonl"]
    assert rollouts.tasks.values == list(range(10))


def test_workers_of_remote_files_are_not_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_bytes(rows(2000))
    expected = load(f"{tmp_path}/a.jsonl")
    monkeypatch.setattr(parts, "SMALLEST_PART", 30_000)
    monkeypatch.setattr(read, "SMALLEST_SHARED", 0)
    safe: list[bool] = []

    def run(*args: Any, fork_safe: bool, **settings: Any) -> Any:
        safe.append(fork_safe)
        return parallel.run(*args, fork_safe=fork_safe, **settings)

    monkeypatch.setattr(read, "run", run)
    rollouts = load(f"file://{tmp_path}/a.jsonl", jobs=2)  # and this does start two workers
    load(f"{tmp_path}/a.jsonl", jobs=2)
    assert safe == [False, True]
    np.testing.assert_array_equal(rollouts.numbers["reward"].values, expected.numbers["reward"].values)
    assert [rollouts.location(row).line for row in range(2000)] == list(range(1, 2001))


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://none.jsonl", "memory://none.jsonl: no such file\ncheck the address"),
        ("memory://none*.jsonl", "memory://none*.jsonl: no file matches\ncheck the pattern"),
        ("memory://none/", "memory://none/: no file matches\ncheck the pattern"),
        (
            "nowhere://a.jsonl",
            "nowhere://a.jsonl: Protocol not known: nowhere\ninstall the package that serves this protocol",
        ),
    ],
)
def test_what_is_not_there(url: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        load(url)
    assert str(caught.value) == message


def test_a_protocol_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"class": "package_that_is_not_there.FileSystem", "err": "Install package-that-is-not-there"}
    monkeypatch.setitem(known_implementations, "lacking", known)
    with pytest.raises(DataError) as caught:
        load("lacking://a.jsonl")
    assert str(caught.value) == (
        "lacking://a.jsonl: Install package-that-is-not-there\ninstall the package that serves this protocol"
    )


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DataError) as caught:
        load("s3://bucket/a.jsonl")
    assert str(caught.value) == 's3://bucket/a.jsonl: remote paths need fsspec\npip install "rewardcli[remote]"'


def test_the_query_of_a_web_address_is_no_pattern() -> None:
    assert expand(["https://host/a.jsonl?signature=1"]) == ["https://host/a.jsonl?signature=1"]


def test_a_command_reads_urls(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(rows(6))
    command = [
        sys.executable,
        "-m",
        "rewardcli",
        "passk",
        f"file://{tmp_path}/run.jsonl",
        "-f",
        "json",
        "--write",
        "csv",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["pass@1/accuracy"] == 50.0
    assert (tmp_path / "run_passk.csv").is_file()
