"""The command line: options, one small file per command, one error boundary, the exit statuses.

Only typer is imported at the start; a command imports what it needs when it runs.
"""

from .app import app, main

__all__ = ["app", "main"]
