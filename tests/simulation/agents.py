"""Agents: MCP clients that call tools, and repeat what they were not answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from comet_mcp.sandbox.key import Key as Row
from tests.simulation.gateway import Gateway
from tests.simulation.records import Call, Wish
from tests.simulation.server import Server

if TYPE_CHECKING:
    from tests.simulation.world import World

_PAUSES = (0.0, 0.0, 0.05, 0.5, 3.0, 3.0, 15.0, 40.0)
_BEFORE_A_REPETITION = (0.1, 1.0, 1.0, 4.0, 12.0, 31.0, 62.0, 100.0)
_READING = {"list": 8, "save": 2, "verify": 3, "search": 2}
THEMES: dict[str, dict[str, int]] = {
    "creating": {"create": 50, "update": 8, "rotate": 8, "delete": 4, "plan": 3} | _READING,
    "using": {"create": 6, "update": 50, "rotate": 12, "delete": 4, "get": 2, "save": 1, "verify": 3},
    "mixed": {"create": 30, "update": 24, "rotate": 12, "delete": 6, "get": 2} | _READING,
}
"""What the agents of a history do, and how often of all that they do."""
_MOST_REPETITIONS = 3
USD = 500_000


class Agent:
    """An MCP client with somebody's wishes; one or more share a server."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.random = world, world.random
        self.slot = number % len(world.slots)
        self.name = f"agent{number}"

    async def work(self) -> None:
        """Do a few things, one after the other."""
        actions = THEMES[self.world.theme]
        if "COMETAPI_MCP_CALLS" in self.world.settings:
            for _ in range(self.random.randint(10, 35)):
                await self._get()
        for _ in range(self.random.randint(1, 5)):
            await asyncio.sleep(self.random.choice(_PAUSES))
            action = self.random.choices(list(actions), list(actions.values()))[0]
            await getattr(self, f"_{action}")()

    async def _call(self, tool: str, arguments: dict[str, Any], wish: Wish | None = None) -> Call:
        server = await self.world.server_of(self.slot)
        patience = self.random.choice((0.2, 1.0, 5.0)) if self.random.random() < 0.08 else None
        return await server.call(tool, arguments, wish=wish, patience=patience)

    async def _server(self) -> Server:
        return await self.world.server_of(self.slot)

    # -- wishes ------------------------------------------------------------------------------------------------------

    async def _create(self) -> None:
        server = await self._server()
        gateway = server.gateway
        known = [
            wish
            for wish in self.world.wishes
            if wish.tool == "create_api_key"
            and all(call.server.machine is server.machine and call.server.gateway is gateway for call in wish.calls)
        ]
        same = self.random.choice(known) if known and self.random.random() < 0.15 else None
        arguments = dict(same.arguments) if same else self._body(gateway)
        await self._pursue(Wish(len(self.world.wishes), "create_api_key", arguments, gateway.name))

    def _body(self, gateway: Gateway) -> dict[str, Any]:
        random = self.random
        people = [row for row in gateway.sandbox.keys if row.name.startswith("person")]
        if people and random.random() < 0.1:
            row = random.choice(people)  # somebody wants a key like one that is there
            return {"name": row.name, "remain_quota": USD}
        body: dict[str, Any] = {
            "name": f"{random.choice(('agent-', 'agent-', 'Agent-', ''))}key{len(self.world.wishes)}"
        }
        if random.random() < 0.1:
            body["unlimited_quota"] = True
        else:
            body["remain_quota"] = random.choice((1, 1, 2, 3, 5)) * USD
        if random.random() < 0.6:
            body["expired_time"] = int(gateway.now()) + random.choice((7200, 86_400, 20 * 86_400, 90 * 86_400))
        if random.random() < 0.2:
            body |= {"model_limits_enabled": True, "model_limits": "gpt-4o"}
        if random.random() < 0.1:
            body["allow_ips"] = "198.51.100.10"
        if random.random() < 0.1:
            body["cross_group_retry"] = True
        return body

    async def _rotate(self) -> None:
        row, gateway = await self._some_key()
        if row is None:
            return
        arguments = {"id": row.id, "old_key": self.random.choice(("grace", "disable", "delete"))}
        await self._pursue(Wish(len(self.world.wishes), "rotate_api_key", arguments, gateway.name))

    async def _pursue(self, wish: Wish) -> None:
        """Ask for a key until it is known what came of it, or the patience is at its end."""
        self.world.wishes.append(wish)
        for _ in range(1 + _MOST_REPETITIONS):
            call = await self._call(wish.tool, wish.arguments, wish)
            close_if_answered(wish, call)
            if not wish.open or self.random.random() < 0.2:
                return
            await asyncio.sleep(self.random.choice(_BEFORE_A_REPETITION))
            if self.random.random() < 0.4:
                await self._list()
                await asyncio.sleep(self.random.choice((0.0, 0.0, 5.0, 30.0)))

    # -- the rest ----------------------------------------------------------------------------------------------------

    async def _some_key(self) -> tuple[Row | None, Gateway]:
        """A key to do something with: mostly one of our own."""
        gateway = (await self._server()).gateway
        rows = gateway.sandbox.keys
        ours = [row for row in rows if (made := gateway.made_now(row.id)) and made.reported_at is not None]
        others = [row for row in rows if row not in ours]
        pool = others if others and self.random.random() < (0.1 if ours else 0.5) else ours
        if pool and self.world.theme == "using" and self.random.random() < 0.6:
            return pool[0], gateway
        return (self.random.choice(pool) if pool else None), gateway

    async def _update(self) -> None:
        row, gateway = await self._some_key()
        if row is None:
            await self._create()
            return
        random = self.random
        for _ in range(random.choice((1, 1, 2, 3, 5) if self.world.theme == "using" else (1, 1, 2))):
            arguments: dict[str, Any] = {"id": row.id}
            what = random.choice(("name", "name", "budget", "budget", "remain", "status", "status", "expiry", "ips"))
            if what == "name" or random.random() < 0.1:
                arguments["name"] = f"agent-renamed{random.randint(0, 99)}"
            if what == "budget":
                arguments["add_budget_usd"] = random.choice((0.5, 1, 2))
            if what == "remain":
                arguments["remain_quota"] = random.choice((1, 2, 3)) * USD
            if what == "status":
                arguments["status"] = random.choice(("disabled", "disabled", "enabled"))
            if what == "expiry":
                arguments["expired_time"] = int(gateway.now()) + random.choice((3600, 86_400, 86_400 * 25))
            if what == "ips":
                arguments["allow_ips"] = random.choice(("203.0.113.0/24", ""))
            await self._call("update_api_key", arguments)
            await asyncio.sleep(random.choice((0.0, 0.5, 5.0)))

    async def _delete(self) -> None:
        row, _ = await self._some_key()
        if row is not None:
            await self._call("delete_api_key", {"id": row.id})

    async def _list(self) -> None:
        await self._call("list_api_keys", {})

    async def _search(self) -> None:
        rows = (await self._server()).gateway.sandbox.keys
        name = self.random.choice(rows).name if rows else "key"
        await self._call("list_api_keys", {"keyword": name[:6]})

    async def _get(self) -> None:
        row, _ = await self._some_key()
        await self._call("get_api_key", {"id": row.id if row else 99})

    async def _save(self) -> None:
        row, _ = await self._some_key()
        if row is not None:
            await self._call("save_api_key", {"id": row.id})

    async def _verify(self) -> None:
        row, _ = await self._some_key()
        if row is not None:
            await self._call("verify_api_key", {"id": row.id})

    async def _plan(self) -> None:
        await self._call("plan_api_key", {"name": "agent-planned", "lifetime": "2h", "budget_usd": 1})


async def repeat(wish: Wish, server: Server) -> None:
    """Ask once more for a key of which it is not known what came of it."""
    close_if_answered(wish, await server.call(wish.tool, wish.arguments, wish=wish))


def close_if_answered(wish: Wish, call: Call) -> None:
    """Note that nothing is left to be asked for."""
    if call.ok or (call.is_definite and call.outcome not in ("unreachable", "rate_limited", "unauthorized")):
        wish.open = False
