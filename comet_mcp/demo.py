"""`cometapi-mcp demo`: the main job, end to end, with nothing pretended but the API.

A sandbox listens on a loopback port, the server runs as a subprocess, and a real MCP client talks to it over stdio,
as Claude Desktop would. All files are in a temporary directory; the user's own settings, keys and journal are never
read or written.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client

from comet_mcp.sandbox import Sandbox
from comet_mcp.secret_store import KEY_VARIABLE

MODEL = "gpt-4.1-mini"
OTHER_MODEL = "gpt-4.1"
_WIDTH = 115


class DemoError(Exception):
    """Something did not work as it should."""


def main(arguments: list[str]) -> int:
    """Play the demo. Returns 0 where everything worked, 1 where anything did not."""
    if arguments:
        print("usage: cometapi-mcp demo", file=sys.stderr)
        return 0 if arguments in (["--help"], ["-h"]) else 2
    sandbox = Sandbox()
    wrong: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="cometapi-mcp-demo-") as directory, sandbox.serve() as url:
        try:
            anyio.run(_play, sandbox, url, Path(directory))
        except* DemoError as group:  # the client wraps what is raised inside it
            wrong.append(_innermost(group))
    if wrong:
        print(f"\nThe demo failed: {wrong[0]}", file=sys.stderr)
        return 1
    print("\nEverything worked, and nothing is left behind. To use it for real: README.md, Set-up.")
    return 0


async def _play(sandbox: Sandbox, url: str, directory: Path) -> None:
    print("A pretend CometAPI on this machine, the real server, a real MCP client. No network, no account.\n")
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "comet_mcp"], env=_environment(sandbox, url, directory)
    )
    async with Client(stdio_client(server)) as client:
        in_30_days = int(time.time()) + 30 * 86_400
        request = {"name": "blog summariser", "expired_time": in_30_days, "remain_quota": 2_500_000}
        print('The user says: "Make me a key for the blog summariser, five dollars, thirty days, only gpt-4.1-mini."')
        print("The agent calls create_api_key, first with an argument that does not exist:")
        refusal = await _call(client, {"name": "blog summariser", "budget_usd": 5}, fails=True)
        _expect("budget_usd" in refusal["error"] and not sandbox.keys, "the unknown argument was not refused by name")
        print("and then as the API wants it:")
        key = await _call(client, {**request, "model_limits_enabled": True, "model_limits": MODEL})

        path = Path(key["secret"]["path"])
        value = _value_in(path)
        _expect(value.removeprefix("sk-") == sandbox.keys[0].key, "the stored key is not the one the API made")
        _expect(value not in json.dumps(key), "the key's value reached the agent")
        print(f"\nThe value never reached the agent. It is in a file that only the user can read:\n  {path}")

        print("\nA program that loads the file can use the key at once:")
        usage = _ask(url, value, "GET", "/api/usage/token/")["data"]
        _show("usage", f"{usage['total_available']} quota units left, which is $5.00")
        models = [model["id"] for model in _ask(url, value, "GET", "/v1/models")["data"]]
        _show("models", ", ".join(models))
        _expect(models == [MODEL] and usage["total_available"] == 2_500_000, "the key's limits are not those asked for")
        _show(MODEL, _ask(url, value, "POST", "/v1/chat/completions", _chat(MODEL))["choices"][0]["message"]["content"])
        refused = _ask(url, value, "POST", "/v1/chat/completions", _chat(OTHER_MODEL), fails=True)
        _show(OTHER_MODEL, f"refused: {refused['error']['message'].split(' (request id')[0]}")

        print("\nLater the agent calls list_api_keys:")
        listed = (await client.call_tool("list_api_keys", {})).structured_content or {}
        print(_folded("  <- ", json.dumps(listed)))
        _expect(len(sandbox.keys) == 1 and listed["items"][0]["id"] == key["id"], "the list does not show the key")


def _environment(sandbox: Sandbox, url: str, directory: Path) -> dict[str, str]:
    config = directory / "config.toml"
    config.touch()
    own = {
        "COMETAPI_BASE_URL": url,
        "COMETAPI_ACCESS_TOKEN": sandbox.access_token,
        "COMETAPI_MCP_CONFIG": str(config),
        "COMETAPI_MCP_KEY_DIR": str(directory / "keys"),
        "COMETAPI_MCP_STATE": str(directory / "journal.sqlite3"),
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("COMETAPI_")} | own


async def _call(client: Client, arguments: dict[str, Any], *, fails: bool = False) -> dict[str, Any]:
    """Call create_api_key, and print what goes and what comes."""
    print(_folded("  -> ", json.dumps(arguments)))
    result = await client.call_tool("create_api_key", arguments)
    text = result.content[0].text if result.content and result.content[0].type == "text" else ""
    print(_folded("  <- ", text if fails else json.dumps(result.structured_content)))
    _expect(bool(result.is_error) == fails, f"create_api_key answered {text}")
    return {"error": text} if fails else result.structured_content or {}


def _ask(url: str, key: str, method: str, path: str, body: dict[str, Any] | None = None, *, fails: bool = False) -> Any:
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


def _show(what: str, answer: str) -> None:
    print(f"  {what:13} {answer}")


def _folded(prefix: str, text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_on_hyphens=False
    )


def _innermost(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _expect(right: bool, wrong: str) -> None:
    if not right:
        raise DemoError(wrong)
