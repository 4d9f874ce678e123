"""The program: commands within one error boundary, and the exit statuses."""

import dataclasses
import inspect
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import RewardcliError, UsageError
from .coercion import PlainValues
from .commands import COMMANDS
from .options import Output, Reading, Scoring, spell

__all__ = ["app", "command", "main"]

INTERRUPTED, PIPE_CLOSED = 130, 141
_HELP = {"help_option_names": ["-h", "--help"]}
_GROUPS = (Reading, Scoring, Output)


def _spell_option(name: str, value: str | None) -> str:
    option = f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {value}"


@contextmanager
def _boundary() -> Iterator[None]:
    """Turn what goes wrong into a message and an exit status."""
    try:
        try:
            yield
        except typer.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except RewardcliError as error:
        from ..output.console import printable

        print(f"Error: {printable(error.message)}", file=sys.stderr)
        if hint := error.hint_for(spell):
            print(f"Hint: {printable(hint)}", file=sys.stderr)
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
    """Let what is still buffered vanish: it cannot be written, and the interpreter would complain when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Command(PlainValues, TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # The last of repeated values wins, as is usual; not where somebody may have meant a list.
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given:
            if parameter.name in _ONCE and given.count(parameter) > 1:
                raise UsageError(f"{parameter.opts[0]} is given {given.count(parameter)} times", "give it once")
        return super().parse_args(ctx, args)


_ONCE = {"task_key", "rollout_key", "agent_key", "answer_key", "agent", "k"}


class _Group(PlainValues, TyperGroup):
    """The commands, each loaded when it is asked for, within the one error boundary."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = import_module(f".commands.{COMMANDS[cmd_name]}", __package__)
            self.commands[cmd_name] = getattr(module, COMMANDS[cmd_name])
        return super().get_command(ctx, cmd_name)

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
    context_settings=_HELP,
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


def command(name: str) -> Callable[[Callable[..., None]], Any]:
    """Make a command of a function, whose parameters that are groups of options stand for the options in them."""

    def make(function: Callable[..., None]) -> Any:
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
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=_HELP)
        alone.command(name, cls=_Command)(call)
        return typer.main.get_command(alone)

    return make


class _Ended(BaseException):
    """The program is asked to end: what is half-written goes before it does."""


def _end(number: int, _frame: Any) -> None:
    raise _Ended(number)


def main() -> None:
    """The console script."""
    for number in (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    # Whoever calls may have closed these; what is opened next must not take their place either.
    nowhere = Path(os.devnull)
    sys.stdin = sys.stdin or nowhere.open()
    sys.stdout = sys.stdout or nowhere.open("w")
    sys.stderr = sys.stderr or nowhere.open("w")
    if isinstance(raw := getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # PYTHONUNBUFFERED: what a full disk or a closed pipe leaves of a write would be lost without an error.
        buffered, form = io.BufferedWriter(raw), (sys.stdout.encoding, sys.stdout.errors)
        sys.stdout = io.TextIOWrapper(buffered, *form, line_buffering=True)
    try:
        app(prog_name="rewardcli")
    except _Ended as ended:
        signal.signal(ended.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), ended.args[0])
