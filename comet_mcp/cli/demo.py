"""`cometapi-mcp demo`: a key's whole life, end to end, with nothing pretended but the API.

A sandbox listens on a loopback port, the server runs as a subprocess, and a real MCP client talks to it over stdio,
as Claude Desktop would. All files are in a temporary directory; the user's own settings, keys and journal are never
read or written.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import textwrap
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import click
from mcp import Client, StdioServerParameters, stdio_client

from comet_mcp.sandbox import Sandbox
from comet_mcp.secret_store.base import KEY_VARIABLE

MODEL = "gpt-4.1-mini"
OTHER_MODEL = "gpt-4.1"
_WIDTH = 115
_LOGGED_AFTER = 2.5
"""Seconds after which a call is among those that get_usage reads: the last two may still be written."""


class DemoError(Exception):
    """Something did not work as it should."""


@click.command("demo")
def command() -> int:
    """Show a key's whole life, end to end: the real server and a real MCP client on a pretend CometAPI.

    It needs no account and no network, and leaves nothing behind.
    """
    sandbox = Sandbox()
    wrong: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="cometapi-mcp-demo-") as directory, sandbox.serve() as url:
        try:
            anyio.run(_play, sandbox, url, Path(directory))
        except* DemoError as group:  # the client wraps what is raised inside it
            wrong.append(_innermost(group))
    if wrong:
        click.echo(f"\nThe demo failed: {wrong[0]}", err=True)
        return 1
    click.echo("\nEverything worked, and nothing is left behind. To use it for real: README.md, Set-up.")
    return 0


async def _play(sandbox: Sandbox, url: str, directory: Path) -> None:
    click.echo("A pretend CometAPI on this machine, the real server, a real MCP client. No network, no account.\n")
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "comet_mcp"],  # -P: no module of the directory we are in is taken for one of ours
        env=_environment(sandbox, url, directory),
    )
    async with Client(stdio_client(server)) as client:
        click.echo(f'You: "Make me a key for the blog summariser, five dollars, thirty days, only {MODEL}."')
        await _ask(client, "create_api_key", {"name": "blog summariser", "budget_usd": 5}, refused="budget_usd")
        _expect(not sandbox.keys, "a key was made from an argument that does not exist")
        asked = {"name": "blog summariser", "budget_usd": 5, "lifetime": "30 days", "models": [MODEL]}
        plan = await _ask(client, "plan_api_key", asked, show=("budget", "ends"))
        key = await _ask(client, "create_api_key", plan["create_api_key"], show=("id", "key", "ends", "budget"))

        path = Path(key["secret"]["path"])
        value = _value_in(path)
        _expect(value.removeprefix("sk-") == sandbox.keys[0].key, "the stored key is not the one the API made")
        _expect(value not in json.dumps(key), "the key's value reached the agent")
        click.echo("\nIts value never reached the agent. It is in a file that only you can read; a program gets it by")
        click.echo(f"  {key['secret']['load']}")

        click.echo("\nA program that loaded it can use the key at once, and only as it was meant:")
        usage = _http(url, value, "GET", "/api/usage/token/")["data"]
        models = [model["id"] for model in _http(url, value, "GET", "/v1/models")["data"]]
        _expect(models == [MODEL] and usage["total_available"] == 2_500_000, "the key's limits are not those asked for")
        said = _http(url, value, "POST", "/v1/chat/completions", _chat(MODEL))["choices"][0]["message"]["content"]
        click.echo(f"  {MODEL:13} {said}")
        refused = _http(url, value, "POST", "/v1/chat/completions", _chat(OTHER_MODEL), fails=True)["error"]["message"]
        click.echo(f"  {OTHER_MODEL:13} refused: {refused.split(' (request id')[0]}")

        click.echo('\nYou: "Is it working? Give it two dollars more. And replace it, the old one may have leaked."')
        await _ask(client, "verify_api_key", {"id": key["id"]}, show=("verdict", "budget", "models"))
        await _ask(client, "update_api_key", {"id": key["id"], "add_budget_usd": 2}, show=("changed", "budget"))
        done = await _ask(client, "rotate_api_key", {"id": key["id"], "old_key": "disable"}, show=("steps",))
        dead = await _ask(client, "verify_api_key", {"id": key["id"]}, show=("verdict", "reasons"))
        _expect(
            dead["verdict"] == "does not work" and done["old_key"]["state"] == "disabled", "the old key still works"
        )
        await _ask(client, "delete_api_key", {"id": key["id"]}, show=("deleted",))
        (left,) = (await _ask(client, "list_api_keys", {}, show=("items",)))["items"]
        _expect([left["id"]] == [row.id for row in sandbox.keys], "the list does not show the key that is left")

        click.echo("\nA job gets a key of its own, which is gone when the job is:")
        click.echo("  $ cometapi-mcp run --lease 15m --budget 0.50 -- JOB")
        for line in (await _leased(server.env or {})).splitlines():
            click.echo(_folded("  ", line.removeprefix("cometapi-mcp run: ")))
        _expect([left["id"]] == [row.id for row in sandbox.keys], "the job's key is still there")

        click.echo('\nYou: "What did I spend today, by model?"')
        await anyio.sleep(_LOGGED_AFTER)
        spent = await _ask(client, "get_usage", {"by": "model", "span": "today"}, show=("total", "items"))
        _expect([line["model"] for line in spent["items"]] == [MODEL], "what was spent is not shown by model")


async def _leased(environment: dict[str, str]) -> str:
    """What `run --lease` says of a job that looks for its key."""
    job = [sys.executable, "-c", f"import os, sys; sys.exit({KEY_VARIABLE!r} not in os.environ)"]
    command = [sys.executable, "-P", "-m", "comet_mcp", "run", "--lease", "15m", "--budget", "0.50", "--", *job]
    done = await anyio.run_process(command, env=environment, check=False)
    said = done.stderr.decode()
    _expect(done.returncode == 0, f"the job had no key of its own: {said}")
    return said


def _environment(sandbox: Sandbox, url: str, directory: Path) -> dict[str, str]:
    config = directory / "config.toml"
    config.touch()
    own = {
        "COMETAPI_BASE_URL": url,
        "COMETAPI_ACCESS_TOKEN": sandbox.access_token,
        "COMETAPI_MCP_CONFIG": str(config),
        "COMETAPI_MCP_KEY_DIR": str(directory / "keys"),
        "COMETAPI_MCP_STATE": str(directory / "journal.sqlite3"),
        "COMETAPI_MCP_REPLAY": "0",  # its recording would stay
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("COMETAPI_")} | own


async def _ask(
    client: Client, tool: str, arguments: dict[str, Any], *, show: tuple[str, ...] = (), refused: str = ""
) -> dict[str, Any]:
    """Call a tool; print what goes and the part of what comes that is worth showing."""
    click.echo(_folded("  -> ", f"{tool} {json.dumps(arguments)}"))
    result = await client.call_tool(tool, arguments)
    text = result.content[0].text if result.content and result.content[0].type == "text" else ""
    _expect(bool(result.is_error) == bool(refused) and refused in text, f"{tool} answered {text}")
    data: dict[str, Any] = result.structured_content or {}
    click.echo(_folded("  <- ", text if refused else json.dumps({name: data[name] for name in show})))
    return data


def _http(
    url: str, key: str, method: str, path: str, body: dict[str, Any] | None = None, *, fails: bool = False
) -> Any:
    """One call of the API as the key, by a program that knows nothing of MCP."""
    request = urllib.request.Request(url + path, json.dumps(body).encode() if body else None, method=method)  # noqa: S310
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        _expect(fails, f"{method} {path} answered {error.code}")
        return json.load(error)
    _expect(not fails, f"{method} {path} was not refused")
    return answer


def _value_in(path: Path) -> str:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)[KEY_VARIABLE]


def _chat(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}]}


def _folded(prefix: str, text: str) -> str:
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    return textwrap.fill(
        text, width, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_on_hyphens=False
    )


def _innermost(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _expect(right: bool, wrong: str) -> None:
    if not right:
        raise DemoError(wrong)
