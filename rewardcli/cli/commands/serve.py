"""`rewardcli serve`."""

import os
from typing import Annotated

import typer

from ...errors import RewardcliError
from ..app import command
from ..options import HOOKS, Output


@command("serve")
def serve(
    hooks: HOOKS = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="REWARDCLI_TOKEN", help="What callers must send as Authorization: Bearer TOKEN."),
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of the largest body that is let in.")] = 1 << 30,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that requests in flight have after SIGTERM or Ctrl-C.")
    ] = 10.0,
) -> None:
    """Answer POST /aggregate_metrics over HTTP as NeMo Gym's servers do."""
    try:
        import uvicorn  # noqa: F401 - if it is missing, say so before anything is done

        from ...nemo_gym.server import create_app
        from ...nemo_gym.serving import listen, run
    except ModuleNotFoundError as error:
        raise RewardcliError(f"serve needs {error.name}", 'pip install "rewardcli[serve]"') from error
    from ...nemo_gym.hooks import load_hooks

    if token is None:
        token = os.environ.get("REWARDCLI_TOKEN")  # Typer takes an empty one for none
    application = create_app(load_hooks(hooks) if hooks else None, token=token, max_body=max_body)
    listener = listen(host, port, guarded=token is not None)
    address, number = listener.getsockname()[:2]
    with Output().session() as session:
        session.console.note(
            "listening", f"listening on http://{f'[{address}]' if ':' in address else address}:{number}"
        )
        run(application, listener, grace=grace)
