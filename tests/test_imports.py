import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rewardcli

PACKAGE = Path(rewardcli.__file__).parent
EXAMPLE = PACKAGE.parent / "examples" / "math_rollouts.jsonl"

# --- what a command loads -------------------------------------------------------------------------------------------

# Slow to load, or an extra.
HEAVY = {
    "asyncio", "fastapi", "fsspec", "isal", "msgspec", "multiprocessing", "numpy", "orjson", "pandas", "pyarrow",
    "pydantic", "ray", "rewardcli.nemo_gym.models", "rich", "starlette", "uvicorn", "wandb", "zstandard",
}  # fmt: skip

LISTING = """
import atexit, json, sys
from pathlib import Path

listing = Path(sys.argv.pop(1))
atexit.register(lambda: listing.write_text(json.dumps(list(sys.modules))))
"""
AS_PROGRAM = f"{LISTING}\nfrom rewardcli.cli import main\nmain()"


def loaded(script: str, folder: Path, *args: str, **environment: str) -> set[str]:
    """Return the heavy modules that a script has loaded when it ends."""
    listing = folder / "modules.json"
    subprocess.run(
        [sys.executable, "-c", script, listing, *args],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        cwd=folder,
        check=True,
    )
    return HEAVY.intersection(json.loads(listing.read_text(encoding="utf-8")))


READING = {"msgspec", "numpy"}

