"""Every `$` command in a console block of README.md and docs/ prints what the block shows.

`pytest --update-docs` replaces it with the real output. In the expected output, a line `...` stands for any lines.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rewardcli.cli.commands import COMMANDS
from rewardcli.metrics import REGISTRY

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
# A `$` line with its continuation lines, and the output below it.
COMMAND = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.*\n)(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
# These change the environment the tests run in.
SKIPPED = re.compile(r"\b(pip install|make)\b")


def matches(expected: str, actual: str) -> bool:
    pattern = "".join("(?:.*\n)*?" if line == "...\n" else re.escape(line) for line in expected.splitlines(True))
    return re.fullmatch(pattern, actual) is not None


def refresh(document: str, run: Callable[[str], str]) -> str:
    """Bring the output of a document's commands up to date."""

    def refresh_command(found: re.Match[str]) -> str:
        command, output = found["command"], found["output"]
        if SKIPPED.search(command):
            return found[0]
        actual = run(command)
        return found[0] if matches(output, actual) else f"$ {command}{actual}"

    return BLOCK.sub(lambda block: COMMAND.sub(refresh_command, block[0]), document)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], str]:
    """Run commands as a reader would in a fresh checkout; those of one document see each other's files."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("results", "__pycache__"))
    scripts = Path(sys.executable).parent
    # Nothing else from the caller's environment: a CI service's variables make rich assume a terminal.
    environment = {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",  # keeps stdout and stderr in the order that a terminal shows
    }

    def run(command: str) -> str:
        finished = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        # Tables pad their lines with spaces, which editors strip from documents.
        output = re.sub(r" +$", "", finished.stdout, flags=re.MULTILINE)
        assert "Traceback (most recent call last)" not in output, output
        return output if output.endswith("\n") or not output else f"{output}\n"

    return run


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documented_output(path: Path, run: Callable[[str], str], request: pytest.FixtureRequest) -> None:
    document = path.read_text(encoding="utf-8")
    fresh = refresh(document, run)
    if request.config.getoption("--update-docs"):
        path.write_text(fresh, encoding="utf-8")
    else:
        assert fresh == document, f"{path.name} is stale: run pytest tests/test_docs.py --update-docs"


# --- what is generated ----------------------------------------------------------------------------------------------


def metric_table() -> str:
    """Make the table of all metrics for docs/metrics.md."""
    lines = ["| key | what it says of a task, and then on average over tasks | how | source |", "|---|---|---|---|"]
    for metric in REGISTRY:
        key = "/".join([f"`{metric.name}/s", *([metric.stat] if metric.stat else [])]) + "`"
        more = "" if metric.default else f" (with `--metric '{metric.name}'`)"
        lines.append(f"| {key}{more} | {metric.about} | {metric.formula} | {metric.source} |")
    return "\n".join(lines)


def test_the_table_of_metrics_is_that_of_the_registry(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs" / "metrics.md"
    document = path.read_text(encoding="utf-8")
    fresh = re.sub(r"(?<=<!-- metrics -->\n).*?(?=\n<!-- end -->)", lambda _: metric_table(), document, flags=re.DOTALL)
    if request.config.getoption("--update-docs"):
        path.write_text(fresh, encoding="utf-8")
    else:
        assert fresh == document, "docs/metrics.md is stale: run pytest tests/test_docs.py --update-docs"


def test_the_reference_has_every_command() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^\$ rewardcli (?:(.+) )?--help$", document, re.MULTILINE) == ["", *COMMANDS]


def test_the_house_has_every_room() -> None:
    rooms = {
        path.stem for path in (ROOT / "rewardcli").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = {
        name.rstrip("/")
        for row in re.findall(r"^\| (`.+?`) \|", document, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", row)
    }
    assert drawn == rooms - {"__init__", "__main__", "server"}


# --- tests of these tests -------------------------------------------------------------------------------------------


def console(text: str) -> str:
    return f"# Title\n\n```console\n{text}```\n\n```python\n$ echo no\n```\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("$ echo a\na\n", "$ echo a\na\n"),
        ("$ echo a\nold\n$ echo b\n", "$ echo a\na\n$ echo b\nb\n"),
        ("$ echo a; \\\n  echo b\nold\n", "$ echo a; \\\n  echo b\na\nb\n"),
        ("$ seq 5\n1\n...\n5\n", "$ seq 5\n1\n...\n5\n"),
        ("$ seq 2\n1\n...\n5\n", "$ seq 2\n1\n2\n"),
        ("$ make demo\nold\n", "$ make demo\nold\n"),
        ("$ ls examples/make_data.py\n", "$ ls examples/make_data.py\nexamples/make_data.py\n"),
        ("$ touch mark\n$ ls mark\n", "$ touch mark\n$ ls mark\nmark\n"),
        ("$ echo out; echo err >&2; exit 1\n", "$ echo out; echo err >&2; exit 1\nout\nerr\n"),
        ("$ printf a\n", "$ printf a\na\n"),
    ],
    ids=["fresh", "stale", "continued", "elided", "elided-stale", "skipped", "not-skipped", "state", "error", "no-eol"],
)
def test_refresh(before: str, after: str, run: Callable[[str], str]) -> None:
    assert refresh(console(before), run) == console(after)


def test_every_note_has_a_line_in_the_documents() -> None:
    sources = "".join(path.read_text() for path in ROOT.glob("rewardcli/**/*.py"))
    codes = set(re.findall(r"""\.note\(\s*f?"([a-z{}-]+)",""", sources)) - {"{role}-guessed"}
    page = (ROOT / "docs/notes.md").read_text()
    documented = [
        code for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for code in re.findall(r"`(.*?)`", row)
    ]
    assert sorted(documented) == sorted(codes | {"rollout-guessed", "task-guessed"})
