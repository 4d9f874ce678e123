"""Any text can be the name of a field."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rewardcli.cli import app


@pytest.mark.parametrize("name", ['q"x', "nl\nx", "tab\tx", "back\\slash", "\ud800", "é", "a.b", ""])
def test_any_text_can_name_a_field(name: str, tmp_path: Path) -> None:
    rows = [{"_ng_task_index": t, "reward": t, "usage": {}, name: t + 1} for t in range(3)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    done = CliRunner().invoke(app, ["profile", str(path), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["agents"][0][f"mean/{shown}"] == 2.0
    written = (tmp_path / "run_reward_profiling.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["rollout_infos"][0][shown] for line in written] == [1, 2, 3]
    if name and shown == name:
        done = CliRunner().invoke(app, ["passk", str(path), "--score", f"s={name}", "--format", "json"])
        assert json.loads(done.stdout)["pass@1/s"] == 200.0, done.output


def test_a_file_named_twice_keeps_its_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"_ng_task_index": 0, "_ng_rollout_index": 0, "reward": 1}\n', encoding="utf-8")
    done = CliRunner().invoke(app, ["passk", str(path), str(path)])
    assert done.exit_code == 1
    assert f"{path}:1: duplicate of {path}:1" in done.output
