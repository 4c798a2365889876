"""Calls of the API that a server has taken ahead hold for a while, and no longer."""

from __future__ import annotations

import pytest

from comet_mcp.api.rate_limit import SHARE_HOLDS, WINDOW, RateLimit
from comet_mcp.clock import Clock
from comet_mcp.errors import RateLimitedError


class _Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_share_that_was_taken_long_ago_is_taken_anew_before_it_is_used() -> None:
    time, left = _Time(), [60, 2]
    asked: list[int] = []

    async def take(wanted: int) -> bool:
        asked.append(wanted)
        limit.allow(left.pop(0))
        return True

    limit = RateLimit(60, Clock(monotonic=time))
    limit.allow(0)
    limit.take_share = take
    await limit.count()
    time.now += SHARE_HOLDS - 1
    await limit.count()
    assert len(asked) == 1
    time.now += WINDOW + SHARE_HOLDS  # another server has taken nearly all meanwhile
    await limit.count()
    await limit.count()
    left.append(2)
    with pytest.raises(RateLimitedError, match="Try again in 180 seconds"):
        await limit.count()


async def test_who_finds_all_calls_taken_by_others_is_not_told_to_come_again_at_once() -> None:
    async def take(_: int) -> bool:
        limit.allow(0)
        return True

    limit = RateLimit(60, Clock(monotonic=_Time()))
    limit.allow(0)
    limit.take_share = take
    with pytest.raises(RateLimitedError, match="Try again in 60 seconds"):
        await limit.count()
