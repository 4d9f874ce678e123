"""The options that several commands share, in groups, each declared once."""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import UsageError

if TYPE_CHECKING:
    from ..output.formats import Report
    from ..reader import ReadOptions
    from ..scores import ScoreSpec

__all__ = ["OUTPUT", "READING", "SCORING", "FileForm", "Output", "Reading", "Scoring", "option"]


class FileForm(StrEnum):
    """The forms in which results are written to files; typer takes no list of literals."""

    json = "json"
    csv = "csv"


READING, SCORING, OUTPUT = "Reading", "Scoring", "Output"


def option(panel: str, *names: str, **settings: Any) -> Any:
    """An option, in one of the panels of the help."""
    return typer.Option(*names, rich_help_panel=panel, **settings)


@dataclasses.dataclass(frozen=True)
class Reading:
    """Which rollouts are read, and how."""

    rollouts: Annotated[
        list[str],
        typer.Argument(
            help="Files of rollouts (.jsonl, .gz, .zst, .parquet, …), globs, directories, URLs; - for standard input.",
            show_default=False,
        ),
    ]
    task_key: Annotated[
        str | None,
        option(READING, help="Field of the task index; @line makes every row a task.", show_default="_ng_task_index"),
    ] = None
    rollout_key: Annotated[
        str | None, option(READING, help="Field of the rollout index.", show_default="_ng_rollout_index")
    ] = None
    agent_key: Annotated[
        str | None, option(READING, help="Field of the agent's name.", show_default="agent_ref.name")
    ] = None
    agent: Annotated[str | None, option(READING, help="Keep the rollouts of this agent only.")] = None
    on_error: Annotated[
        Literal["error", "skip"], option(READING, help="What to do with a line that is no rollout.")
    ] = "error"
    max_errors: Annotated[int, option(READING, min=0, help="How many such lines may be skipped.")] = 100
    duplicates: Annotated[
        Literal["error", "first", "last", "keep"],
        option(READING, help="What to do with rows of the same task, rollout and agent."),
    ] = "error"
    jobs: Annotated[
        int | None,
        option(
            READING, "--jobs", "-j", min=1, help="Worker processes; 1 stays in one process.", show_default="the cores"
        ),
    ] = None
    engine: Annotated[Literal["local", "ray"], option(READING, help="Where the workers run.")] = "local"
    ray_address: Annotated[str | None, option(READING, help="Ray cluster to join (with --engine ray).")] = None

    def options(self) -> "ReadOptions":
        """The options as the reader takes them.

        Raises:
            UsageError: An address is given where no cluster is asked for.
        """
        from ..reader import ReadOptions

        if self.ray_address and self.engine != "ray":
            raise UsageError("--ray-address joins a cluster only with --engine ray", "add it, or leave the address out")
        names = [field.name for field in dataclasses.fields(ReadOptions)]
        return ReadOptions(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What counts as a score and as an answer."""

    score: Annotated[
        list[str] | None,
        option(
            SCORING,
            "--score",
            help="NAME, NAME=FIELD or NAME=FIELD>=VALUE (also >, <, <=, ==); repeatable.",
            show_default="accuracy=reward",
        ),
    ] = None
    answer_key: Annotated[
        str | None, option(SCORING, help="Field of the answer: adds majority@k and the score no_answer.")
    ] = None

    def specs(self) -> "list[ScoreSpec]":
        """The scores that are asked for."""
        from ..scores import ScoreSpec

        specs = [ScoreSpec.parse(text) for text in self.score or ["accuracy=reward"]]
        names = [spec.name for spec in specs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"two scores are named '{twice}'", "give each --score a name of its own")
        return specs


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go, and in which form."""

    format: Annotated[
        Literal["table", "json", "csv", "md"], option(OUTPUT, "--format", "-f", help="Form on standard output.")
    ] = "table"
    write: Annotated[
        list[FileForm] | None,
        option(OUTPUT, "--write", help="Also write a file beside the rollouts; repeatable."),
    ] = None
    output_dir: Annotated[
        Path | None,
        option(OUTPUT, file_okay=False, help="Where files are written.", show_default="beside the rollouts"),
    ] = None
    quiet: Annotated[bool, option(OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False

    def note(self, text: str) -> None:
        """Tells the user something, unless they want none of it."""
        if not self.quiet:
            from ..output.formats import note

            note(text)

    def place(self, sources: Sequence[str]) -> tuple[Path, str]:
        """The folder and the stem of what is written for these sources."""
        from ..reader import is_remote, is_stream, output_stem

        alone = sources[0] if len(sources) == 1 else None
        if alone and (is_stream(alone) or Path(alone).is_dir()):
            alone = None
        stem = output_stem(alone) if alone else "rollouts"
        beside = Path(alone).parent if alone and not is_remote(alone) else Path()
        return self.output_dir or beside, stem

    def prepare(self, sources: Sequence[str]) -> tuple[Path, str]:
        """The same place, after a look whether it can be written to: better now than when everything has been read."""
        from ..output.files import make_sure_of_folder

        folder, stem = self.place(sources)
        make_sure_of_folder(folder)
        return folder, stem

    def emit(self, report: "Report", sources: Sequence[str], name: str) -> None:
        """Shows a report, and writes it if that is wanted."""
        from ..output.formats import show, write_report

        if self.write:
            folder, stem = self.place(sources)
            for path in write_report(report, self.write, folder, f"{stem}_{name}"):
                self.note(f"wrote {path}")
        show(report, self.format)