COMMANDS = {
    "--version": set(),
    "--help": {"rich"},
    "passk --help": {"rich"},
    "passk ROLLOUTS --format json": {*READING, "orjson"},
    "passk ROLLOUTS --format csv": READING,
    "passk ROLLOUTS --format md": READING,
    "passk ROLLOUTS --format table": {*READING, "rich"},
    "passk ROLLOUTS --format json --answer-key extracted_answer --score a=reward>=0.5": {*READING, "orjson"},
    "passk ROLLOUTS --format json --jobs 2": {*READING, "orjson"},
    "subsets ROLLOUTS --by difficulty --format json": {*READING, "orjson"},
    "highest-k ROLLOUTS --format json": {*READING, "orjson"},
    "highest-k METRICS.json --format json": {*READING, "orjson"},
    "profile ROLLOUTS --output-dir . --format json": {*READING, "orjson"},
    "aggregate ROLLOUTS --output-dir . --format json": {*READING, "orjson", "pydantic", "rewardcli.nemo_gym.models"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_no_more_than_it_needs(command: str, tmp_path: Path) -> None:
    (tmp_path / "METRICS.json").write_text('{"pass@1/a": 1}', encoding="utf-8")
    args = [str(EXAMPLE) if word == "ROLLOUTS" else word for word in command.split()]
    assert loaded(AS_PROGRAM, tmp_path, *args) == COMMANDS[command]


@pytest.mark.parametrize("words", ["rewardcli pas", "rewardcli passk --for"])
def test_completion_loads_nothing_heavy(words: str, tmp_path: Path) -> None:
    asked = {"_REWARDCLI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert loaded(AS_PROGRAM, tmp_path, **asked) == set()


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import rewardcli", set()),
        ("import rewardcli; dir(rewardcli)", set()),
        ("from rewardcli import DataError", set()),
        ("from rewardcli import compute_pass_majority_metrics", {"numpy"}),
        ("from rewardcli import RewardProfiler", READING),
        ("from rewardcli import RewardProfileConfig", {"pydantic", "rewardcli.nemo_gym.models"}),
    ],
)
def test_python_loads_no_more_than_it_needs(statement: str, modules: set[str], tmp_path: Path) -> None:
    assert loaded(f"{LISTING}\n{statement}", tmp_path) == modules


def test_every_public_name_is_there() -> None:
    assert sorted(rewardcli.__all__) == dir(rewardcli)
    assert all(hasattr(rewardcli, name) for name in rewardcli.__all__)
    with pytest.raises(AttributeError, match="module 'rewardcli' has no attribute 'nothing'"):
        rewardcli.nothing  # noqa: B018


# --- the walk of the imports ----------------------------------------------------------------------------------------

# The rooms that each room imports from.
ROOMS = {
    "arrays": set(),
    "errors": set(),
    "listener": set(),
    "keys": {"arrays", "errors"},
    "parallel": {"errors"},
    "rollouts": {"arrays", "errors", "keys"},
    "completion": {"arrays", "errors", "keys", "rollouts"},
    "reader": {"arrays", "completion", "errors", "keys", "listener", "parallel", "rollouts"},
    "scores": {"arrays", "errors", "keys", "listener", "rollouts"},
    "hypergeometric": {"arrays"},
    "metrics": {"arrays", "hypergeometric"},
    "estimate": {"arrays", "hypergeometric", "metrics"},
    "results": {"errors", "listener", "metrics"},
    "analyses": {
        "arrays", "completion", "errors", "estimate", "keys", "listener", "metrics", "reader", "results", "rollouts",
        "scores",
    },
    "output": {"errors", "listener", "results"},
    "nemo_gym": {
        "analyses", "arrays", "completion", "errors", "keys", "listener", "metrics", "output", "parallel", "reader",
        "results", "rollouts",
    },
    "server": {"nemo_gym"},
    "cli": {"analyses", "errors", "metrics", "nemo_gym", "output", "reader", "results", "scores"},
    "__init__": {"errors", "metrics", "nemo_gym"},
    "__main__": {"cli"},
}  # fmt: skip
# The modules that may import a package; any module may import those not listed here.
OWNERS = {
    "typer": {"cli/app", "cli/options", "cli/commands/extract", "cli/commands/profile", "cli/commands/serve"},
    "rich": {"output/console", "output/table"},
    "pandas": {"nemo_gym/profiler"},
    "pydantic": {"nemo_gym/answers", "nemo_gym/models"},
    "pydantic_core": {"nemo_gym/body", "nemo_gym/server"},
    "pyarrow": {"reader/parquet"},
    "fsspec": {"reader/remote"},
    "isal": {"reader/streams"},
    "zstandard": {"reader/streams"},
    "scipy": {"estimate/distributions"},
    "ray": {"parallel"},
    "multiprocessing": {"parallel"},
    "wandb": {"metrics/histogram"},
    "fastapi": {"nemo_gym/answers", "nemo_gym/server", "nemo_gym/serving"},
    "starlette": {"nemo_gym/answers", "nemo_gym/body", "nemo_gym/server"},
    "uvicorn": {"cli/commands/serve", "nemo_gym/connections", "nemo_gym/serving"},
}


def imports_of(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Find the imports of a module, including those in functions and those for the type checker."""
    return (child for child in ast.walk(node) if isinstance(child, (ast.Import, ast.ImportFrom)))


def reached(module: str) -> tuple[set[str], set[str]]:
    """Return the rooms and the other packages that a module imports."""
    rooms, packages = set(), set()
    room, *inner = module.split("/")
    for found in imports_of(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(found, ast.ImportFrom) and found.level:
            base = [room, *inner][: 1 + len(inner) - found.level] + (found.module or "").split(".")
            names = [part for part in base if part][:1] or [alias.name for alias in found.names]
            rooms |= {name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else "" for name in names}
        elif isinstance(found, ast.ImportFrom):
            packages.add(str(found.module).split(".")[0])
        else:
            packages |= {alias.name.split(".")[0] for alias in found.names}
    return rooms - {"", room}, packages


MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))


ROOM_OF = {module: module.partition("/")[0] for module in MODULES}


@pytest.mark.parametrize("room", sorted(set(ROOM_OF.values())))
def test_a_room_reaches_just_where_it_may(room: str) -> None:
    rooms = [reached(module)[0] for module in MODULES if ROOM_OF[module] == room]
    assert set().union(*rooms) == ROOMS[room]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_loads_only_packages_that_it_may(module: str) -> None:
    _, packages = reached(module)
    for package in packages & OWNERS.keys():
        assert module in OWNERS[package]
    if ROOM_OF[module] == "metrics":
        assert packages <= {"numpy", "wandb", *sys.stdlib_module_names}
    if ROOM_OF[module] == "errors":
        assert packages <= sys.stdlib_module_names
    assert "rewardcli" not in packages, "the package names its own modules relatively"


def test_names_loaded_on_first_use_come_from_where_they_may() -> None:
    assert {home.partition(".")[0] for home in rewardcli._HOMES} == ROOMS["__init__"]


def test_the_walk_sees_imports_wherever_they_stand() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import for_types
else:
    import otherwise
class A:
    def f(self):
        if True:
            from inner import x
"""
    found = {ast.unparse(node) for node in imports_of(ast.parse(source))}
    assert found == {
        "from typing import TYPE_CHECKING",
        "import for_types",
        "import otherwise",
        "from inner import x",
    }
    assert {"errors", "parallel"} <= reached("reader/read")[0]
