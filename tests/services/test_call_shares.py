"""Calls of the API that a server has taken ahead hold for a while, and no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from comet_mcp.api.rate_limit import AT_FIRST, SHARE_HOLDS, WINDOW, Counted, RateLimit
from comet_mcp.clock import Clock
from comet_mcp.context import Services
from comet_mcp.errors import RateLimitedError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.steps import Taken
from comet_mcp.settings import load
from tests.e2e.steps import LONG


class _Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def sharing(time: _Time, *shares: Taken) -> tuple[RateLimit, list[int]]:
    """A limit of 60 calls whose shares are these, one after the other, and what was asked for."""
    asked: list[int] = []
    left = list(shares)

    async def take(ahead: int) -> bool:
        asked.append(ahead)
        taken = left.pop(0)
        limit.allow(taken.ahead, taken.others, total=limit.total, at=time())
        return True

    limit = RateLimit(60, Clock(monotonic=time))
    limit.share(take)
    return limit, asked


async def test_a_share_that_was_taken_long_ago_is_taken_anew_before_it_is_used() -> None:
    time = _Time()
    limit, asked = sharing(time, Taken(30, ()), Taken(2, ()), Taken(0, (Counted(58, 200),)))
    for _ in range(AT_FIRST + 1):
        await limit.count()
    time.now += SHARE_HOLDS - 1
    await limit.count()
    assert len(asked) == 1
    time.now += WINDOW + SHARE_HOLDS  # another server has taken nearly all meanwhile
    await limit.count()
    await limit.count()
    with pytest.raises(RateLimitedError, match="Try again in 180 seconds"):
        await limit.count()
    assert len(asked) == 3


async def test_who_finds_all_calls_taken_by_others_is_told_when_the_first_of_them_count_no_more() -> None:
    others = (Counted(55, 150), Counted(2, 17.5), Counted(3, 90))
    limit, _ = sharing(_Time(), *[Taken(0, others)] * 2)
    limit.allow(0, total=0, at=1000.0)
    with pytest.raises(RateLimitedError, match="Try again in 18 seconds"):
        await limit.count()
    with pytest.raises(RateLimitedError, match="Try again in 90 seconds"):
        await limit.require_room(5)


class _Clock(Clock):
    """A clock that a test moves, on which nobody sleeps in vain."""

    def __init__(self, time: _Time) -> None:
        super().__init__(wall=time, monotonic=time)
        self._time = time

    async def sleep(self, seconds: float) -> None:
        end = self._time.now + seconds
        while self._time.now < end:  # noqa: ASYNC110 - moved by the test, which tells nobody
            await anyio.sleep(0.001)


Two = tuple[_Time, Services, Services]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Two servers of one machine, which may make 60 calls together."""
    state = str(tmp_path / "journal.sqlite3")
    time, settings = _Time(), load({"COMETAPI_MCP_STATE": state, "COMETAPI_MCP_CALLS": "60"})
    servers = [Services.of(settings, clock=_Clock(time)) for _ in range(2)]
    yield time, servers[0], servers[1]
    for server in servers:
        await server.aclose()


async def use_journal(server: Services) -> None:
    await server.journal.run(Step(Reads(), lambda _: Decision(None), durable=False))


async def call(server: Services, times: int) -> None:
    for _ in range(times):
        await server.api.limit.count()


async def test_what_a_burst_held_and_did_not_use_is_another_servers_with_the_next_use_of_the_journal(two: Two) -> None:
    _, busy, other = two
    async with busy.api.limit.reserved(30):
        await call(busy, 2)
    await use_journal(busy)
    async with other.api.limit.reserved(30):
        await call(other, 30)
    await call(busy, 10)
    with pytest.raises(RateLimitedError):
        await call(busy, 60)


async def test_writes_that_ask_for_calls_at_once_all_get_them(two: Two) -> None:
    _, one, _ = two
    begun: list[int] = []

    async def write(calls: int) -> None:
        async with one.api.limit.reserved(calls):
            begun.append(calls)
            while len(begun) < 3:  # noqa: ASYNC110 - all are under way together
                await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        for calls in (25, 10, 4):
            group.start_soon(write, calls)


async def test_an_idle_server_gives_back_what_it_has_taken_ahead(two: Two) -> None:
    time, idle, other = two
    await call(idle, 20)
    async with anyio.create_task_group() as group:
        group.start_soon(idle.give_back_calls)
        time.now += SHARE_HOLDS
        with anyio.fail_after(LONG):
            while True:
                try:
                    async with other.api.limit.reserved(30):
                        await call(other, 30)
                    break
                except RateLimitedError:
                    await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    await call(other, 10)
    with pytest.raises(RateLimitedError):
        await call(idle, 1)


async def test_calls_count_for_three_minutes_from_when_they_were_made(two: Two) -> None:
    time, one, other = two
    await call(one, 25)
    time.now += 100
    await call(one, 5)
    await use_journal(one)
    with pytest.raises(RateLimitedError, match="Try again in 80 seconds"):
        await call(other, 31)
    time.now += 80
    await call(other, 10)


async def test_what_a_dead_server_may_have_called_counts_until_nobody_counts_it(two: Two) -> None:
    time, dead, other = two
    await call(dead, 30)  # of these its journal knows the first ones alone
    time.now += WINDOW - 1
    with pytest.raises(RateLimitedError):
        await call(other, 60)
    time.now += SHARE_HOLDS + 11
    await call(other, 30)


async def test_two_servers_never_make_more_calls_together_than_one_may(two: Two) -> None:
    time, *servers = two
    made: list[float] = []

    async def work(server: Services, number: int) -> None:
        for turn in range(300):
            calls = (number * 7 + turn * 5) % 9 + 1
            try:
                async with server.api.limit.reserved(calls):
                    for _ in range(calls if turn % 3 else 1):
                        await server.api.limit.count()
                        made.append(time.now)
                        await anyio.lowlevel.checkpoint()
            except RateLimitedError:
                time.now += 3
            time.now += 0.5
            if turn % 4 == 0:
                await use_journal(server)

    async with anyio.create_task_group() as group:
        watching = [group.start_soon(server.give_back_calls) for server in servers]
        async with anyio.create_task_group() as working:
            for number, server in enumerate(servers):
                working.start_soon(work, server, number)
        group.cancel_scope.cancel()
    assert len(watching) == 2
    assert max(sum(first <= at < first + WINDOW for at in made) for first in made) <= 60 + 2 * 3
    assert len(made) > 200
