"""A server started as a client starts it, asked for its tools, and ended."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from io import TextIOWrapper
from threading import BoundedSemaphore, Lock
from typing import Any, TextIO

import anyio
from mcp import Client, MCPError, StdioServerParameters, stdio_client

from comet_mcp.clients.start import Start
from comet_mcp.text import printable

START_WITHIN = 15.0
"""Seconds. Few clients wait longer; a command that fetches the program first may take as long."""

_AT_ONCE = BoundedSemaphore(4)
"""A person may have a dozen clients: all at once, each would start more slowly than a client waits."""


class DidNotStartError(Exception):
    """A server could not be started, or did not answer as one. Its text says why."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a server said of itself."""

    version: str
    tools: int


class Starts:
    """The servers that were started: clients that start the same in the same environment need it once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun: dict[tuple[Any, ...], Future[Started]] = {}

    def of(self, start: Start, environment: Mapping[str, str]) -> Started:
        """What that server says of itself. Raises DidNotStartError."""
        key = (start.command, *start.args, frozenset(environment.items()))
        with self._lock:
            is_first = key not in self._begun
            future = self._begun.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(started(start, environment))
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()


def started(start: Start, environment: Mapping[str, str]) -> Started:
    """Start a server in that environment, and list its tools. Raises DidNotStartError."""
    with _AT_ONCE, TextIOWrapper(tempfile.TemporaryFile(), encoding="utf-8", errors="replace") as log:
        found: list[Started] = []
        try:
            anyio.run(_ask, start, dict(environment), log, found)
        except (OSError, ValueError, RuntimeError, MCPError, ExceptionGroup) as error:
            if not found:  # what goes wrong at the end is no matter of the start
                raise DidNotStartError(_why(error, log)) from None
        if not found:
            raise DidNotStartError(f"it did not answer within {START_WITHIN:.0f} s")
        return found[0]


async def _ask(start: Start, environment: dict[str, str], log: TextIO, found: list[Started]) -> None:
    """Add what it says to `found`; nothing where it does not answer in time."""
    # a recording would be a file that was not there before
    server = StdioServerParameters(
        command=start.command, args=start.args, env={**environment, "COMETAPI_MCP_REPLAY": "0"}
    )
    with anyio.move_on_after(START_WITHIN):
        async with Client(stdio_client(server, errlog=log)) as client:
            tools = await client.list_tools()
            about = client.server_info
            found.append(Started(about.version if about else "unknown", len(tools.tools)))


def _why(error: BaseException, log: TextIO) -> str:
    """What the program said last, else what the start came to."""
    log.seek(0)
    lines = [line.strip() for line in log.read(100_000).splitlines() if line.strip()]
    if lines:
        return f"it ended, and said: {printable(lines[-1], 200)}"
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return printable(f"{type(error).__name__}: {error}", 200)
