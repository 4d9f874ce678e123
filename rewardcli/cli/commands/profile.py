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

    Writes <stem>_reward_profiling.jsonl, <stem>_agent_metrics.json and <stem>_repeat_level_metrics.json.
    """
    from ...nemo_gym.files import profile_and_write
    from ...reader import sibling

    with output.session(reading.rollouts) as session:
        destination = session.destination()
        if inputs is None and len(reading.rollouts) == 1:
            inputs = sibling(reading.rollouts[0], "_materialized_inputs.jsonl")
            if inputs:
                session.console.note("inputs", f"inputs: {inputs}")
        if inputs is None:
            session.console.note(
                "no-inputs", "no inputs: the rollouts themselves say what was expected ({inputs} names them)"
            )
        options = reading.options()
        result, _ = profile_and_write(reading.rollouts, inputs, allow_partial, options, destination, session.console)
        session.emit(result)
