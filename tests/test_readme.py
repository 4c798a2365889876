"""README's examples and configurations, run as far as that is possible without the programs they are for."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
import types
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.support import Home

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def example(mark: str) -> str:
    (found,) = [text for text in blocks("python") if mark in text]
    return found


@pytest.fixture
def installed(make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in whose environment the examples' command `cometapi-mcp` is found, and this process lives there."""
    home = make_home()
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    # what the SDK's client passes on is HOME, PATH and the like: the rest has to be in the config file
    config = home.directory / ".config" / "cometapi" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'access_token = "{home.sandbox.access_token}"\nbase_url = "{home.url}"\nuser_id = {home.sandbox.user_id}\n',
        encoding="utf-8",
    )
    scripts = Path(sys.executable).parent
    assert any((scripts / name).exists() for name in ("cometapi-mcp", "cometapi-mcp.exe"))
    monkeypatch.setenv("PATH", str(scripts), prepend=";" if sys.platform == "win32" else ":")
    return home


def test_the_example_for_the_sdk_makes_a_key(installed: Home, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("from mcp import"), "README.md", "exec"), {})  # noqa: S102 - that is the test
    (row,) = installed.sandbox.keys
    assert (row.name, row.remain_quota) == ("nightly report", 2_500_000)
    assert '"name":"nightly report"' in capsys.readouterr().out


async def _tools_of(command: str, args: list[str]) -> list[str]:
    async with Client(stdio_client(StdioServerParameters(command=command, args=args))) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


def test_the_example_for_the_openai_agents_sdk_starts_the_server(
    installed: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    @asynccontextmanager
    async def server(*, params: dict[str, Any], client_session_timeout_seconds: float) -> Any:
        seen["timeout"] = client_session_timeout_seconds
        yield await _tools_of(params["command"], params.get("args", []))

    async def run(agent: dict[str, Any], message: str) -> Any:
        seen.update(agent, message=message)
        return types.SimpleNamespace(final_output="done")

    agents = types.ModuleType("agents")
    agents.__dict__.update(Agent=dict, Runner=types.SimpleNamespace(run=run))
    inner = types.ModuleType("agents.mcp")
    inner.__dict__.update(MCPServerStdio=server)
    monkeypatch.setitem(sys.modules, "agents", agents)
    monkeypatch.setitem(sys.modules, "agents.mcp", inner)
    exec(compile(example("from agents import"), "README.md", "exec"), {})  # noqa: S102 - that is the test
    assert "create_api_key" in seen["mcp_servers"][0]
    assert seen["timeout"] >= 20
    assert installed.sandbox.keys == []


def test_the_example_for_langchain_starts_the_server(installed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class MultiServerMCPClient:
        def __init__(self, servers: dict[str, dict[str, Any]]) -> None:
            (self.server,) = servers.values()
            assert self.server["transport"] == "stdio"

        async def get_tools(self) -> list[str]:
            return await _tools_of(self.server["command"], self.server["args"])

    def create_agent(model: str, tools: list[str]) -> Any:
        seen.update(model=model, tools=tools)

        async def ainvoke(_: dict[str, Any]) -> str:
            return "done"

        return types.SimpleNamespace(ainvoke=ainvoke)

    modules: dict[str, dict[str, Any]] = {
        "langchain": {},
        "langchain.agents": {"create_agent": create_agent},
        "langchain_mcp_adapters": {},
        "langchain_mcp_adapters.client": {"MultiServerMCPClient": MultiServerMCPClient},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    exec(compile(example("from langchain"), "README.md", "exec"), {})  # noqa: S102 - that is the test
    assert "create_api_key" in seen["tools"]
    assert installed.sandbox.keys == []


def test_the_client_configurations_are_json_and_start_the_released_command() -> None:
    servers: list[dict[str, Any]] = []
    for text in blocks("json"):
        config = json.loads(text)
        servers += (config.get("mcpServers") or config["servers"]).values()
    assert [(server["command"], server["args"]) for server in servers] == [("uvx", ["cometapi-mcp"])] * 2
    (line,) = [text for text in blocks("sh") if text.startswith("claude ")]
    assert shlex.split(line)[-2:] == ["uvx", "cometapi-mcp"]


def test_the_config_file_example_is_toml_with_the_clis_name_for_the_token() -> None:
    (text,) = [text for text in blocks("toml") if "access_token" in text]
    assert list(tomllib.loads(text)) == ["access_token"]
