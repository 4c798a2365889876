"""The one-click links, made of what starts the server. None has a token in it."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from comet_mcp.clients.start import NAME
from release.start import START

TOKEN_INPUT = "cometapi-token"  # noqa: S105 - a name
VSCODE_INPUTS = [
    {"id": TOKEN_INPUT, "type": "promptString", "description": "CometAPI access token", "password": True},
]
"""VS Code asks for the token once and keeps it in its own secret storage."""
VSCODE_ENTRY: dict[str, Any] = {
    "type": "stdio",
    "command": START.command,
    "args": START.args,
    "env": {"COMETAPI_ACCESS_TOKEN": f"${{input:{TOKEN_INPUT}}}"},
}


def one_click() -> dict[str, str]:
    """A web address for each client that has one: a page on GitHub links to no other kind."""
    entry = {"command": START.command, "args": START.args}
    base64_of_entry = _component(base64.b64encode(_json(entry).encode()).decode())
    vscode = f"name={NAME}&inputs={_component(_json(VSCODE_INPUTS))}&config={_component(_json(VSCODE_ENTRY))}"
    return {
        "Cursor": f"https://cursor.com/en/install-mcp?name={NAME}&config={base64_of_entry}",
        "VS Code": f"https://insiders.vscode.dev/redirect/mcp/install?{vscode}",
        "VS Code Insiders": f"https://insiders.vscode.dev/redirect/mcp/install?{vscode}&quality=insiders",
        "LM Studio": f"https://lmstudio.ai/install-mcp?name={NAME}&config={base64_of_entry}",
        "Kiro": f"https://kiro.dev/launch/mcp/add?name={NAME}&config={_component(_json(entry))}",
    }


def goose() -> str:
    """The link for goose, which has to be opened by hand: `open LINK`, `xdg-open LINK`, `start LINK`."""
    arguments = "&".join(f"arg={_component(argument)}" for argument in START.args)
    said = _component("Makes and manages scoped CometAPI keys")
    return f"goose://extension?cmd={START.command}&{arguments}&id={NAME}&name=CometAPI&description={said}&timeout=300"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _component(text: str) -> str:
    """As JavaScript's encodeURIComponent."""
    return quote(text, safe="!~*'()-_.")
