"""How a value that is in a file gets into a shell's environment, in a line for each shell.

No line sources the file: a line end of Windows would become part of the value, an apostrophe further down would be an
error, and whatever else is in the file would be run. Each line looks for the one word that fits the key's mask.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path


def shell_lines(path: Path, variable: str, value: str) -> dict[str, str]:
    """The lines by the shells they are for; none for a value that is not made of the usual characters."""
    if not re.fullmatch(r"sk-[A-Za-z0-9._-]{16,}", value):
        return {}
    word = f"sk-{re.escape(value[3:7])}[A-Za-z0-9._-]+{re.escape(value[-4:])}"
    if sys.platform == "win32":
        quoted = str(path).replace("'", "''")
        text = f"(Get-Content -Raw -LiteralPath '{quoted}')"
        return {"PowerShell": f"$env:{variable} = [regex]::Match({text}, '{word}').Value"}
    found = f"command grep -oE '{word}' {{}} | head -n 1"
    in_fish = "'{}'".format(str(path).replace("\\", "\\\\").replace("'", "\\'"))
    return {
        "bash, zsh, sh": f'export {variable}="$({found.format(shlex.quote(str(path)))})"',
        "fish": f"set -gx {variable} ({found.format(in_fish)})",
    }
