"""Draw the picture in the README from real output: `python docs/make_picture.py`."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "profile.svg"
COMMAND = "rewardcli profile examples/math_rollouts.jsonl"


def draw() -> str:
    """Draw the picture, as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(sys.executable).parent / "rewardcli")
        arguments = [program, *COMMAND.split()[1:], "--quiet", "--output-dir", folder]
        shown = subprocess.run(arguments, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout  # noqa: S603 - our own command
    console = Console(record=True, width=72, file=io.StringIO(), color_system="truecolor", legacy_windows=False)
    console.print(Text(f"$ {COMMAND}", style="bold green"))
    for line in shown.rstrip().splitlines():
        title = line.startswith(("Completion", "Agent", "Mean reward", "Tasks"))
        console.print(Text(line, style="bold" if title else ""))
    return console.export_svg(title="rewardcli", unique_id="rewardcli")


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
