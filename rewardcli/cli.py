"""The command line: options, one small function a command, one error boundary, the exit codes.

Only typer is imported here; a command imports what it needs when it runs.
"""

import dataclasses
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from . import __version__
from .coercion import PlainValues
from .errors import DataError, RewardcliError, UsageError

if TYPE_CHECKING:
    from .aggregate import AggregateMetricsMixin
    from .output import Report
    from .passk import ScoreSpec
    from .reader import ReadOptions
    from .results import Record
    from .table import RolloutTable

INTERRUPTED, PIPE_CLOSED = 130, 141


class FileForm(StrEnum):
    """The forms in which results are written to files; typer takes no list of literals."""

    json = "json"
    csv = "csv"


@contextmanager
def _boundary() -> Iterator[None]:
    """Turns what goes wrong into a message and an exit status."""
    try:
        try:
            yield
        except typer.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except RewardcliError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"Hint: {error.hint}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _give_up_output()
        raise typer.Exit(PIPE_CLOSED) from None
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich, which shows help, turns one into the other
            raise typer.Exit(PIPE_CLOSED) from None
        raise
    except OSError as error:
        _give_up_output()
        print(f"Error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _give_up_output() -> None:
    """Lets what is still buffered vanish: it cannot be written, and the interpreter would complain when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Command(PlainValues, TyperCommand):
    """One command."""


class _Group(PlainValues, TyperGroup):
    """The commands within the one error boundary."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _boundary():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _boundary():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Group,
    name="rewardcli",
    help="Turn LLM rollouts into numbers people can trust.",
    epilog="Exit status: 0 done, 1 bad data or files, 2 bad usage, 130 interrupted, 141 pipe closed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rewardcli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# --- options that several commands share ----------------------------------------------------------------------------

_READING, _SCORING, _OUTPUT = "Reading", "Scoring", "Output"


def _option(panel: str, *names: str, **settings: Any) -> Any:
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
        _option(_READING, help="Field of the task index; @line makes every row a task.", show_default="_ng_task_index"),
    ] = None
    rollout_key: Annotated[
        str | None, _option(_READING, help="Field of the rollout index.", show_default="_ng_rollout_index")
    ] = None
    agent_key: Annotated[
        str | None, _option(_READING, help="Field of the agent's name.", show_default="agent_ref.name")
    ] = None
    agent: Annotated[str | None, _option(_READING, help="Keep the rollouts of this agent only.")] = None
    on_error: Annotated[
        Literal["error", "skip"], _option(_READING, help="What to do with a line that is no rollout.")
    ] = "error"
    max_errors: Annotated[int, _option(_READING, min=0, help="How many such lines may be skipped.")] = 100
    duplicates: Annotated[
        Literal["error", "first", "last", "keep"],
        _option(_READING, help="What to do with rows of the same task, rollout and agent."),
    ] = "error"
    jobs: Annotated[
        int | None,
        _option(
            _READING, "--jobs", "-j", min=1, help="Worker processes; 1 stays in one process.", show_default="the cores"
        ),
    ] = None
    engine: Annotated[Literal["local", "ray"], _option(_READING, help="Where the workers run.")] = "local"
    ray_address: Annotated[str | None, _option(_READING, help="Ray cluster to join (with --engine ray).")] = None

    def options(self) -> "ReadOptions":
        """The options as the reader takes them."""
        from .reader import ReadOptions

        return ReadOptions(
            self.task_key,
            self.rollout_key,
            self.agent_key,
            self.on_error,
            self.max_errors,
            self.jobs,
            self.engine,
            self.ray_address,
        )


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What counts as a score and as an answer."""

    score: Annotated[
        list[str] | None,
        _option(
            _SCORING,
            "--score",
            help="NAME, NAME=FIELD or NAME=FIELD>=VALUE (also >, <, <=, ==); repeatable.",
            show_default="accuracy=reward",
        ),
    ] = None
    answer_key: Annotated[
        str | None, _option(_SCORING, help="Field of the answer: adds majority@k and the score no_answer.")
    ] = None

    def specs(self) -> "list[ScoreSpec]":
        """The scores that are asked for."""
        from .passk import ScoreSpec

        specs = [ScoreSpec.parse(text) for text in self.score or ["accuracy=reward"]]
        names = [spec.name for spec in specs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"two scores are named '{twice}'", "give each --score a name of its own")
        return specs


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go, and in which form."""

    format: Annotated[
        Literal["table", "json", "csv", "md"], _option(_OUTPUT, "--format", "-f", help="Form on standard output.")
    ] = "table"
    write: Annotated[
        list[FileForm] | None,
        _option(_OUTPUT, "--write", help="Also write a file beside the rollouts; repeatable."),
    ] = None
    output_dir: Annotated[
        Path | None,
        _option(_OUTPUT, file_okay=False, help="Where files are written.", show_default="beside the rollouts"),
    ] = None
    quiet: Annotated[bool, _option(_OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False

    def note(self, text: str) -> None:
        """Tells the user something, unless they want none of it."""
        if not self.quiet:
            from .output import note

            note(text)

    def place(self, sources: Sequence[str]) -> tuple[Path, str]:
        """The folder and the stem of what is written for these sources."""
        from .reader.sources import is_remote, output_stem, read_once

        alone = sources[0] if len(sources) == 1 else None
        if alone and (read_once(alone) or Path(alone).is_dir()):
            alone = None
        stem = output_stem(alone) if alone else "rollouts"
        beside = Path(alone).parent if alone and not is_remote(alone) else Path()
        return self.output_dir or beside, stem

    def emit(self, report: "Report", sources: Sequence[str], name: str) -> None:
        """Shows a report, and writes it if that is wanted."""
        from .output import show, write_report

        if self.write:
            folder, stem = self.place(sources)
            for path in write_report(report, self.write, folder, f"{stem}_{name}"):
                self.note(f"wrote {path}")
        show(report, self.format)


_GROUPS = (Reading, Scoring, Output)
_AS_JSON = Output(format="json")


def _command(name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a command, whose parameters that are groups of options stand for the options in them."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        groups = {key: hint for key, hint in hints.items() if hint in _GROUPS}
        parameters: list[inspect.Parameter] = []
        for key, parameter in inspect.signature(function).parameters.items():
            if key not in groups:
                parameters.append(parameter.replace(annotation=hints[key], kind=inspect.Parameter.KEYWORD_ONLY))
                continue
            for field, hint in get_type_hints(groups[key], include_extras=True).items():
                default = next(f.default for f in dataclasses.fields(groups[key]) if f.name == field)
                default = getattr(parameter.default, field, default)  # the command's own defaults
                empty = inspect.Parameter.empty if default is dataclasses.MISSING else default
                parameters.append(
                    inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=hint)
                )

        def call(**values: Any) -> None:
            gathered = {
                key: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
                for key, group in groups.items()
            }
            function(**values, **gathered)

        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        call.__doc__ = function.__doc__
        app.command(name or function.__name__, cls=_Command)(call)
        return function

    return register


# --- reading --------------------------------------------------------------------------------------------------------


@contextmanager
def _progress(output: Output) -> Iterator[Any]:
    from .output import ProgressBar

    bar = None if output.quiet else ProgressBar()
    try:
        yield bar
    finally:
        if bar:
            bar.end()


def _read(
    reading: Reading, output: Output, scores: "Sequence[ScoreSpec]", answer: str | None, by: str | None = None
) -> "RolloutTable":
    """The table of measured rollouts with the fields that a command needs, and notes on what the user should know."""
    from .reader import arrange, find_fields, read_rows
    from .reader.read import check_fields
    from .reader.sources import expand

    options = reading.options()
    paths = expand(reading.rollouts)
    numbers = tuple(dict.fromkeys(spec.field for spec in scores))
    answers, subsets = (answer,) if answer else (), (by,) if by else ()
    fields, head, notes = find_fields(paths, options, numbers=numbers, answers=answers, subsets=subsets)
    with _progress(output) as progress:
        rows = read_rows(paths, fields, options, progress)
    check_fields(rows, head, numbers, [*answers, *subsets])
    rows.notes += notes
    table = arrange(rows, reading.duplicates).of_agent(reading.agent)
    _tell(output, table, rows.skipped)
    for spec in scores:
        missing = spec.column(table.measured()).missing_reasons()
        if missing:
            reasons = ", ".join(f"{count} {reason}" for reason, count in missing.items())
            output.note(
                f"{spec.name}: {sum(missing.values())} of {table.n_rollouts} rollouts have no value ({reasons})"
            )
    return table


def _tell(output: Output, table: "RolloutTable", skipped: Sequence[str]) -> None:
    for text in table.notes:
        output.note(text)
    if skipped:
        output.note(f"{len(skipped)} lines skipped, the first {skipped[0]}")
    if coverage := table.coverage():
        output.note(f"{coverage['coverage/masked_rollouts']} masked rollouts are left out of the numbers")


def _coverage_records(table: "RolloutTable") -> "list[Record]":
    from .results import Record

    return [Record("coverage", None, key.removeprefix("coverage/"), value) for key, value in table.coverage().items()]


def _tell_shrinking(output: Output, records: "Sequence[Record]") -> None:
    """Warns where pass@k is over fewer tasks as k grows: values at different k are then of different tasks."""
    counts: dict[tuple[str, str], dict[int, int]] = {}
    for record in records:
        if record.metric == "pass@k" and record.k is not None and record.n_tasks is not None:
            counts.setdefault((record.subset, record.score), {})[record.k] = record.n_tasks
    for (subset, score), by_k in counts.items():
        first, last = min(by_k), max(by_k)
        if by_k[first] != by_k[last]:
            where = f"{subset}/" if subset else ""
            output.note(
                f"{where}pass@k/{score} is over fewer tasks as k grows"
                f" ({by_k[first]} at k={first}, {by_k[last]} at k={last}):"
                " a task with fewer than k rollouts does not count"
            )


def _parse_ks(text: str | None) -> list[int] | None:
    if text is None:
        return None
    ks = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in ks):
        raise UsageError(f"--k '{text}' is no list of whole numbers from 1 on", "for example: --k 1,2,4,8")
    return sorted({int(part) for part in ks})


def _restrict(records: "list[Record]", ks: list[int] | None, table: "RolloutTable") -> "list[Record]":
    """The records at the chosen k, `per_sample_aggregate` whole."""
    from .results import PER_SAMPLE

    if ks is None:
        return records
    lengths = table.starts[1:] - table.starts[:-1]
    longest = int(lengths.max(initial=0))
    if ks[-1] > longest:
        from .table import key_name

        task = table.tasks.values[table.tasks.codes[int(lengths.argmax())]] if len(lengths) else "none"
        raise DataError(
            f"k = {ks[-1]} is beyond the longest task: task {key_name(task)} has {longest} rollouts",
            "choose a smaller --k",
        )
    return [record for record in records if record.metric == PER_SAMPLE or record.k is None or record.k in ks]


def _title(name: str, reading: Reading, table: "RolloutTable") -> str:
    from .reader.sources import STDIN

    shown = ", ".join("<stdin>" if path == STDIN else path for path in reading.rollouts[:3])
    more = ", …" if len(reading.rollouts) > 3 else ""
    return f"{name} · {shown}{more} · {table.n_units:,} tasks · {table.n_rollouts:,} rollouts"


# --- commands -------------------------------------------------------------------------------------------------------


@_command()
def profile(
    reading: Reading,
    output: Output,
    inputs: Annotated[
        str | None, typer.Option(help="Materialized inputs.", show_default="<stem>_materialized_inputs.jsonl, if there")
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Profile though inputs have no rollout yet.")
    ] = False,
) -> None:
    """Profile every numeric field by task and by agent.

    Writes <stem>_reward_profiling.jsonl and <stem>_agent_metrics.json.
    """
    from .output import Report, profile_records, profile_tables
    from .profile import profile_files, profile_json, write_profile
    from .reader.read import forked_jobs
    from .reader.sources import sibling

    folder, stem = output.place(reading.rollouts)
    if inputs is None and len(reading.rollouts) == 1:
        inputs = sibling(reading.rollouts[0], "_materialized_inputs.jsonl")
        if inputs:
            output.note(f"inputs: {inputs}")
    if inputs is None:
        output.note("no inputs: the rollouts themselves say what was expected (--inputs names them)")
    with _progress(output) as progress:
        made, samples = profile_files(
            reading.rollouts,
            inputs,
            reading.options(),
            allow_partial,
            "--allow-partial",
            reading.duplicates,
            reading.agent,
            progress,
        )
    _tell(output, made.table, made.skipped)
    jobs = forked_jobs(reading.options(), [*reading.rollouts, inputs])
    try:
        for path in write_profile(made, folder, stem, samples, jobs):
            output.note(f"wrote {path}")
    finally:
        if samples is not None:
            samples.close()

    def records() -> "list[Record]":
        return profile_records(made.completion.summary, made.agent_rows(), made.solved())

    output.emit(Report(lambda: profile_tables(made), lambda: profile_json(made), records), reading.rollouts, "profile")


@_command()
def passk(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    k: Annotated[
        str | None, _option(_SCORING, "--k", help="Only these k, for example 1,2,4,8.", show_default="all")
    ] = None,
) -> None:
    """Compute pass@k, the average of the first k, majority@k and their spread."""
    from .output import Report, passk_table
    from .passk import table_records
    from .results import metrics_json

    ks, specs = _parse_ks(k), scoring.specs()
    table = _read(reading, output, specs, scoring.answer_key)
    measured = table.measured()
    records = _restrict(table_records(measured, specs, scoring.answer_key), ks, measured) + _coverage_records(table)
    _tell_shrinking(output, records)
    title = _title("pass@k", reading, table)
    report = Report(lambda: [passk_table(records, title, ks)], lambda: metrics_json(records), lambda: records)
    output.emit(report, reading.rollouts, "passk")


@_command()
def subsets(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    by: Annotated[
        str,
        _option(
            _SCORING,
            "--by",
            "--subset-key",
            help="Field that names the subset: a task belongs to the value its first rollout has.",
            show_default=False,
        ),
    ],
    k: Annotated[
        str | None, _option(_SCORING, "--k", help="Only these k, for example 1,2,4,8.", show_default="all")
    ] = None,
) -> None:
    """Compute the numbers of passk for every subset of the tasks."""
    from .output import Report, passk_table
    from .passk import subset_records
    from .results import metrics_json

    ks, specs = _parse_ks(k), scoring.specs()
    table = _read(reading, output, specs, scoring.answer_key, by)
    measured = table.measured()
    groups = measured.by_first_rollout(by)
    without = int(((groups.codes < 0) & (measured.starts[1:] > measured.starts[:-1])).sum())
    if without:
        output.note(f"{without} tasks have no '{by}' and are in no subset")
    records = _restrict(subset_records(measured, specs, scoring.answer_key, groups), ks, measured) + _coverage_records(
        table
    )
    _tell_shrinking(output, records)
    title = _title(f"pass@k by {by}", reading, table)
    report = Report(lambda: [passk_table(records, title, ks)], lambda: metrics_json(records), lambda: records)
    output.emit(report, reading.rollouts, "subsets")


@_command("highest-k")
def highest_k(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    pattern: Annotated[
        list[str] | None,
        _option(
            _SCORING,
            "--pattern",
            help="Key with {k} for the number; repeatable.",
            show_default="pass@{k}, pass@1[avg-of-{k}] and majority@{k}",
        ),
    ] = None,
    score_name: Annotated[
        list[str] | None, _option(_SCORING, "--score-name", help="Keep this score only; repeatable.")
    ] = None,
    exclude_name: Annotated[
        list[str] | None, _option(_SCORING, "--exclude-name", help="Leave this score out; repeatable.")
    ] = None,
) -> None:
    """Pick the numbers at the highest k, from rollouts or from a metrics file (.json)."""
    from .output import Report, highest_k_table
    from .results import USUAL_PATTERNS, highest_k, match_pattern, metrics_json, record_of_key

    specs = scoring.specs()
    patterns = pattern or list(USUAL_PATTERNS)
    for text in patterns:
        match_pattern(text)
    if any(path.endswith(".json") for path in reading.rollouts):
        if len(reading.rollouts) > 1:
            raise UsageError("a metrics file is read alone", "name one .json file, or rollouts")
        from .metrics_file import read_metrics

        metrics, coverage = read_metrics(reading.rollouts[0])
        title = f"highest k · {reading.rollouts[0]}"
    else:
        from .passk import table_records

        table = _read(reading, output, specs, scoring.answer_key)
        everything = metrics_json(table_records(table.measured(), specs, scoring.answer_key))
        metrics, coverage = everything, everything.pop("coverage")
        title = _title("highest k", reading, table)
    found: dict[str, Any] = {}
    for text in patterns:
        found |= highest_k(metrics, text, score_name, exclude_name)
    if not found:
        output.note(f"no key matches {' or '.join(patterns)}")
        anywhere = [re.compile("(.+?)/" + match_pattern(text).pattern, re.DOTALL) for text in patterns]
        matches = (prefixed.fullmatch(key) for key in metrics for prefixed in anywhere)
        prefix = next((match[1] for match in matches if match), None)
        if prefix:
            output.note(f"keys begin with a subset or an agent here: try --pattern '{prefix}/{patterns[0]}'")

    def records() -> "list[Record]":
        return [record_of_key(key, value, **coverage.get(key, {})) for key, value in found.items()]

    def shown() -> dict[str, Any]:
        behind = {key: coverage[key] for key in found if key in coverage}
        return {**found, "coverage": behind} if behind else found

    output.emit(
        Report(lambda: [highest_k_table(found, coverage, title)], shown, records), reading.rollouts, "highest_k"
    )


@_command()
def aggregate(
    reading: Reading,
    hooks: Annotated[
        str | None,
        typer.Option(
            help="module:Class deriving from AggregateMetricsMixin, from the working directory or the environment."
        ),
    ] = None,
    output: Output = _AS_JSON,
) -> None:
    """Compute the aggregate metrics of each agent, with an environment's own hooks.

    Writes <stem>_aggregate_metrics.json.
    """
    from .aggregate import aggregate_agents
    from .output import Report, aggregate_records, aggregate_tables, write_report
    from .reader import arrange, find_fields, read_rows
    from .reader.sources import expand, kept_for_again, parts_of

    mixin = load_hooks(hooks) if hooks else None
    options = reading.options()
    with kept_for_again(expand(reading.rollouts), wanted=mixin is not None) as paths, _progress(output) as progress:
        fields, _, notes = find_fields(paths, options, numbers=None)
        rows = read_rows(paths, fields, options, progress)
        rows.notes += notes
        table = arrange(rows, reading.duplicates).of_agent(reading.agent)
        _tell(output, table, rows.skipped)
        again = None if any(path.endswith(".parquet") for path in paths) or mixin is None else parts_of(paths, 1)
        entries = aggregate_agents(table, again, mixin)
    report = Report(lambda: aggregate_tables(entries), lambda: entries, lambda: aggregate_records(entries))
    folder, stem = output.place(reading.rollouts)
    for path in write_report(report, ["json"], folder, f"{stem}_aggregate_metrics"):
        output.note(f"wrote {path}")
    output.emit(report, reading.rollouts, "aggregate")


@_command()
def extract(
    reading: Reading,
    output_file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The table to write, .parquet.", show_default=False)
    ],
    keep: Annotated[
        list[str] | None,
        _option(
            _SCORING, "--keep", help="Also keep this field, to be an answer, a subset or a nested score; repeatable."
        ),
    ] = None,
    quiet: Annotated[bool, _option(_OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False,
) -> None:
    """Keep the numbers of rollouts as a Parquet table, which every command accepts in place of the rollouts."""
    from .files import written
    from .reader import arrange, find_fields, read_rows
    from .reader.parquet import load_pyarrow, table_fields, write_table_file
    from .reader.read import check_fields
    from .reader.sources import expand, is_remote, is_table_file

    output = Output(quiet=quiet)
    if not is_table_file(output_file) or is_remote(output_file):
        raise UsageError(f"the table '{output_file}' must be a local file .parquet", "for example: -o shard-07.parquet")
    load_pyarrow(output_file)  # rather now than when everything has been read
    options = reading.options()
    paths = expand(reading.rollouts)
    kept = dict.fromkeys(keep or ())
    for path in filter(is_table_file, paths):
        kept |= dict.fromkeys(table_fields(path, ["label."]))
    fields, head, notes = find_fields(paths, options, numbers=None, subsets=tuple(kept))
    with _progress(output) as progress:
        rows = read_rows(paths, fields, options, progress)
    check_fields(rows, head, labels=list(kept))
    rows.notes += notes
    keys = dataclasses.replace(rows, numbers={}, usage={})
    table = arrange(keys, reading.duplicates).of_agent(reading.agent)
    if table.n_rollouts < len(rows):
        rows = rows.take(table.positions[table.positions.argsort()])
    for text in table.notes:
        output.note(text)
    if rows.skipped:
        output.note(f"{len(rows.skipped)} lines skipped, the first {rows.skipped[0]}")
    target = Path(output_file)
    with written(target) as (file,):
        write_table_file(rows, file, target)
    output.note(f"wrote {target}: {len(rows):,} rollouts")


@_command()
def serve(
    hooks: Annotated[
        str | None,
        typer.Option(
            help="module:Class deriving from AggregateMetricsMixin, from the working directory or the environment."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="REWARDCLI_TOKEN", help="What callers must send as Authorization: Bearer TOKEN."),
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of the largest body that is let in.")] = 1 << 30,
) -> None:
    """Answer POST /aggregate_metrics over HTTP as NeMo Gym's servers do."""
    try:
        import uvicorn  # noqa: F401 - its absence is told before anything is done

        from .server import create_app, listen, run
    except ModuleNotFoundError as error:
        raise RewardcliError(f"serve needs {error.name}", 'pip install "rewardcli[serve]"') from error
    application = create_app(load_hooks(hooks) if hooks else None, token=token, max_body=max_body)
    listener = listen(host, port, guarded=token is not None)
    address, number = listener.getsockname()[:2]
    Output().note(f"listening on http://{f'[{address}]' if ':' in address else address}:{number}")
    run(application, listener)


def load_hooks(text: str) -> "AggregateMetricsMixin":
    """An instance of the class that `module:Class` names.

    Raises:
        UsageError: The text is no `module:Class`.
        RewardcliError: There is no such class, or it does not derive from `AggregateMetricsMixin`.
    """
    from importlib import import_module

    from .aggregate import AggregateMetricsMixin

    module_name, colon, class_name = text.partition(":")
    if not (colon and module_name and class_name):
        raise UsageError(f"--hooks '{text}' is not module:Class", "for example: --hooks my_environment:MyMetrics")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise RewardcliError(
            f"--hooks: no module '{error.name}'", "run where the module lies, or install it"
        ) from error
    except AttributeError as error:
        raise RewardcliError(f"--hooks: {error}", "check the name of the class") from error
    if not (isinstance(found, type) and issubclass(found, AggregateMetricsMixin)):
        raise RewardcliError(
            f"--hooks: {text} does not derive from rewardcli.AggregateMetricsMixin", "derive it from that class"
        )
    return found()


def main() -> None:
    """The console script."""
    # Whoever calls may have closed these; what is opened next must not take their place either.
    nowhere = Path(os.devnull)
    sys.stdin = sys.stdin or nowhere.open()
    sys.stdout = sys.stdout or nowhere.open("w")
    sys.stderr = sys.stderr or nowhere.open("w")
    if isinstance(raw := getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # PYTHONUNBUFFERED: what a full disk or a closed pipe leaves of a write would be lost without an error.
        buffered, form = io.BufferedWriter(raw), (sys.stdout.encoding, sys.stdout.errors)
        sys.stdout = io.TextIOWrapper(buffered, *form, line_buffering=True)
    app(prog_name="rewardcli")
