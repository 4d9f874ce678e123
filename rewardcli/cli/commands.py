"""The commands: one small function each, which import what they need when they run."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, FieldError, RewardcliError, UsageError
from ..nemo_gym.hooks import load_hooks
from .app import command
from .options import OUTPUT, SCORING, Output, Reading, Scoring, option

if TYPE_CHECKING:
    from ..results import Record
    from ..rollouts import Rollouts
    from ..scores import ScoreSpec

_AS_JSON = Output(format="json")


# --- what several commands do ---------------------------------------------------------------------------------------


@contextmanager
def _progress(output: Output) -> Iterator[Any]:
    from ..output.formats import ProgressBar

    bar = None if output.quiet else ProgressBar()
    try:
        yield bar
    finally:
        if bar:
            bar.end()


def _read(
    reading: Reading, output: Output, scores: "Sequence[ScoreSpec]", answer: str | None, by: str | None = None
) -> "Rollouts":
    """The table of measured rollouts with the fields that a command needs, and notes on what the user should know."""
    from ..reader import arrange, find_fields, read_rows
    from ..reader.read import check_fields
    from ..reader.sources import expand

    options = reading.options()
    if output.write:
        output.prepare(reading.rollouts)
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
        measured = table.measured()
        missing = spec.column(measured).missing_reasons()
        reasons = ", ".join(f"{count} {reason}" for reason, count in missing.items())
        if missing and sum(missing.values()) == measured.n_rollouts:
            raise FieldError(f"{head.name}: no rollout has a number in the field '{spec.field}' ({reasons})", _NO_SCORE)
        if missing:
            output.note(
                f"{spec.name}: {sum(missing.values())} of {table.n_rollouts} rollouts have no value ({reasons})"
            )
    return table


_NO_SCORE = "name a field of numbers or booleans with --score NAME=FIELD"


def _tell(output: Output, table: "Rollouts", skipped: Sequence[str]) -> None:
    for text in table.notes:
        output.note(text)
    if skipped:
        output.note(f"{len(skipped)} lines skipped, the first {skipped[0]}")
    if coverage := table.coverage():
        output.note(f"{coverage['coverage/masked_rollouts']} masked rollouts are left out of the numbers")


def _coverage_records(table: "Rollouts") -> "list[Record]":
    from ..results import Record

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


def _restrict(records: "list[Record]", ks: list[int] | None, table: "Rollouts") -> "list[Record]":
    """The records at the chosen k, `per_sample_aggregate` whole."""
    from ..results import PER_SAMPLE

    if ks is None:
        return records
    lengths = table.starts[1:] - table.starts[:-1]
    longest = int(lengths.max(initial=0))
    if ks[-1] > longest:
        from ..keys import key_name

        task = table.tasks.values[table.tasks.codes[int(lengths.argmax())]] if len(lengths) else "none"
        raise DataError(
            f"k = {ks[-1]} is beyond the longest task: task {key_name(task)} has {longest} rollouts",
            "choose a smaller --k",
        )
    return [record for record in records if record.metric == PER_SAMPLE or record.k is None or record.k in ks]


def _title(name: str, reading: Reading, table: "Rollouts") -> str:
    from ..reader.sources import STDIN

    shown = ", ".join("<stdin>" if path == STDIN else path for path in reading.rollouts[:3])
    more = ", …" if len(reading.rollouts) > 3 else ""
    return f"{name} · {shown}{more} · {table.n_tasks:,} tasks · {table.n_rollouts:,} rollouts"


# --- commands -------------------------------------------------------------------------------------------------------


@command()
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
    from ..nemo_gym.files import profile_files, write_profile
    from ..nemo_gym.rows import profile_json
    from ..output.formats import Report, profile_records, profile_tables
    from ..reader.read import forked_jobs
    from ..reader.sources import sibling

    folder, stem = output.prepare(reading.rollouts)
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
        return profile_records(made)

    output.emit(Report(lambda: profile_tables(made), lambda: profile_json(made), records), reading.rollouts, "profile")


@command()
def passk(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    k: Annotated[
        str | None, option(SCORING, "--k", help="Only these k, for example 1,2,4,8.", show_default="all")
    ] = None,
) -> None:
    """Compute pass@k, the average of the first k, majority@k and their spread."""
    from ..analyses.passk import table_records
    from ..output.formats import Report, passk_table
    from ..results import metrics_json

    ks, specs = _parse_ks(k), scoring.specs()
    table = _read(reading, output, specs, scoring.answer_key)
    measured = table.measured()
    records = _restrict(table_records(measured, specs, scoring.answer_key), ks, measured) + _coverage_records(table)
    _tell_shrinking(output, records)
    title = _title("pass@k", reading, table)
    report = Report(lambda: [passk_table(records, title, ks)], lambda: metrics_json(records), lambda: records)
    output.emit(report, reading.rollouts, "passk")


@command()
def subsets(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    by: Annotated[
        str,
        option(
            SCORING,
            "--by",
            "--subset-key",
            help="Field that names the subset: a task belongs to the value its first rollout has.",
            show_default=False,
        ),
    ],
    k: Annotated[
        str | None, option(SCORING, "--k", help="Only these k, for example 1,2,4,8.", show_default="all")
    ] = None,
) -> None:
    """Compute the numbers of passk for every subset of the tasks."""
    from ..analyses.passk import subset_records
    from ..output.formats import Report, passk_table
    from ..results import metrics_json

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


@command("highest-k")
def highest_k(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    pattern: Annotated[
        list[str] | None,
        option(
            SCORING,
            "--pattern",
            help="Key with {k} for the number; repeatable.",
            show_default="pass@{k}, pass@1[avg-of-{k}] and majority@{k}",
        ),
    ] = None,
    score_name: Annotated[
        list[str] | None, option(SCORING, "--score-name", help="Keep this score only; repeatable.")
    ] = None,
    exclude_name: Annotated[
        list[str] | None, option(SCORING, "--exclude-name", help="Leave this score out; repeatable.")
    ] = None,
) -> None:
    """Pick the numbers at the highest k, from rollouts or from a metrics file (.json)."""
    from ..output.formats import Report, highest_k_table
    from ..results import USUAL_PATTERNS, highest_k, match_pattern, metrics_json, record_of_key

    specs = scoring.specs()
    patterns = pattern or list(USUAL_PATTERNS)
    for text in patterns:
        match_pattern(text)
    if any(path.endswith(".json") for path in reading.rollouts):
        if len(reading.rollouts) > 1:
            raise UsageError("a metrics file is read alone", "name one .json file, or rollouts")
        from ..nemo_gym.metrics_file import read_metrics

        metrics, coverage = read_metrics(reading.rollouts[0])
        title = f"highest k · {reading.rollouts[0]}"
    else:
        from ..analyses.passk import table_records

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


@command()
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
    from ..nemo_gym.aggregate_files import aggregate_agents
    from ..output.formats import Report, aggregate_records, aggregate_tables, write_report
    from ..reader import arrange, find_fields, read_rows
    from ..reader.sources import expand, kept_for_again, parts_of

    mixin = load_hooks(hooks) if hooks else None
    folder, stem = output.prepare(reading.rollouts)
    options = reading.options()
    with kept_for_again(expand(reading.rollouts), wanted=mixin is not None) as paths, _progress(output) as progress:
        fields, _, notes = find_fields(paths, options, numbers=None)
        rows = read_rows(paths, fields, options, progress)
        rows.notes += notes
        table = arrange(rows, reading.duplicates).of_agent(reading.agent)
        _tell(output, table, rows.skipped)
        again = None if any(path.endswith(".parquet") for path in paths) or mixin is None else parts_of(paths, 1)
        agents = aggregate_agents(table, again, mixin)
    entries = [agent.entry() for agent in agents]
    metrics = [(agent.name, agent.fields["agent_metrics"]) for agent in agents]
    headlines = [(agent.name, agent.fields["key_metrics"]) for agent in agents]
    report = Report(lambda: aggregate_tables(headlines), lambda: entries, lambda: aggregate_records(metrics))
    for path in write_report(report, ["json"], folder, f"{stem}_aggregate_metrics"):
        output.note(f"wrote {path}")
    output.emit(report, reading.rollouts, "aggregate")


@command()
def extract(
    reading: Reading,
    output_file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The table to write, .parquet.", show_default=False)
    ],
    keep: Annotated[
        list[str] | None,
        option(
            SCORING, "--keep", help="Also keep this field, to be an answer, a subset or a nested score; repeatable."
        ),
    ] = None,
    quiet: Annotated[bool, option(OUTPUT, "--quiet", "-q", help="No notes on standard error.")] = False,
) -> None:
    """Keep the numbers of rollouts as a Parquet table, which every command accepts in place of the rollouts."""
    from ..output.files import make_sure_of_folder, written
    from ..reader import arrange, find_fields, read_rows
    from ..reader.parquet import load_pyarrow, table_fields, write_table_file
    from ..reader.read import check_fields
    from ..reader.sources import expand, is_remote, is_table_file

    output = Output(quiet=quiet)
    if not is_table_file(output_file) or is_remote(output_file):
        raise UsageError(f"the table '{output_file}' must be a local file .parquet", "for example: -o shard-07.parquet")
    load_pyarrow(output_file)  # rather now than when everything has been read
    make_sure_of_folder(Path(output_file).parent)
    options = reading.options()
    paths = expand(reading.rollouts)
    kept = dict.fromkeys(keep or ())
    for path in filter(is_table_file, paths):
        kept |= dict.fromkeys(table_fields(path, ["label."]))
    fields, head, notes = find_fields(paths, options, numbers=None, subsets=tuple(kept), reasons=True)
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


@command()
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

        from ..nemo_gym.server import create_app
        from ..nemo_gym.serving import listen, run
    except ModuleNotFoundError as error:
        raise RewardcliError(f"serve needs {error.name}", 'pip install "rewardcli[serve]"') from error
    application = create_app(load_hooks(hooks) if hooks else None, token=token, max_body=max_body)
    listener = listen(host, port, guarded=token is not None)
    address, number = listener.getsockname()[:2]
    Output().note(f"listening on http://{f'[{address}]' if ':' in address else address}:{number}")
    run(application, listener)
