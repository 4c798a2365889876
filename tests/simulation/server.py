"""One server of the product, without a process: its calls are tasks, which end where they stand when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult, TextContent

from comet_mcp.clock import Clock
from comet_mcp.deliveries import Deliveries
from comet_mcp.server import create_server
from comet_mcp.settings import Settings, load
from tests.simulation import failing, journal
from tests.simulation.gateway import EPOCH, Gateway
from tests.simulation.loop import OWNER, Owner
from tests.simulation.records import CALL, Call, Log, Wish, code_in
from tests.simulation.wire import Wire


class Machine:
    """A place where servers live together: one journal, one key directory, one clock."""

    def __init__(self, name: str, directory: Path, policy: dict[str, str], skew: float) -> None:
        self.name, self.directory, self.policy, self.skew = name, directory, policy, skew
        self.key_dir = directory / "keys"
        self.journal = directory / "journal.sqlite3"
        self.locked_until = 0.0
        """Until when another program holds the journal."""


class _Nobody:
    """The session of a client that says nothing of itself."""

    client_params = None
    client_capabilities = None


class Server(Owner):
    """A server on a machine, for one gateway's account."""

    def __init__(self, name: str, machine: Machine, gateway: Gateway, wire: Wire, *, url: str, host: str) -> None:
        super().__init__(gateway.loop, name, skew=machine.skew)
        self.machine, self.gateway, self.wire, self.url, self.host = machine, gateway, wire, url, host
        self.log: Log = gateway.log
        self.token = gateway.token
        self.calls: dict[Call, asyncio.Future[None]] = {}
        self.connections: list[sqlite3.Connection] = []
        self.used_journal_at = math.inf
        """When it first opened its journal."""
        self.client_disconnected = anyio.Event()
        self.deliveries = Deliveries()
        self.on_death = self._break_off
        self.app: Any = None
        settings = _settings(**self._environment())
        self.settings = replace(settings, key_dir=machine.key_dir, state=machine.journal)
        self.number = next(self.loop.numbers)

    def _environment(self) -> dict[str, str]:
        """All but the machine's paths, which differ in every history."""
        return {
            "COMETAPI_ACCESS_TOKEN": self.token,
            "COMETAPI_BASE_URL": self.url,
            "COMETAPI_USER_ID": str(self.gateway.sandbox.user_id),
            **self.machine.policy,
        }

    async def start(self) -> None:
        """Come up."""
        clock = Clock(wall=lambda: EPOCH + self.loop.now + self.skew, monotonic=self.loop.time)
        server = create_server(
            self.settings,
            transport=self.wire,
            clock=clock,
            deliveries=self.deliveries,
            client_disconnected=self.client_disconnected,
        )
        self.handler = server._request_handlers["tools/call"].handler
        self.lifespan = server.lifespan(server)
        self.app = await self.loop.owned(self, self.lifespan.__aenter__())
        failing.store(self)
        failing.journal(self)
        self.log(self.loop.now, self.name, "starts on %s, for %s", self.host, self.url)

    def _break_off(self) -> None:
        for future in self.calls.values():
            if not future.done():
                future.set_result(None)
        for connection in self.connections:
            connection.close()
        self.log(self.loop.now, self.name, "dies")

    async def call(
        self, tool: str, arguments: dict[str, Any], *, wish: Wish | None = None, patience: float | None = None
    ) -> Call:
        """Call a tool as a client does. After `patience` seconds it cancels, and hears nothing any more."""
        number = next(self.loop.numbers)
        call = Call(number, self, tool, arguments, self.loop.now, self.gateway.generation, wish)
        self.on_call(call)
        if wish is not None:
            wish.calls.append(call)
        self.log(self.loop.now, self.name, "call %d: %s %s", call.number, tool, arguments)
        if self.dead:
            call.outcome, call.ended = "broken", self.loop.now
            return call
        done: asyncio.Future[None] = self.loop.create_future()
        self.calls[call] = done
        scope = anyio.CancelScope()
        _ = self.loop.owned(self, self._serve(call, scope, done))
        with anyio.move_on_after(patience) as waiting:
            await done
        if waiting.cancelled_caught and not call.delivered:
            call.outcome, call.ended = "cancelled", self.loop.now
            self._in_its_own_time(scope.cancel)
        elif not call.delivered:
            call.outcome, call.ended = "broken", self.loop.now
        self.log(self.loop.now, self.name, "call %d ends: %s %s", call.number, call.outcome, call.said[:300])
        return call

    def _in_its_own_time(self, work: Callable[[], None]) -> None:
        """Do something as this server would: what it goes on with ends when it dies."""
        context = copy_context()
        context.run(OWNER.set, self)
        self.loop.call_soon(work, context=context)

    async def _serve(self, call: Call, scope: anyio.CancelScope, done: asyncio.Future[None]) -> None:
        CALL.set(call)
        context: Any = ServerRequestContext(
            session=_Nobody(),  # type: ignore[arg-type]
            lifespan_context=self.app,
            protocol_version="2025-06-18",
            method="tools/call",
            request_id=call.number,
        )
        written = False
        try:
            with scope:
                params = CallToolRequestParams(name=call.tool, arguments=call.arguments)
                result = await self.handler(context, params)
                await asyncio.sleep(self.loop.random.choice((0.0, 0.0, 0.01, 0.1)))  # the answer waits to be written
                if not (self.client_disconnected.is_set() or call.ended):
                    self._deliver(call, result)
                    written = True
            with anyio.CancelScope(shield=True):
                await self.deliveries.written(call.number, read=written)
        finally:
            self.calls.pop(call, None)
            if not done.done():
                done.set_result(None)

    def _deliver(self, call: Call, result: Any) -> None:
        assert isinstance(result, CallToolResult)
        content = result.content[0]
        assert isinstance(content, TextContent)
        call.text = content.text
        call.outcome = code_in(call.text) if result.is_error else "ok"
        call.data = result.structured_content or {}
        call.delivered, call.ended, call.ended_in = True, self.loop.now, self.gateway.generation
        self.on_delivery(call)

    def on_call(self, call: Call) -> None:
        """What the world notes of a call that begins."""

    def on_delivery(self, call: Call) -> None:
        """What the world checks at once."""


@lru_cache
def _settings(**environment: str) -> Settings:
    """What an environment says: read once in a process, for that takes as long as a call."""
    return load(environment)


@contextlib.contextmanager
def connections_close_with_their_servers() -> Iterator[None]:
    """A context in which a server's death closes its files, as the system does."""
    connect, empty = sqlite3.connect, journal.empty()

    def tracked(path: Path, **options: Any) -> sqlite3.Connection:
        if not path.stat().st_size:
            path.write_bytes(empty)
        connection: sqlite3.Connection = connect(path, **options)
        owner = OWNER.get()
        if isinstance(owner, Server):
            owner.connections.append(connection)
            owner.used_journal_at = min(owner.used_journal_at, owner.loop.now)
        return connection

    with mock.patch.object(sqlite3, "connect", tracked):
        yield
