"""The options that several commands share, each declared once, and what they come to inside."""

import dataclasses
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import UsageError
from ..output import FORMATS

if TYPE_CHECKING:
    from ..analyses.passk import Question
    from ..metrics import Metric
    from ..output.console import Console
    from ..output.files import Destination
    from ..reader.options import ReadOptions
    from ..results import Result

__all__ = [
    "HOOKS",
    "KS",
    "METRICS",
    "OUTPUT",
    "READING",
    "SCORING",
    "Output",
    "Reading",
    "Scoring",
    "Session",
    "option",
    "shown_as",
    "spell",
]

READING, SCORING, OUTPUT = "Reading", "Scoring", "Output"
STDIN = "-"

if TYPE_CHECKING:
    FormatName = str
    FileFormat = str
else:
    FormatName = Literal[tuple(FORMATS)]
    # Typer takes no list of literals.
    FileFormat = StrEnum("FileFormat", {name: name for name, row in FORMATS.items() if row.suffix})


def option(panel: str, *names: str, **settings: Any) -> Any:
    """Make an option, in one of the panels of the help."""
    return typer.Option(*names, rich_help_panel=panel, **settings)


def spell(setting: str, value: str | None) -> str:
    """A setting as the option that sets it."""
    name = f"--{setting.replace('_', '-')}"
    return name if value is None else f"{name} {shlex.quote(value)}"


def _metric_names() -> list[str]:
    from ..metrics import REGISTRY

    return [*dict.fromkeys(metric.name for metric in REGISTRY), "all"]


