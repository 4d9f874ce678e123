"""`rewardcli highest-k`."""

from typing import Annotated

from ..app import command
from ..options import METRICS, SCORING, Output, Reading, Scoring, option, shown_as


@command("highest-k")
def highest_k(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    pattern: Annotated[
        list[str] | None,
        option(
            SCORING,
            help="Key with {k} for the number; repeatable.",
            show_default="pass@{k}, pass@1[avg-of-{k}] and majority@{k}",
        ),
    ] = None,
    score_name: Annotated[list[str] | None, option(SCORING, help="Keep only this score; repeatable.")] = None,
    exclude_name: Annotated[list[str] | None, option(SCORING, help="Leave this score out; repeatable.")] = None,
    metric: METRICS = None,
) -> None:
    """Pick the numbers at the highest k, from rollouts or from a metrics file (.json)."""
    from ...analyses import highest_k as analysis

    question = scoring.question(metric)
    choice = analysis.Choice(pattern, score_name, exclude_name, question.metrics)
    with output.session(reading.rollouts) as session:
        title = shown_as("highest k", reading)
        if reading.is_metrics_file():
            from ...nemo_gym.metrics_file import read_metrics

            result = analysis.from_records(read_metrics(reading.rollouts[0]), choice, title, session.console)
        else:
            from ...reader import read_rollouts

            rollouts = read_rollouts(reading.rollouts, question.wanted(), reading.options(), session.console)
            result = analysis.from_rollouts(rollouts, question, choice, title, session.console)
        session.emit(result)
