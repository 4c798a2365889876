"""The simulation itself: time that is a number, deaths without clean-up, one seed one history."""

from __future__ import annotations

import asyncio
import re
import time
from random import Random

import anyio
import pytest

from tests.simulation import determinism
from tests.simulation.loop import Loop, Owner, StuckError, run
from tests.simulation.world import World, play


def test_a_day_passes_at_once() -> None:
    async def main(loop: Loop) -> float:
        begun = loop.time()
        with anyio.move_on_after(86_400):
            await anyio.sleep_forever()
        return loop.time() - begun

    before = time.monotonic()
    assert run(Random(1), main) == 86_400
    assert time.monotonic() - before < 5


def test_what_waits_for_nothing_is_found() -> None:
    async def main(_: Loop) -> None:
        await anyio.Event().wait()

    with pytest.raises(StuckError):
        run(Random(1), main)


def test_the_order_of_what_is_ready_is_the_seeds() -> None:
    async def main(loop: Loop) -> str:
        order: list[str] = []

        async def one(name: str) -> None:
            await asyncio.sleep(0)
            order.append(name)

        async with anyio.create_task_group() as group:
            for name in "abcdef":
                group.start_soon(one, name)
        assert loop.steps
        return "".join(order)

    orders = {run(Random(seed), main) for seed in range(20)}
    assert len(orders) > 10
    assert run(Random(3), main) == run(Random(3), main)


def test_what_dies_cleans_nothing_up() -> None:
    cleaned: list[str] = []

    async def main(loop: Loop) -> None:
        owner = Owner(loop, "server")

        async def work() -> None:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 5)
                    await anyio.sleep(5)
            finally:
                if not loop.over:
                    cleaned.append("in its finally")

        _ = loop.owned(owner, work())
        await asyncio.sleep(1)
        owner.die()
        await asyncio.sleep(100)

    run(Random(1), main)
    assert cleaned == []


def test_one_seed_is_one_history() -> None:
    def told(world: World) -> str:
        return re.sub(r"/\S*/m\d|request id \w+", "", world.log.text())

    with determinism.installed():
        for seed in range(5):
            assert told(play(seed)) == told(play(seed))
