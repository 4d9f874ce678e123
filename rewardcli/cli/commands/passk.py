"""`rewardcli passk`."""

from ..app import command
from ..options import KS, METRICS, Output, Reading, Scoring, shown_as


@command("passk")
def passk(reading: Reading, scoring: Scoring, output: Output, metric: METRICS = None, k: KS = None) -> None:
    """Compute pass@k, the average of the first k, majority@k and their spread."""
    from ...analyses.passk import passk as analyze
    from ...reader import read_rollouts

    question = scoring.question(metric, k)
    with output.session(reading.rollouts) as session:
        rollouts = read_rollouts(reading.rollouts, question.wanted(), reading.options(), session.console)
        session.emit(analyze(rollouts, question, shown_as("pass@k", reading), session.console))
