"""Who else is there: a person at the console, programs that spend, and trouble."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from comet_mcp.sandbox.key import Key as Row
from tests.simulation import failing
from tests.simulation.gateway import Gateway

if TYPE_CHECKING:
    from tests.simulation.world import World

USD = 500_000


async def trouble(world: World) -> None:
    """What happens around the agents: servers die, tokens are renewed, others use the account."""
    random = world.random
    async with anyio.create_task_group() as group:
        for _ in range(random.randint(0, 6)):
            await asyncio.sleep(random.choice((0.0, 0.05, 0.3, 1.0, 5.0, 20.0)))
            if world.theme == "using" and random.random() < 0.6:
                continue  # calm: what happens there is spending
            gateway = random.choice(list(world.gateways.values()))
            event = random.choices(
                ("death", "leave", "renewed token", "anew", "console", "spending", "lost journal", "locked journal"),
                (40, 8, 6, 4, 22, 30, 1, 3),
            )[0]
            slot = random.randrange(len(world.slots))
            if event == "death" and world.crashes:
                world.slots[slot].dies_at = world.slots[slot].steps + random.randint(1, 160)
            elif event == "leave":
                group.start_soon(_leave, world, slot)
            elif event == "renewed token":
                group.start_soon(_renew, world, gateway)
            elif event == "anew":
                world.note("the database of %s begins anew", gateway.name)
                gateway.begin_anew()
            elif event == "lost journal":
                world.lose_journal(random.choice(world.machines))
            elif event == "locked journal":
                world.held_journals.add(world.slots[slot].machine)
                failing.hold_journal(world.slots[slot], random.choice((0.5, 2.0, 5.0, 20.0)))
            elif event == "console":
                _console(world, gateway)
            elif event == "spending" and (rows := [row for row in gateway.sandbox.keys if _is_known(gateway, row)]):
                group.start_soon(_spend, world, gateway, random.choice(rows))


def _is_known(gateway: Gateway, row: Row) -> bool:
    """Whether somebody can have the value of a key."""
    made = gateway.made_now(row.id)
    return made is not None and (made.call is None or made.reported_at is not None)


async def spending(world: World) -> None:
    """Programs use whatever key there is, as long as the agents work."""

    async def program() -> None:
        while True:
            await asyncio.sleep(world.random.choice((0.05, 0.5, 2.0)))
            for gateway in world.gateways.values():
                if rows := [row for row in gateway.sandbox.keys if _is_known(gateway, row)]:
                    await _spend(world, gateway, world.random.choice([rows[0], *rows]))

    if world.theme == "using":
        async with anyio.create_task_group() as group:
            for _ in range(world.random.randint(1, 3)):
                group.start_soon(program)


async def _leave(world: World, slot: int) -> None:
    """The client closes its end; the server ends soon after."""
    server = world.slots[slot]
    server.client_disconnected.set()
    world.note("the client of %s leaves", server.name)
    await asyncio.sleep(1.5)
    server.die()


async def _renew(world: World, gateway: Gateway) -> None:
    """Somebody makes a new access token, and after a while gives it to every server."""
    gateway.token = f"token-{world.random.randint(0, 10**6)}"
    world.note("the access token of %s is another one", gateway.name)
    await asyncio.sleep(world.random.choice((0.1, 3.0, 20.0)))
    for server in world.servers:
        if server.gateway is gateway and server.token != gateway.token:
            server.die()


def _console(world: World, gateway: Gateway) -> None:
    """A person does something in the API's console."""
    random = world.random
    ours = [wish.arguments for wish in world.wishes if wish.tool == "create_api_key" and wish.gateway == gateway.name]
    what = random.choice(("make", "make", "alike", "change", "remove"))
    rows = gateway.sandbox.keys
    if what == "alike" and ours:
        make_alike(world, gateway, random.choice(ours))
    elif what in ("make", "alike"):
        gateway.add(f"person{random.randint(0, 99)}", remain_quota=USD)
    elif what == "change" and rows:
        row = random.choice(rows)
        change: dict[str, Any] = random.choice(({"name": "by-hand"}, {"status": 2}, {"remain_quota": 2 * USD}))
        if gateway.sandbox.dialect.auto_groups and random.random() < 0.4:
            change = {"group": "auto", "auto_groups": ["vip"]}
        gateway.change(row, **change)
    elif what == "remove" and rows and random.random() < 0.4:
        gateway.remove(random.choice(rows))


def make_alike(world: World, gateway: Gateway, body: dict[str, Any]) -> None:
    """A person makes a key that is nearly what an agent wants: nothing would tell an equal one from ours."""
    random = world.random
    body = {name: value for name, value in body.items() if name != "expired_time" or random.random() < 0.5}
    same = body["name"].replace("agent-", "Agent-") if random.random() < 0.5 else body["name"]
    if same == body["name"] or random.random() < 0.5:
        body["remain_quota"] = 7 * USD
        body["unlimited_quota"] = False
    gateway.add(**body | {"name": same})


def people(world: World, gateway: Gateway) -> None:
    """The keys that are there before anything happens."""
    for _ in range(world.random.choice((0, 0, 1, 2))):
        fields: dict[str, Any] = {"remain_quota": USD}
        if gateway.sandbox.dialect.auto_groups and world.random.random() < 0.5:
            fields |= {"group": "auto", "auto_groups": ["vip"]}
        gateway.add(f"person{world.random.randint(0, 99)}", **fields)


async def _spend(world: World, gateway: Gateway, row: Row) -> None:
    """Programs call models with a key, one call after the other or several at once."""
    random = world.random
    for _ in range(random.randint(1, 12)):
        reserved = random.choice((625, 5_000, 60_000, 200_000))
        if gateway.begin_call(row, reserved):
            await asyncio.sleep(random.expovariate(3))
            gateway.end_call(row, reserved, int(reserved * random.choice((0.01, 0.3, 0.9, 1.0, 1.1))))
        await asyncio.sleep(random.choice((0.0, 0.05, 0.5)))
