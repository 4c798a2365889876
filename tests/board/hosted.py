"""The board inside the reference host of MCP Apps, in Chromium; what it asks for is answered by a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from comet_mcp.board.page import document
from comet_mcp.server import create_server
from release.browser import Page
from tests.support import Home

CAN_CALL: dict[str, Any] = {"serverResources": {}, "serverTools": {}}
_PAGE = (
    '<!doctype html><iframe sandbox="allow-scripts" width="{width}" height="{height}"></iframe>'
    '<script src="host.js"></script>'
)


def built(package: str, folder: Path, *, width: int = 800, height: int = 600) -> str:
    """The address of the host's page, whose frame has that size."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here")
    root = Path(subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True).stdout.strip())
    esbuild = root / "esbuild" / "bin" / "esbuild"
    if not (root / package).exists() or not esbuild.exists():
        pytest.skip(f"esbuild or {package} is not installed")
    source = Path(__file__).with_name("host.js")
    command = [str(esbuild), str(source), "--bundle", "--log-level=error", f"--outfile={folder / 'host.js'}"]
    alias = f"--alias:host-bridge={package}/app-bridge"
    subprocess.run([*command, alias], env=os.environ | {"NODE_PATH": str(root)}, check=True)
    (folder / "host.html").write_text(_PAGE.format(width=width, height=height), encoding="utf-8")
    return (folder / "host.html").as_uri()


@dataclass
class Hosted:
    """A board in a host.

    Args:
        page: The host's page.
        home: Where the server lives that answers.
        client: Options of the host's client, such as how it asks a person.
    """

    page: Page
    home: Home
    client: dict[str, Any] = field(default_factory=dict)
    asked: int = field(default=0, init=False)
    """How often the page has asked for something that was taken up."""
    answers: list[dict[str, Any]] = field(default_factory=list, init=False)
    """What the server has answered."""

    def start(self, address: str, capabilities: dict[str, Any] = CAN_CALL, **window: Any) -> None:
        """Show the page in the host at that address; it begins by asking for its content."""
        self.page.show(address, **window)
        self.page.run(f"start({json.dumps(document(None, mode='app'))}, {json.dumps(capabilities)})")

    def open(self, address: str, capabilities: dict[str, Any] = CAN_CALL, **window: Any) -> None:
        """The same, and answer it."""
        self.start(address, capabilities, **window)
        self.answer("resources/read")
        self.until("document.querySelector('#keys')")

    def next(self, method: str) -> dict[str, Any]:
        """What the page asks for next."""
        self.page.until(f"window.asked && window.asked.length > {self.asked}")
        asked, params = self.page.run(f"window.asked[{self.asked}]")
        assert asked == method
        self.asked += 1
        found: dict[str, Any] = params
        return found

    def answer(self, method: str) -> dict[str, Any]:
        """Have the server answer what the page asks for next, which is returned."""
        params = self.next(method)
        result = anyio.run(self._result, method, params)
        self.answers.append(result)
        self.page.run(f"window.answer({json.dumps(result)})")
        return params

    async def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        async with Client(create_server(self.home.settings), **self.client) as client:
            if method == "resources/read":
                content = await client.read_resource(params["uri"])
                return content.model_dump(mode="json", by_alias=True, exclude_none=True)
            done = await client.call_tool(params["name"], params["arguments"])
            return done.model_dump(mode="json", by_alias=True, exclude_none=True)

    def is_quiet(self) -> bool:
        """Whether the page waits for nothing."""
        return bool(self.page.run(f"window.asked.length === {self.asked}"))

    def run(self, script: str) -> Any:
        """What an expression gives in the board."""
        return self.page.run(script, framed=True)

    def until(self, condition: str) -> None:
        """Wait until a condition holds in the board."""
        self.page.until(condition, framed=True)

    def choose(self, action: str, key: int = 1, /, *, amount: str = "", day: str = "") -> None:
        """Have something done to a key, by what a person would click."""
        self.run(f"document.querySelector('tr[data-id=\"{key}\"] .change').click()")
        for name, text in {"amount": amount, "day": day}.items():
            self.run(f"document.querySelector('#{name}').value = {text!r}")
        self.run(f"document.querySelector('[data-action={action}]').click()")

    def say(self, answer: str) -> None:
        """Answer the question of the page, with "yes" or "no", once it is asked."""
        self.until("!document.querySelector('#ask').hidden")
        self.run(f"document.querySelector('#{answer}').click()")

    def text(self, selector: str) -> str:
        """What stands there."""
        return str(self.run(f"document.querySelector('{selector}').textContent"))

    def said(self) -> str:
        """How the change ended, once it has."""
        self.until("!document.querySelector('#yes').disabled && document.querySelector('#said').textContent")
        return self.text("#said")
