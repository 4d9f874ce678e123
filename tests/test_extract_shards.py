"""The script that extracts shards: as a Slurm array, without Slurm, and again after an interruption."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "extract_shards.sh"

pytest.importorskip("pyarrow")


def run(command: list[str], cwd: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    slurm_free = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return subprocess.run(
        command, cwd=cwd, env={**slurm_free, "PATH": path, **environment}, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make three shards, and what collection leaves beside them."""
    lines = (ROOT / "examples" / "math_rollouts.jsonl").read_text().splitlines(keepends=True)
    runs = tmp_path / "runs"
    runs.mkdir()
    for shard in range(3):
        (runs / f"part-{shard}.jsonl").write_text("".join(lines[shard * 110 : (shard + 1) * 110]))
    subprocess.run(["gzip", runs / "part-1.jsonl"], check=True)
    shutil.copy(ROOT / "examples" / "math_rollouts_materialized_inputs.jsonl", runs)
    return tmp_path


def passk(cwd: Path, path: str) -> str:
    return run(["rewardcli", "passk", path, "--answer-key", "extracted_answer", "-f", "json", "-q"], cwd)


def test_an_array_of_two_tasks(folder: Path) -> None:
    command = [str(SCRIPT), "runs", "tables", "--keep", "extracted_answer"]
    array = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "1"}
    run(command, folder, SLURM_ARRAY_TASK_ID="1", **array)
    made = sorted(path.name for path in (folder / "tables").iterdir())
    assert made == ["part-0.parquet", "part-1.parquet"]  # the .gz comes last
    run(command, folder, SLURM_ARRAY_TASK_ID="2", **array)
    assert passk(folder, "tables") == passk(folder, "runs")


def test_without_slurm_and_once_more(folder: Path) -> None:
    command = [str(SCRIPT), "runs", "tables", "--keep", "extracted_answer", "--quiet"]
    run(command, folder)
    tables = sorted((folder / "tables").iterdir())
    assert len(tables) == 3
    before = [table.stat().st_mtime_ns for table in tables]
    tables[1].unlink()
    run(command, folder)  # as when the job is submitted again
    after = [table.stat().st_mtime_ns for table in tables]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_a_folder_without_shards(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run([str(SCRIPT), "runs", "tables"], tmp_path)
    assert caught.value.stderr == "runs: no shards\n"
