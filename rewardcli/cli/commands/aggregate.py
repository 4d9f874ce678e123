"""`rewardcli aggregate`."""

from ..app import command
from ..options import HOOKS, Output, Reading


@command("aggregate")
def aggregate(reading: Reading, hooks: HOOKS = None, output: Output = Output(format="json")) -> None:  # noqa: B008 - frozen
    """Compute the aggregate metrics of each agent, with an environment's own hooks.

    Writes <stem>_aggregate_metrics.json.
    """
    from ...nemo_gym.aggregate_files import aggregate_and_write
    from ...nemo_gym.hooks import load_hooks

    mixin = load_hooks(hooks) if hooks else None
    with output.session(reading.rollouts) as session:
        destination = session.destination()
        result = aggregate_and_write(reading.rollouts, mixin, reading.options(), destination, session.console)
        session.emit(result)
