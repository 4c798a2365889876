"""`python -m release.picture`: README's picture, `docs/demo.svg`, drawn of what the demo prints.

What differs from run to run (the day, the masked value) is shown as it was on one day.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from release import ROOT

PICTURE = ROOT / "docs" / "demo.svg"
WIDTH = 118
_SAMPLES = (
    (r"\w+day \d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", "Sunday 2027-01-31 12:00:00 UTC"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2027-01-31T12:00:00Z"),
    (r"(?<=\"expired_time\": )\d+", "1801396800"),
    (r"sk-\w{4}\*\*\*\w{4}", "sk-gLEC***DQNw"),
)
_STYLES = (
    (r"^\$ .*$", "bold bright_white"),
    (r"^You: .*$", "bold bright_cyan"),
    (r"^  -> \w+", "bright_blue"),
    (r"^  <- \[\w+\]", "bright_yellow"),
    (r"^  <- (?=\{)", "bright_green"),
    (r"sk-gLEC\*\*\*DQNw", "bold bright_magenta"),
    (r"^  cometapi-mcp run .*$", "bold bright_white"),
    (r"refused: .*$", "bright_yellow"),
)
# fmt: off
_THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34),
     (88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)],
    [(110, 118, 129), (255, 161, 152), (86, 211, 100), (227, 179, 65),
     (121, 192, 255), (210, 168, 255), (86, 212, 221), (240, 246, 252)],
)
# fmt: on


def shown() -> str:
    """The demo's first part: a key is asked for, made, and used by a program."""
    command = [sys.executable, "-m", "comet_mcp", "demo"]
    wide = os.environ | {"COLUMNS": str(WIDTH)}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, cwd=ROOT, env=wide)
    printed = done.stdout
    for pattern, sample in _SAMPLES:
        printed = re.sub(pattern, sample, printed)
    _, first, *_ = re.split(r"^(?=You: )", printed, flags=re.MULTILINE)
    return f"$ cometapi-mcp demo\n\n{first.rstrip()}\n\n"


def drawn(text: str) -> str:
    """The picture of a text in a terminal."""
    styled = Text(text)
    for pattern, style in _STYLES:
        styled.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(styled, end="")
    return console.export_svg(title="cometapi-mcp", theme=_THEME, unique_id="demo")


if __name__ == "__main__":
    PICTURE.write_text(drawn(shown()), encoding="utf-8", newline="\n")
