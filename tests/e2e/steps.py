"""What the tests of reliability share: a server in this process, one spoken to line by line, and time that passes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

import anyio
import httpx
from mcp import Client
from mcp_types import CallToolResult

from comet_mcp.server import create_server
from tests.support import Home, text_of

LONG = 45.0
"""Seconds after which a condition that never came true fails the test; a slow machine needs a part of them."""


@asynccontextmanager
async def served(
    home: Home, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client of a server in this process, which talks to the sandbox over real sockets all the same."""
    async with Client(create_server(home.settings, transport=transport), **options) as client:
        yield client


def code_of(result: CallToolResult) -> str:
    """The code a failure begins with; "" for a success."""
    if not result.is_error:
        return ""
    text = text_of(result)
    assert text.startswith("["), text
    return text[1 : text.index("]")]


def operations(home: Home) -> list[tuple[str, int | None]]:
    """State and key id of each create and rotation in the journal, oldest first."""
    if not home.state.exists():
        return []
    with closing(sqlite3.connect(home.state)) as db:
        query = "SELECT state, key_id FROM operation WHERE kind IN ('create', 'rotate') ORDER BY begun, rowid"
        return db.execute(query).fetchall()


def untold(home: Home) -> list[int]:
    """The ids of the keys whose values are stored and whose client had gone before it was told."""
    with closing(sqlite3.connect(home.state)) as db:
        query = "SELECT key_id FROM operation WHERE state = 'stored' AND disconnected AND NOT acknowledged"
        return [key_id for (key_id,) in db.execute(query)]


def let_pass(home: Home, seconds: float) -> None:
    """Make everything in the journal that many seconds older."""
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("UPDATE operation SET begun = begun - ?1, lease_until = lease_until - ?1", (seconds,))
        db.execute("UPDATE key_lease SET until = until - ?", (seconds,))


def stored(home: Home) -> list[str]:
    """The key values in the key files, sorted."""
    lines = [path.read_text(encoding="utf-8").splitlines()[-1] for path in home.key_files]
    return sorted(line.removeprefix("COMETAPI_KEY=") for line in lines)


def values(home: Home) -> list[str]:
    """The values of the sandbox's keys as programs use them, sorted."""
    return sorted(f"sk-{row.key}" for row in home.sandbox.keys)


def free_reveals(home: Home) -> None:
    """Make the journal forget how often keys were revealed."""
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("DELETE FROM reveal")


async def on_each(homes: Iterable[Home], check: Callable[[Home], Awaitable[None]]) -> None:
    """Check several homes at the same time, since most of a check is waiting for a deadline."""
    failures: list[Exception] = []

    async def one(home: Home) -> None:
        try:
            await check(home)
        except Exception as error:  # noqa: BLE001 - told below, without a group around it
            error.add_note(f"in the dialect {home.sandbox.dialect.name}")
            failures.append(error)

    async with anyio.create_task_group() as group:
        for home in homes:
            group.start_soon(one, home)
    if failures:
        raise failures[0]