KS = Annotated[str | None, option(SCORING, "--k", help="Only these k, for example 1,2,4,8.", show_default="all")]
METRICS = Annotated[
    list[str] | None,
    option(
        SCORING,
        "--metric",
        help="Compute this metric (pass@k, pass^k, …, or all); repeatable.",
        show_default="those of NeMo Gym",
        autocompletion=_metric_names,
    ),
]
HOOKS = Annotated[
    str | None,
    typer.Option(
        help="module:Class deriving from AggregateMetricsMixin, from the working directory or the environment."
    ),
]


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
    agent_key: Annotated[str | None, option(READING, help="Field of the agent's name.", show_default="NeMo Gym's")] = (
        None
    )
    agent: Annotated[str | None, option(READING, help="Keep only the rollouts of this agent.")] = None
    on_error: Annotated[
        Literal["error", "skip"], option(READING, help="What to do with a line that is not a rollout.")
    ] = "error"
    max_errors: Annotated[int, option(READING, min=0, help="How many such lines may be skipped.")] = 100
    duplicates: Annotated[
        Literal["error", "first", "last", "keep"],
        option(READING, help="What to do with rows of the same task, rollout and agent."),
    ] = "error"
    jobs: Annotated[
        int | None,
        option(
            READING,
            "--jobs",
            "-j",
            min=1,
            help="Worker processes; 1 stays in one process.",
            show_default="one per core",
        ),
    ] = None
    engine: Annotated[Literal["local", "ray"], option(READING, help="Where the workers run.")] = "local"
    ray_address: Annotated[str | None, option(READING, help="Ray cluster to join (with --engine ray).")] = None

    def options(self) -> "ReadOptions":
        """The options as the reader takes them.

        Raises:
            UsageError: An address is given where no cluster is asked for.
        """
        from ..reader.options import ReadOptions

        if self.ray_address and self.engine != "ray":
            raise UsageError("--ray-address joins a cluster only with --engine ray", "add it, or leave the address out")
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["rollouts"]
        return ReadOptions(**values)

    def is_metrics_file(self) -> bool:
        """Whether a file of metrics is named rather than rollouts.

        Raises:
            UsageError: One is named beside others.
        """
        if not any(path.endswith(".json") for path in self.rollouts):
            return False
        if len(self.rollouts) > 1:
            raise UsageError("a metrics file is read alone", "name one .json file, or rollouts")
        return True


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What counts as a score and as an answer."""

    score: Annotated[
        list[str] | None,
        option(
            SCORING,
            help="NAME, NAME=FIELD or NAME=FIELD>=VALUE (also >, <, <=, ==); repeatable.",
            show_default="accuracy=reward",
        ),
    ] = None
    answer_key: Annotated[
        str | None, option(SCORING, help="Field of the answer: adds majority@k and the score no_answer.")
    ] = None

    confidence: Annotated[float, option(SCORING, min=0.5, max=0.9999, help="Confidence of the intervals.")] = 0.95
    interval: Annotated[
        Literal["auto", "exact"],
        option(SCORING, help="exact: intervals of scores from 0 to 1 that hold their confidence at any truth, wider."),
    ] = "auto"
    no_interval: Annotated[bool, option(SCORING, "--no-interval", help="Leave standard errors and intervals out.")] = (
        False
    )
    wide: Annotated[
        bool,
        option(SCORING, "--wide", help="Also show spreads, every interval, and the error if the same tasks run again."),
    ] = False

    def question(self, metrics: Sequence[str] | None = None, ks: str | None = None) -> "Question":
        """What is asked of the rollouts.

        Raises:
            UsageError: Two scores have one name, a metric is not known, or the k are not numbers.
        """
        from ..analyses.passk import Question
        from ..analyses.uncertainty import Intervals
        from ..scores import ScoreSpec

        specs = [ScoreSpec.parse(text) for text in self.score or ["accuracy=reward"]]
        names = [spec.name for spec in specs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"two scores are named '{twice}'", "give each --score a name of its own")
        intervals = None if self.no_interval else Intervals(self.confidence, self.interval)
        return Question(specs, self.answer_key, _parse_metrics(metrics), _parse_ks(ks), intervals, self.wide)


def _parse_metrics(names: Sequence[str] | None) -> "list[Metric] | None":
    from ..metrics import metrics_named

    try:
        return metrics_named(names) if names else None
    except KeyError as error:
        raise UsageError(
            f"there is no metric '{error.args[0]}'", f"the metrics are {', '.join(_metric_names())}"
        ) from None


def _parse_ks(text: str | None) -> list[int] | None:
    if text is None:
        return None
    ks = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("0*[1-9][0-9]*", part) for part in ks):
        raise UsageError(f"--k '{text}' is not a list of whole numbers from 1 on", "for example: --k 1,2,4,8")
    return sorted({int(part) for part in ks})


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go, and in which format."""

    format: Annotated[FormatName, option(OUTPUT, "--format", "-f", help="Format on standard output.")] = "table"
    write: Annotated[list[FileFormat] | None, option(OUTPUT, help="Also write a file of this format; repeatable.")] = (
        None
    )
    output_dir: Annotated[
        Path | None,
        option(OUTPUT, file_okay=False, help="Where files are written.", show_default="beside the rollouts"),
    ] = None
    quiet: Annotated[bool, option(OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False

    @contextmanager
    def session(self, sources: Sequence[str] = ()) -> "Iterator[Session]":
        """What a command has to do with besides its work.

        Args:
            sources: What is read.
        """
        from ..output.console import Console

        console = Console(spell=spell, quiet=self.quiet)
        session = Session(console, sources, self)
        if self.write:
            session.destination()  # rather now than when everything has been read
        try:
            yield session
        finally:
            if console.bar is not None:
                console.end()


@dataclasses.dataclass(frozen=True)
class Session:
    """Whoever is told of notes and progress, and where results go.

    Attributes:
        console: The listener.
        sources: What is read.
        output: The options.
    """

    console: "Console"
    sources: Sequence[str]
    output: Output

    def destination(self) -> "Destination":
        """Where files are written; it is tried whether they can be."""
        from ..output.files import Destination, ensure_writable
        from ..reader import beside

        folder, stem = beside(self.sources)
        destination = Destination(self.output.output_dir or folder, stem)
        ensure_writable(destination.folder)
        return destination

    def emit(self, result: "Result") -> None:
        """Show a result, and write it if that is wanted."""
        if self.output.write:
            from ..output.files import write_result

            for path in write_result(result, list(map(str, self.output.write)), self.destination()):
                self.console.note("wrote", f"wrote {path}")
        chosen = FORMATS[self.output.format]
        text = chosen.text(result)
        if chosen.suffix and hasattr(sys.stdout, "buffer"):  # what programs read is UTF-8, whatever the terminal is
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode())
        else:
            sys.stdout.write(text)


def shown_as(name: str, reading: Reading) -> str:
    """What a result is called above its table: the analysis, and what was read."""
    names = ["<stdin>" if path == STDIN else path for path in reading.rollouts[:3]]
    return f"{name} · {', '.join(names)}{', …' if len(reading.rollouts) > 3 else ''}"
