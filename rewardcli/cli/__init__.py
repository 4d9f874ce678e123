"""The command line: options, one small function a command, one error boundary, the exit statuses.

Only typer is imported here; a command imports what it needs when it runs.
"""

from . import commands
from .app import app, main

__all__ = ["app", "commands", "main"]
