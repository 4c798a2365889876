"""README's way in: one command in an empty home, and what it wrote for a client starts a server that makes a key.

The client's file is looked for and read without this product's own code, and its entry is started with nothing in its
environment but what that client passes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from ruamel.yaml import YAML

from comet_mcp.clients.environment import environment_in
from comet_mcp.clients.table import BY_NAME
from release import ROOT
from tests.support import Home, data_of, error_of

LONGEST = 20
"""Seconds of a processor, for all that is started from an empty home to a key."""
CLIENTS = {
    "claude-desktop": ("claude_desktop_config.json", "mcpServers"),
    "claude-code": (".claude.json", "mcpServers"),
    "cursor": ("mcp.json", "mcpServers"),
    "vscode": ("mcp.json", "servers"),
    "zed": ("settings.json", "context_servers"),
    "gemini": ("settings.json", "mcpServers"),
    "codex": ("config.toml", "mcp_servers"),
    "goose": ("config.yaml", "extensions"),
    "opencode": ("opencode.jsonc", "mcp"),
    "copilot": ("mcp-config.json", "mcpServers"),
    "cline": ("cline_mcp_settings.json", "mcpServers"),
    "qwen": ("settings.json", "mcpServers"),
    "droid": ("mcp.json", "mcpServers"),
    "vibe": ("config.toml", "mcp_servers"),
    "continue": ("config.yaml", "mcpServers"),
}
"""What the client's file is called, and where its servers are in it."""


def commands() -> list[str]:
    """What README's set-up has somebody type who reads nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Set-up$.*?^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [command for command in re.split(r" && |\n", block) if command and not command.startswith("cd ")]


def entry_in(home: Path, client: str) -> dict[str, Any]:
    """The one server in the one file that is not the product's own."""
    name, key = CLIENTS[client]
    files = [path for path in home.rglob("*") if path.is_file()]
    (path,) = (path for path in files if not any(part.startswith("cometapi") for part in path.relative_to(home).parts))
    assert path.name == name
    text = path.read_text(encoding="utf-8")
    read: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": YAML(typ="safe").load}
    servers = read.get(path.suffix, json.loads)(text)[key]
    if isinstance(servers, list):
        (entry,) = servers
        assert entry["name"] == "cometapi"
    else:
        assert list(servers) == ["cometapi"]
        entry = servers["cometapi"]
    return dict(entry)


def start_of(entry: dict[str, Any], client: str, shell: dict[str, str]) -> StdioServerParameters:
    command: Any = entry.get("command", entry.get("cmd"))
    words = command if isinstance(command, list) else [command, *entry["args"]]
    own = entry.get("env") or entry.get("envs") or entry.get("environment") or {}
    environment = environment_in(BY_NAME[client], own, shell)
    assert Path(words[0]).is_absolute()
    return StdioServerParameters(command=words[0], args=words[1:], env=environment)


def test_readme_gives_three_commands() -> None:
    fetched, installed, begun = commands()
    assert fetched.startswith("git clone https://")
    assert installed == "python3 install.py"
    assert begun == ".venv/bin/cometapi-mcp setup"


@pytest.mark.long
@pytest.mark.parametrize(
    ("client", "profile"),
    [
        *((name, "") for name in CLIENTS),
        ("claude-desktop", "work"),
    ],
)
async def test_setup_in_an_empty_home_leads_to_a_client_whose_server_makes_keys(
    client: str, profile: str, make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    shell = {name: value for name, value in home.environment.items() if not name.startswith("COMETAPI")}
    monkeypatch.setattr("mcp.client.stdio.DEFAULT_INHERITED_ENV_VARS", ())  # the SDK's client adds none of its own
    begun = os.times()
    command, *words = shlex.split(commands()[-1])
    done = await anyio.run_process(
        [
            *(str(Path(sysconfig.get_path("scripts"), Path(command).name)), *words),
            *("--token-stdin", "--base-url", home.url, *(("--profile", profile) if profile else ())),
            *("--client", client, "--policy", "personal", "--no-key"),
        ],
        env=shell,
        cwd=home.directory,
        input=home.sandbox.access_token.encode(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert home.sandbox.access_token.encode() not in done.stdout
    entry = entry_in(home.directory, client)
    assert home.sandbox.access_token not in repr(entry)
    async with Client(stdio_client(start_of(entry, client, shell))) as server:
        plan = data_of(await server.call_tool("plan_api_key", {"name": "shop", "budget_usd": 2, "lifetime": "1 day"}))
        key = data_of(await server.call_tool("create_api_key", plan["create_api_key"]))
        too_much = {**plan["create_api_key"], "name": "more", "remain_quota": 30 * 500_000}
        assert "max_budget_usd" in error_of(await server.call_tool("create_api_key", too_much))
    ended = os.times()
    assert key["secret"]["stored_in"] == "file"
    assert [row.name for row in home.sandbox.keys] == ["shop"]
    used = ended.children_user + ended.children_system - begun.children_user - begun.children_system
    assert used < LONGEST, used
