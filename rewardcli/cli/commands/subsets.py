"""`rewardcli subsets`."""

from typing import Annotated

from ..app import command
from ..options import KS, METRICS, SCORING, Output, Reading, Scoring, option, shown_as


@command("subsets")
def subsets(
    reading: Reading,
    scoring: Scoring,
    output: Output,
    by: Annotated[
        list[str],
        option(
            SCORING,
            "--by",
            "--subset-key",
            help="Field that names the subset: a task belongs to the value that its first rollout has; repeatable.",
            show_default=False,
        ),
    ],
    metric: METRICS = None,
    k: KS = None,
) -> None:
    """Compute the numbers of passk for every subset of the tasks."""
    from ...analyses.passk import subsets as analyze
    from ...reader import read_rollouts

    fields = list(dict.fromkeys(by))
    question = scoring.question(metric, k)
    with output.session(reading.rollouts) as session:
        rollouts = read_rollouts(reading.rollouts, question.wanted(fields), reading.options(), session.console)
        title = shown_as(f"pass@k by {', '.join(fields)}", reading)
        session.emit(analyze(rollouts, question, fields, title, session.console))
