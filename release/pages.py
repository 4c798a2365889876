"""`python -m release.pages`: the parts of README and docs that are made of the code, written where their marks are."""

from __future__ import annotations

import json
import re
import shlex

from comet_mcp.clients.file import block
from comet_mcp.clients.start import NAME
from comet_mcp.clients.table import BY_NAME, CLIENTS, Client
from release import ROOT
from release.links import VSCODE_ENTRY, VSCODE_INPUTS, goose, one_click
from release.start import START

PAGES = ("README.md", "README.ja.md", "docs/clients.md")
OWN_FORM = ("codex", "opencode", "zed", "goose", "copilot", "cline")
"""The clients whose entry is not the common one, and of which a page shows what it is."""
_LIST_OF_WORDS = re.compile(r"\[\s+((?:\"[^\"]*\",?\s+)+)\]")


def links() -> str:
    """The one-click links in one line."""
    return " · ".join(f"[{client}]({link})" for client, link in one_click().items())


def common() -> str:
    """The entry that most clients take."""
    return _fenced("json", json.dumps({"mcpServers": {NAME: _entry()}}, indent=2))


def command() -> str:
    """The line without a client."""
    return _fenced("bash", shlex.join([START.command, *START.args, "--version"]))


def claude_code() -> str:
    """The command by which Claude Code adds it."""
    return _fenced("bash", shlex.join(["claude", "mcp", "add", "-s", "user", NAME, "--", START.command, *START.args]))


def vscode() -> str:
    """VS Code's file, which makes it ask for the token."""
    return _fenced("json", json.dumps({"inputs": VSCODE_INPUTS, "servers": {NAME: VSCODE_ENTRY}}, indent=2))


def goose_link() -> str:
    """The link for goose, as text to be copied."""
    return _fenced("text", goose())


def own_forms() -> str:
    """The entries of clients that have a form of their own."""
    return "\n\n".join(_titled(BY_NAME[name]) for name in OWN_FORM)


def table() -> str:
    """Every client that `install` knows, with its file."""
    rows = [f"| {client.title} | `{client.name}` | {_paths(client)} |" for client in CLIENTS]
    return "\n".join(("| client | `install` | its file |", "|---|---|---|", *rows))


PARTS = (links, common, command, claude_code, vscode, goose_link, own_forms, table)


def filled(page: str) -> str:
    """A page with its marked parts as the code has them now."""
    for part in PARTS:
        page = _replaced(page, part.__name__, part())
    return page


def main() -> None:
    """Write the pages."""
    for name in PAGES:
        path = ROOT / name
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _replaced(page: str, name: str, text: str) -> str:
    marked = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- /made -->)", re.DOTALL)
    return marked.sub(lambda marks: f"{marks[1]}{text}\n{marks[2]}", page)


def _entry() -> dict[str, object]:
    return {"command": START.command, "args": START.args}


def _titled(client: Client) -> str:
    language = {"json": "json", "toml": "toml", "toml array": "toml"}.get(client.form, "yaml")
    return f"{client.title}:\n\n{_fenced(language, block(client, START.entry(client)).rstrip())}"


def _paths(client: Client) -> str:
    """Its file on Linux, and on the others where it is another one."""
    others = {"macOS": client.macos, "Windows": client.windows}
    own = [f"{system} {_either(paths)}" for system, paths in others.items() if paths and paths != client.linux]
    return "; ".join((_either(client.linux), *own))


def _either(paths: tuple[str, ...]) -> str:
    return " or ".join(f"`{_plain(path)}`" for path in paths)


def _plain(template: str) -> str:
    """A path as it is where no variable says otherwise."""
    while "{" in template:
        template = re.sub(r"\{[A-Z_]+\|([^{}]*)\}", r"\1", template)
    return template


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{_LIST_OF_WORDS.sub(_on_one_line, text)}\n```"


def _on_one_line(words: re.Match[str]) -> str:
    return f"[{' '.join(words[1].split())}]"


if __name__ == "__main__":
    main()
