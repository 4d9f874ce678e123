"""`rewardcli profile`."""

from typing import Annotated

import typer

from ..app import command
from ..options import Output, Reading


@command("profile")
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
    from ...nemo_gym.files import profile_and_write

    with output.session(reading.rollouts, writes=True) as (console, destination):
        options = reading.options()
        result = profile_and_write(reading.rollouts, inputs, allow_partial, options, destination, console)
        output.emit(result, console, destination)
