from pathlib import Path

import pytest

from rewardcli.errors import DataError
from rewardcli.reader.files import expand, output_stem, sibling


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in (
        "b.jsonl",
        "a.jsonl.gz",
        "c.parquet",
        "d.ndjson.zst",
        "a_materialized_inputs.jsonl",
        "a_reward_profiling.jsonl.gz",
        "a_agent_metrics.json",
        "notes.txt",
        ".hidden.jsonl",
        "_partial.jsonl",
    ):
        (tmp_path / name).touch()
    return tmp_path


def test_a_directory_stands_for_its_rollout_files_in_order_of_name(directory: Path) -> None:
    names = ["a.jsonl.gz", "b.jsonl", "c.parquet", "d.ndjson.zst"]
    assert expand([str(directory)]) == [str(directory / name) for name in names]


def test_a_directory_in_a_directory_is_no_rollout_file(directory: Path) -> None:
    (directory / "aa.jsonl").mkdir()
    assert str(directory / "aa.jsonl") not in expand([str(directory)])


def test_a_glob_stands_for_the_files_it_matches_in_order_of_name(directory: Path) -> None:
    (directory / "deep").mkdir()
    (directory / "deep" / "z.jsonl").touch()
    assert expand([f"{directory}/[bc].*"]) == [f"{directory}/b.jsonl", f"{directory}/c.parquet"]
    assert expand([f"{directory}/**/[bz].jsonl"]) == [f"{directory}/b.jsonl", f"{directory}/deep/z.jsonl"]


def test_paths_stay_in_the_order_given(directory: Path) -> None:
    paths = [f"{directory}/notes.txt", "-", f"{directory}/b.jsonl", "s3://bucket/run.jsonl"]
    assert expand(paths) == paths


def test_a_file_whose_name_looks_like_a_glob_is_that_file(directory: Path) -> None:
    path = written(directory / "[b].jsonl", b"")
    assert expand([path]) == [path]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.jsonl", "none.jsonl: no such file\ncheck the path; - reads standard input"),
        ("none*", "none*: no file matches\ncheck the pattern, and quote it if the shell expands it"),
        ("empty", "empty: a directory without rollout files\nname a file, or a directory of them"),
    ],
)
def test_what_names_no_file_is_an_error(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(DataError) as error:
        expand([path])
    assert str(error.value) == message


def test_standard_input_is_read_once() -> None:
    with pytest.raises(DataError, match="standard input can be read only once"):
        expand(["-", "-"])


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("run.jsonl", "run"),
        ("runs/run-1.5.jsonl.gz", "run-1.5"),
        ("run-1.6.jsonl.gz", "run-1.6"),
        ("run.ndjson.zst", "run"),
        ("run.parquet", "run"),
        ("run.v2", "run.v2"),
        ("runs/shards.d/", "shards.d"),
        (".jsonl", ".jsonl"),
        ("s3://bucket/run.jsonl.xz", "run"),
    ],
)
def test_the_stem_is_the_name_without_the_known_suffixes(path: str, stem: str) -> None:
    assert output_stem(path) == stem


def test_a_sibling_is_found_compressed_or_not(tmp_path: Path) -> None:
    run = written(tmp_path / "run-1.5.jsonl.gz", b"")
    assert sibling(run, "_inputs.jsonl") is None
    packed = written(tmp_path / "run-1.5_inputs.jsonl.zst", b"")
    assert sibling(run, "_inputs.jsonl") == packed
    plain = written(tmp_path / "run-1.5_inputs.jsonl", b"")
    assert sibling(run, "_inputs.jsonl") == plain
