"""One history: its machines, servers and gateways, what happens to them, and how it is brought to rest."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio

from comet_mcp.sandbox.key import Key as Row
from tests.simulation import agents, determinism, failing, others
from tests.simulation.gateway import Gateway
from tests.simulation.loop import Loop, StuckError, run
from tests.simulation.records import Call, Log, Wish
from tests.simulation.server import Machine, Server, connections_close_with_their_servers
from tests.simulation.wire import Wire

_MEMORY = Path("/dev/shm")  # noqa: S108 - only there to be faster, and where there is none it is not used
_SETTLED_AFTER = 110.0
"""Seconds after which nothing that was sent is still on its way."""
_POLICIES: tuple[dict[str, str], ...] = (
    {},
    {},
    {},
    {"MAX_BUDGET_USD": "4"},
    {"MAX_KEYS_TOTAL": "2"},
    {"MAX_KEYS_PER_HOUR": "3", "MAX_SUM_USD_TOTAL": "8"},
    {"NAME_PREFIX": "agent-", "ONLY_OWN_PREFIX": "1"},
    {"MAX_BUDGET_USD": "4", "MAX_LIFETIME": "30d", "REQUIRE_EXPIRY": "1", "ALLOW_UNLIMITED": "0"},
    {"MAX_SUM_USD_PER_DAY": "6"},
)
CALLS = 60
"""Calls of the API in three minutes, in histories where they are few."""
_OVERLOADED = 8
"""In each history of so many the API is overloaded: seeds tell which, so that the others stay as they are."""
_SPELLINGS = ("http://127.0.0.1:8{}", "http://localhost:8{}", "http://127.0.0.1:8{}/.", "http://127.0.0.1:8{}//v1//")


class World:
    """Everything there is in one history. The seed decides all of it."""

    def __init__(self, seed: int, loop: Loop, directory: Path) -> None:
        self.seed, self.loop, self.random = seed, loop, loop.random
        random = self.random
        self.log = Log()
        self.calls: list[Call] = []
        self.wishes: list[Wish] = []
        self.found: list[str] = []
        self.stored: list[tuple[Call, Row, Path]] = []
        """Where clients were told that the value of a key is."""
        self.held_journals: set[Machine] = set()
        """Machines whose journal another program held for a while."""
        self.lost_journals: dict[Machine, float] = {}
        """When somebody deleted a machine's journal."""
        """Promises that were seen broken while the history went on."""
        dialect = random.choice(("documented", "gateway", "gateway", "gateway-2026-06", "gateway-2026-03"))
        prefixes = ("/alpha", "/beta") if random.random() < 0.12 else ("",)
        self.gateways = {prefix: Gateway(loop, random, self.log, dialect, prefix) for prefix in prefixes}
        self.policy = {f"COMETAPI_MCP_POLICY_{name}": value for name, value in random.choice(_POLICIES).items()}
        self.settings = {"COMETAPI_MCP_SECRETS": random.choices(("file", "result", "none"), (86, 8, 6))[0]}
        if random.random() < 0.1:
            self.settings["COMETAPI_MCP_CALLS"] = str(CALLS)
        self.machines = [
            Machine(f"m{number}", directory / f"m{number}", self.policy | self.settings, self._skew())
            for number in range(1 if random.random() < 0.85 else 2)
        ]
        self.spellings = _SPELLINGS if random.random() < 0.15 else _SPELLINGS[:1]
        self.theme = random.choice(("creating", "creating", "using", "using", "mixed"))
        self.fault_rate = random.choice((0.0, 0.06, 0.15, 0.3))
        self.crashes = random.random() < 0.6
        self.calm_since = 1e12
        """Since when everything goes well."""
        self.last_lists: list[Call] = []
        """The lists that were asked for last."""
        self.slots: list[Server] = []
        self.servers: list[Server] = []

    def _skew(self) -> float:
        return self.random.choice((0, 0, 0, 0.4, -1.1, 400.0, -25_200.0, 25_200.0))

    def note(self, what: str, *details: Any) -> None:
        """Put a line into the log."""
        self.log(self.loop.now, "world", what, *details)

    # -- servers -----------------------------------------------------------------------------------------------------

    async def new_server(self, machine: Machine, gateway: Gateway, host: str = "") -> Server:
        """Start a server, with the access token of today."""
        number = len(self.servers) + 1
        url = self.random.choice(self.spellings).format(gateway.prefix)
        wire = Wire(self.gateways, machine.name)
        server = Server(f"server{number}", machine, gateway, wire, url=url, host=host or f"host{number}")
        server.on_call = self.calls.append  # type: ignore[method-assign, assignment]
        server.on_delivery = self._check_delivery  # type: ignore[method-assign]
        self.servers.append(server)
        await server.start()
        return server

    async def server_of(self, slot: int) -> Server:
        """The server of a slot; a new one on the same machine where it has died."""
        server = self.slots[slot]
        if server.dead:
            await asyncio.sleep(self.random.choice((0.1, 2.0, 2.0, 10.0, 45.0)))
            if self.slots[slot].dead:
                host = server.host if self.random.random() < 0.5 else ""
                self.slots[slot] = await self.new_server(server.machine, server.gateway, host)
        return self.slots[slot]

    def _check_delivery(self, call: Call) -> None:
        """Note whose keys the answer tells of; and check what only now can be: a value is where the answer says."""
        gateway = call.server.gateway
        for key_id in call.named_ids:
            made = gateway.made_now(key_id)
            if made is not None and made.reported_at is None:
                made.reported_at = self.loop.now
                if made.call and made.call.wish and call.tool == "list_api_keys":
                    made.call.wish.open = False  # whoever wanted it hears of it from this client
                    made.call.wish.allowed += 1
        secret = call.made.get("secret") if call.ok and isinstance(call.made, dict) else None
        is_there = isinstance(secret, dict) and call.generation == gateway.generation
        row = gateway.row(int(call.made["id"])) if is_there else None
        if isinstance(secret, dict) and row is not None and secret.get("value") not in (None, f"sk-{row.key}"):
            self.found.append(f"every_reported_value_is_in_its_store: {call} was given the value of another key")
        if not isinstance(secret, dict) or not secret.get("path"):
            return
        path = Path(secret["path"])
        content = failing.content(path)
        if row is not None and row.key not in content:
            what = "another value" if content else "no file"
            self.found.append(f"every_reported_value_is_in_its_store: {call} told of {path.name}, which has {what}")
        elif row is not None:
            self.stored.append((call, row, path))

    def lose_journal(self, machine: Machine) -> None:
        """Somebody deletes a journal while its servers run."""
        self.lost_journals.setdefault(machine, self.loop.now)
        for path in machine.directory.glob("journal.sqlite3*"):
            path.unlink()
        self.note("the journal of %s is deleted", machine.name)

    # -- the history -------------------------------------------------------------------------------------------------

    async def go(self) -> None:
        """Let it happen, and bring it to rest."""
        random = self.random
        for machine in self.machines:
            machine.directory.mkdir()
        gateways = list(self.gateways.values())
        for number in range(random.randint(2, 3)):
            machine = self.machines[number % len(self.machines)]
            self.slots.append(await self.new_server(machine, gateways[number % len(gateways)]))
        for gateway in gateways:
            others.people(self, gateway)
            gateway.fault_rate = self.fault_rate
            gateway.is_overloaded = self.seed % _OVERLOADED == 0
            if self.random.random() < 0.3:
                gateway.on_trouble = partial(others.make_alike, self, gateway)
        with anyio.move_on_after(30_000):
            async with anyio.create_task_group() as around:
                around.start_soon(others.spending, self)
                async with anyio.create_task_group() as group:
                    for number in range(random.randint(2, 4)):
                        group.start_soon(agents.Agent(self, number).work)
                    group.start_soon(others.trouble, self)
                around.cancel_scope.cancel()
        await self._settle()

    async def _settle(self) -> None:
        """End all trouble, start every server anew, and ask until nothing is left open."""
        self.note("the trouble ends")
        for gateway in self.gateways.values():
            gateway.fault_rate, gateway.is_overloaded = 0.0, False
        if self.random.random() < 0.5:
            for server in self.servers:
                server.die()
        await asyncio.sleep(_SETTLED_AFTER)
        self.calm_since = self.loop.now
        places = {(server.machine, server.gateway) for server in self.servers}
        for machine, gateway in sorted(places, key=lambda place: (place[0].name, place[1].name)):
            server = await self.new_server(machine, gateway)
            for wish in self.wishes:
                mine = any(call.server.machine is machine for call in wish.calls)
                if wish.open and mine and wish.gateway == gateway.name and self.random.random() < 0.5:
                    await agents.repeat(wish, server)
            for _ in range(4):
                call = await server.call("list_api_keys", {"page_size": 100})
                if call.ok and not call.data.get("notes"):
                    break
                await asyncio.sleep(62)
            self.last_lists.append(call)
            await self._change_each(server)
            server.die()
        for server in self.servers:
            server.die()

    async def _change_each(self, server: Server) -> None:
        """Change each key once more while nobody uses it: then its budget has to be what it was given.

        In other histories the last change of each is one that was made while it was in use.
        """
        gateway = server.gateway
        if self.random.random() < 0.5:
            return
        for row in list(gateway.sandbox.keys) if self.theme == "using" else ():
            made = gateway.made_now(row.id)
            if made is not None and made.call and made.call.server.machine is server.machine and made.reported_at:
                await server.call("update_api_key", {"id": row.id, "name": f"agent-last{row.id}"})


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def play(seed: int) -> World:
    """The history of that seed, at rest. Where it never comes to rest, that is the promise it broke."""
    random = Random(seed)
    worlds: list[World] = []

    async def main(loop: Loop) -> None:
        worlds.append(World(seed, loop, directory))
        await worlds[0].go()

    with _directory() as directory, determinism.seeded(random), connections_close_with_their_servers():
        try:
            run(random, main)
        except StuckError as error:
            worlds[0].found.append(f"every_call_is_answered: {error}")
        world = worlds[0]
        world.found += [f"nothing_breaks: {failure}" for failure in world.loop.failures]
        from tests.simulation.invariants import broken  # noqa: PLC0415

        world.found += broken(world)
    return world
