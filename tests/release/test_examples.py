"""The example programs, run: two with a stand-in for framework and model, the scripted one with the real framework."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import types
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from release import ROOT
from tests.support import Home

EXAMPLES = ROOT / "examples"


def run(name: str) -> None:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


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
    monkeypatch.setenv("PATH", str(scripts), prepend=os.pathsep)
    return home


async def tools_of(command: str, args: list[str]) -> list[str]:
    async with Client(stdio_client(StdioServerParameters(command=command, args=args))) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.long
def test_the_sdks_client_makes_a_key(installed: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run("sdk_client.py")
    (row,) = installed.sandbox.keys
    assert (row.name, row.remain_quota) == ("nightly report", 2_500_000)
    assert '"name":"nightly report"' in capsys.readouterr().out


@pytest.mark.long
def test_the_agent_of_the_openai_agents_sdk_starts_the_server(installed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    @asynccontextmanager
    async def server(*, params: dict[str, Any], client_session_timeout_seconds: float) -> Any:
        seen["timeout"] = client_session_timeout_seconds
        yield await tools_of(params["command"], params.get("args", []))

    async def answer(agent: dict[str, Any], message: str) -> Any:
        seen.update(agent, message=message)
        return types.SimpleNamespace(final_output="done")

    agents = types.ModuleType("agents")
    agents.__dict__.update(Agent=dict, Runner=types.SimpleNamespace(run=answer))
    inner = types.ModuleType("agents.mcp")
    inner.__dict__.update(MCPServerStdio=server)
    monkeypatch.setitem(sys.modules, "agents", agents)
    monkeypatch.setitem(sys.modules, "agents.mcp", inner)
    run("openai_agent.py")
    assert "create_api_key" in seen["mcp_servers"][0]
    assert seen["timeout"] >= 20
    assert installed.sandbox.keys == []


@pytest.mark.long
def test_the_agent_of_langchain_starts_a_server_in_another_environment(
    installed: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    class MultiServerMCPClient:
        def __init__(self, servers: dict[str, dict[str, Any]]) -> None:
            (self.server,) = servers.values()
            assert self.server["transport"] == "stdio"

        async def get_tools(self) -> list[str]:
            seen["command"] = self.server["command"]
            return await tools_of(self.server["command"], self.server["args"])

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
    command = str(Path(sys.executable).with_name("cometapi-mcp"))
    monkeypatch.setenv("SERVER_COMMAND", command)
    run("langchain_agent.py")
    assert "create_api_key" in seen["tools"]
    assert seen["command"] == command
    assert installed.sandbox.keys == []


@pytest.mark.long
def test_the_scripted_agent_gets_a_key_and_a_program_works_with_it(tmp_path: Path) -> None:
    """The framework is fetched, so this takes a network."""
    python = tmp_path / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, ROOT, "openai-agents"], check=True)
    done = subprocess.run(
        [python, EXAMPLES / "scripted_agent.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^agent: I have key 1, sk-\w{4}\*\*\*\w{4}, with \$1\.00 left\.$", done.stdout, re.MULTILINE)
    assert re.search(r"^program: .*the key works", done.stdout, re.MULTILINE)


def test_every_example_is_told_of_and_is_run_here() -> None:
    told = set(re.findall(r"^\| \[(\w+\.py)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert told == {path.name for path in EXAMPLES.glob("*.py")}
    here = Path(__file__).read_text(encoding="utf-8") + (EXAMPLES / "scripted_agent.py").read_text(encoding="utf-8")
    assert not [name for name in told if f'"{name}"' not in here]
