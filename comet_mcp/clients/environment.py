"""The environment in which a client starts this server: what it passes of its own, and the entry's variables."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from comet_mcp.clients.table import Client, Reference

_WINDOWS = (
    *("APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROGRAMFILES"),
    *("SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE"),
)
"""What no program there starts without; clients that pass a few variables pass these."""
_REFERENCES: dict[Reference, str] = {
    "$V": r"\$(?P<name>[A-Za-z_]\w*)",
    "${V}": r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}",
    "${env:V}": r"\$\{env:(?P<name>[A-Za-z_]\w*)\}",
    "{env:V}": r"(?<!\$)\{env:(?P<name>[A-Za-z_]\w*)\}",
}


def environment_in(
    client: Client, variables: Mapping[str, str], environ: Mapping[str, str], platform: str = sys.platform
) -> dict[str, str]:
    """What a server gets that a client starts in `environ`, with an entry that has these variables."""
    if client.passes is None:
        passed = {name: value for name, value in environ.items() if not _is_withheld(client, name)}
    else:
        names = {*client.passes, *(_WINDOWS if platform == "win32" else ())}
        passed = {name: value for name, value in environ.items() if name in names}
    return {**passed, **{name: _expanded(client, value, environ) for name, value in variables.items()}}


def _is_withheld(client: Client, name: str) -> bool:
    return any(word in name.upper() for word in client.withholds)


def _expanded(client: Client, text: str, environ: Mapping[str, str]) -> str:
    """An entry's value as the client passes it; a variable that is not set counts as empty."""

    def value(found: re.Match[str]) -> str:
        return environ.get(found["name"]) or found.groupdict().get("default") or ""

    for reference in client.expands:
        text = re.sub(_REFERENCES[reference], value, text)
    return text