async def until(condition: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until the condition holds."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process or thread
            await anyio.sleep(0.01)


def blocking_until(condition: Callable[[], object], seconds: float = LONG) -> None:
    """The same outside an event loop."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it never came true"
        sleep(0.01)


@asynccontextmanager
async def creating(
    client: Client, body: dict[str, Any], reached: Callable[[], object]
) -> AsyncIterator[list[CallToolResult]]:
    """A create that has come so far when the block begins, and that has ended after it; the list gets its result."""
    results: list[CallToolResult] = []

    async def create() -> None:
        results.append(await client.call_tool("create_api_key", body))

    async with anyio.create_task_group() as group:
        group.start_soon(create)
        await until(reached)
        yield results


async def lose_an_answer(home: Home, body: dict[str, Any]) -> None:
    """A create that the API carried out, whose answer was lost and whose key the call could not look for."""
    home.extra["COMETAPI_MCP_TIMEOUT"] = "4"
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "status", times=1000, after=1)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", body)) == "create_outcome_unknown"
    home.sandbox.faults.clear()
    del home.extra["COMETAPI_MCP_TIMEOUT"]


async def create_unlisted(home: Home, body: dict[str, Any]) -> None:
    """A create that the API calls a success, and whose row it does not list."""
    home.extra["COMETAPI_MCP_TIMEOUT"] = "4"
    home.sandbox.faults.add("create", "late", value="600")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", body)) == "created_id_unknown"
    del home.extra["COMETAPI_MCP_TIMEOUT"]


def list_late_rows(home: Home) -> None:
    """Let the API list every row that it kept back."""
    for row in home.sandbox.keys:
        row.listed_from = 0.0


async def create_listed_late(home: Home, body: dict[str, Any]) -> None:
    """A create whose row the API lists only after the call has ended without it."""
    await create_unlisted(home, body)
    list_late_rows(home)


class Process:
    """A server process spoken to line by line (the era of `initialize`), so that it can be left or killed anywhere.

    `written` holds all it wrote to stdout so far.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.written = b""
        self._id = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, method: str, params: dict[str, Any] | None = None, *, notification: bool = False) -> int:
        """Send a message, and wait for nothing."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if not notification:
            self._id += 1
            message["id"] = self._id
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self._id

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and read until its answer is there."""
        sent = self.send(method, params)
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.written += line
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == sent:
                return message
        raise AssertionError(f"the server ended before it answered {method}")

    def initialize(self) -> None:
        """The handshake."""
        client = {"name": "test", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.send("notifications/initialized", notification=True)

    def start_call(self, tool: str, arguments: dict[str, Any]) -> int:
        """Send a tool call, and wait for nothing."""
        return self.send("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool; the result as the protocol has it."""
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """Close its stdin, as a client does that has had enough, and read what it still writes until it ends."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.written += self.process.stdout.read()
        self.process.wait(LONG)

    def kill(self) -> None:
        """End it as the system does that runs out of memory: nothing of it runs any more."""
        self.process.kill()
        self.process.wait(LONG)


@contextmanager
def started(
    environment: dict[str, str], *, stderr: IO[bytes] | int = subprocess.DEVNULL, code: str = ""
) -> Iterator[Process]:
    """A server process; `code` is run instead of the module. It is ended at last, whatever it does."""
    arguments = ["-c", code] if code else ["-m", "comet_mcp"]
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        watchdog = threading.Timer(LONG * 2, process.kill)
        watchdog.start()
        try:
            yield Process(process)
        finally:
            watchdog.cancel()
            process.kill()


def kill_during_call(home: Home, tool: str, arguments: dict[str, Any], reached: Callable[[], object]) -> None:
    """Let a server process carry out a call, and kill it as soon as the call has come so far."""
    with started(home.environment) as server:
        server.initialize()
        server.start_call(tool, arguments)
        blocking_until(reached)
        server.kill()


_KEYCHAIN = """\
import json, os, pathlib
from keyring.backend import KeyringBackend

FILE = pathlib.Path(os.environ["TEST_KEYCHAIN"])


class Keychain(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return _read().get(f"{service}/{username}")

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps(_read() | {f"{service}/{username}": password}))

    def delete_password(self, service, username):
        FILE.write_text(json.dumps({name: value for name, value in _read().items() if name != f"{service}/{username}"}))


def _read():
    return json.loads(FILE.read_text()) if FILE.exists() else {}
"""


def give_keychain(home: Home) -> None:
    """Let the processes of that home find a system keychain, which is a file beside the home."""
    place = home.directory.with_name(f"{home.directory.name}-keychain")
    place.mkdir()
    (place / "test_keychain.py").write_text(_KEYCHAIN, encoding="utf-8")
    home.extra |= {
        "COMETAPI_MCP_SECRETS": "keyring",
        "PYTHONPATH": str(place),
        "PYTHON_KEYRING_BACKEND": "test_keychain.Keychain",
        "TEST_KEYCHAIN": str(place / "keychain.json"),
    }


def in_keychain(home: Home) -> dict[str, str]:
    """What that keychain holds."""
    path = Path(home.extra["TEST_KEYCHAIN"])
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
