"""What was spent is summed from few rows or from the API's sums, whole or with what is missing."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from comet_mcp.api.client import CALLS, CometAPI
from comet_mcp.api.models import LogPage, LogRow
from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.span_words import span_of
from comet_mcp.domain.spans import Span
from comet_mcp.domain.usage import Dimension
from comet_mcp.errors import RateLimitedError
from comet_mcp.sandbox import Sandbox
from comet_mcp.services.spending_sums import SpendingSums
from comet_mcp.services.usage import Question, Usage
from tests.services.conftest import Serve
from tests.services.spend import DAY, HOUR, REFUND, exported, many, spent
from tests.support import Home

MakeHome = Callable[..., Home]


def asked(*by: Dimension, span: str = "last 7 days", key_id: int | None = None) -> Question:
    return Question(span_of(span, SYSTEM.now(), UTC), by, key_id)


def sums(usage: Usage) -> dict[Any, int]:
    """The units of each group, by what is told apart."""
    return {
        tuple(part for part in group if part is not None): found.units
        for group, found in usage.read.spending.groups.items()
    }


@pytest.fixture(params=["gateway", "gateway-2026-03"])
def busy(request: pytest.FixtureRequest, make_home: MakeHome) -> Home:
    """An account with 2,000 calls in 33 hours, on a release with sums of keys and on one without."""
    home = make_home(dialect=request.param)
    many(home.sandbox, 2000, every=60)
    exported(home.sandbox)
    return home


async def test_few_calls_are_summed_from_their_rows_to_the_second(home: Home, serve: Serve, deadline: Deadline) -> None:
    sandbox = home.sandbox
    spent(sandbox, 1, "gpt-4o", 300, ago=3 * DAY)
    spent(sandbox, 2, "gpt-4o", 50, ago=2 * DAY)
    spent(sandbox, 1, "o3", 7, ago=10)
    spent(sandbox, 1, "o3", 999, ago=30 * DAY)
    reader = serve(home).usage
    usage = await reader.read(asked("key"), deadline)
    assert sums(usage) == {(1,): 307, (2,): 50}
    assert (usage.logged, usage.difference, usage.read.gaps) == (357, 0, [])
    assert usage.read.spending.total.calls == 3
    assert sums(await reader.read(asked("model"), deadline)) == {("gpt-4o",): 350, ("o3",): 7}
    assert sums(await reader.read(asked("key", "model", key_id=1), deadline)) == {(1, "gpt-4o"): 300, (1, "o3"): 7}
    assert len((await reader.read(asked("day"), deadline)).read.spending.groups) == 3


async def test_two_keys_of_one_name_are_told_apart_and_a_renamed_key_is_one(
    home: Home, serve: Serve, deadline: Deadline
) -> None:
    for key, name, units in ((1, "blog", 5), (2, "blog", 70), (2, "journal", 100)):
        spent(home.sandbox, key, "gpt-4o", units, ago=1000 - units, token_name=name)
    usage = await serve(home).usage.read(asked("key"), deadline)
    assert sums(usage) == {(1,): 5, (2,): 170}
    assert usage.read.spending.names == {1: "blog", 2: "journal"}


async def test_what_an_asynchronous_call_got_back_is_taken_off(home: Home, serve: Serve, deadline: Deadline) -> None:
    spent(home.sandbox, 1, "kling", 500, ago=DAY)
    spent(home.sandbox, 1, "kling", 200, ago=HOUR, type=REFUND)
    spent(home.sandbox, 1, "kling", 800, ago=8 * DAY)
    spent(home.sandbox, 1, "kling", 300, ago=8 * DAY - 60, type=REFUND)
    spent(home.sandbox, 1, "kling", 10_000, ago=HOUR, type=1)  # a top-up is nothing that was spent
    app = serve(home)
    usage = await app.usage.read(asked("key"), deadline)
    assert sums(usage) == {(1,): 300}
    assert usage.read.spending.total.calls == 1
    assert usage.difference == 0
    assert usage.before is not None
    assert usage.before.units == 500
    now = int(SYSTEM.now())
    half_over = Span(now - 2 * DAY, now + 2 * DAY, now - 9 * DAY)
    usage = await app.usage.read(Question(half_over, ("key",)), deadline)
    assert usage.before is not None
    assert (usage.before.units, usage.before.so_far) == (500, 500)


async def test_the_span_before_is_told_whole_and_as_far_as_this_one_is(
    home: Home, serve: Serve, deadline: Deadline
) -> None:
    now = int(SYSTEM.now())
    spent(home.sandbox, 1, "gpt-4o", 1, ago=100)
    spent(home.sandbox, 1, "gpt-4o", 20, ago=1900)
    spent(home.sandbox, 1, "gpt-4o", 400, ago=1100)
    span = Span(now - 1000, now + 500, now - 2000)
    usage = await serve(home).usage.read(Question(span, ("key",)), deadline)
    assert usage.read.spending.total.units == 1
    assert usage.before is not None
    assert (usage.before.units, usage.before.so_far) == (420, 420)
    span = Span(now - 500, now + 500, now - 2000)
    usage = await serve(home).usage.read(Question(span, ("key",)), deadline)
    assert usage.before is not None
    assert (usage.before.units, usage.before.so_far) == (420, 20)


@pytest.mark.parametrize("by", [("model",), ("day",), ("model", "day"), ("key",), ("key", "model"), ("key", "day")])
async def test_many_calls_take_few_calls_of_the_api_and_come_to_the_same(
    busy: Home, serve: Serve, deadline: Deadline, by: tuple[Dimension, ...]
) -> None:
    app = serve(busy)
    usage = await app.usage.read(asked(*by), deadline)
    assert usage.difference == 0
    assert usage.read.spending.total.units == 20_000
    assert usage.read.spending.total.calls == 2000
    expected: dict[Any, int] = {}
    for entry in busy.sandbox.account.log.entries:
        day = entry.created_at // DAY
        group = tuple(
            {"key": entry.token_id, "model": entry.model_name, "day": day}[one]
            for one in ("key", "model", "day")
            if one in by
        )
        expected[group] = expected.get(group, 0) + entry.quota
    assert sorted(sums(usage).values()) == sorted(expected.values())
    has_sums = busy.sandbox.dialect.quota_flow or "key" not in by
    assert usage.read.is_hourly == has_sums
    assert (len(busy.sandbox.requests) < 20) == has_sums


async def test_the_edges_of_a_span_that_begins_within_an_hour_are_rows(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway")
    many(home.sandbox, 2000, every=60)
    exported(home.sandbox)
    now = int(SYSTEM.now())
    start = now - 20 * HOUR - (now - 1800) % HOUR  # half past an hour
    usage = await serve(home).usage.read(Question(Span(start, now, start - DAY), ("key",)), deadline)
    rows = [entry for entry in home.sandbox.account.log.entries if start <= entry.created_at < usage.end]
    assert usage.read.spending.total.calls == len(rows)
    assert usage.read.is_hourly
    assert home.sandbox.count("log") <= 6


@pytest.mark.parametrize("by", [("key", "day"), ("model", "day")])
async def test_days_in_a_zone_of_half_hours_lose_no_call(
    make_home: MakeHome, serve: Serve, deadline: Deadline, by: tuple[Dimension, ...]
) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="Asia/Kolkata")
    many(home.sandbox, 2000, every=60)
    exported(home.sandbox)
    span = span_of("last 3 days", SYSTEM.now(), ZoneInfo("Asia/Kolkata"))
    usage = await serve(home).usage.read(Question(span, by), deadline)
    assert (usage.read.spending.total.calls, usage.difference, usage.read.is_hourly) == (2000, 0, True)


async def test_a_row_of_another_time_than_was_asked_for_counts_nothing(
    home: Home, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def log(*_: Any, **__: Any) -> LogPage:
        return LogPage(total=2, items=[LogRow(created_at=10**18, quota=5), LogRow(created_at=-(10**18), quota=5)])

    monkeypatch.setattr(CometAPI, "log", log)
    usage = await serve(home).usage.read(asked("day"), deadline)
    assert usage.read.spending.groups == {}


async def test_one_key_of_many_is_summed_by_its_id(busy: Home, serve: Serve, deadline: Deadline) -> None:
    usage = await serve(busy).usage.read(asked("model", key_id=2), deadline)
    assert usage.read.spending.total.units == 10_000
    assert usage.difference == 0


async def test_where_the_api_keeps_no_sums_the_rows_are_read(busy: Home, serve: Serve, deadline: Deadline) -> None:
    busy.sandbox.settings.enable_data_export = False
    usage = await serve(busy).usage.read(asked("model"), deadline)
    assert (usage.read.spending.total.units, usage.difference) == (20_000, 0)
    assert not usage.read.is_hourly


async def test_sums_of_rows_that_are_gone_from_the_log_are_told_with_the_difference(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway")
    many(home.sandbox, 1000, every=60)
    exported(home.sandbox)

    async def log_sum(*_: Any, **__: Any) -> int:
        return 9_000

    monkeypatch.setattr(CometAPI, "log_sum", log_sum)
    usage = await serve(home).usage.read(asked("key"), deadline)
    assert usage.difference == -1_000


async def test_half_of_the_calls_are_left_to_others_and_what_is_missing_is_told(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway-2026-03", COMETAPI_MCP_CALLS="40")
    many(home.sandbox, 3000, every=60)
    app = serve(home)
    usage = await app.usage.read(asked("key"), deadline)
    assert len(home.sandbox.requests) <= 20
    (gap,) = usage.read.gaps
    assert gap.why == "calls"
    assert gap.start == usage.start
    rows = [entry for entry in home.sandbox.account.log.entries if entry.created_at > gap.end]
    assert usage.read.spending.logged >= sum(entry.quota for entry in rows) > 0
    assert usage.difference == 30_000 - usage.read.spending.logged
    with pytest.raises(RateLimitedError, match="half"):
        await app.usage.read(asked("key"), deadline)
    await app.api.limit.require_room(12)  # a create is not held up


async def test_calls_of_another_server_count_too(make_home: MakeHome, serve: Serve, deadline: Deadline) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_CALLS="40")
    other, app = serve(home), serve(home)
    for _ in range(20):
        await other.api.account()
    with pytest.raises(RateLimitedError):
        await app.usage.read(asked("key"), deadline)


async def test_a_page_that_fails_leaves_what_was_read_before_it(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway-2026-03")
    many(home.sandbox, 900, every=60)
    log = CometAPI.log

    async def failing(self: CometAPI, *given: int, **named: Any) -> LogPage:
        if given[3] == 4:
            raise RateLimitedError("no", retry_after=None)
        return await log(self, *given, **named)

    monkeypatch.setattr(CometAPI, "log", failing)
    usage = await serve(home).usage.read(asked("key"), deadline)
    assert usage.read.spending.total.calls == 300
    assert [gap.why for gap in usage.read.gaps] == ["rate_limited"]


async def test_rows_that_come_in_while_it_is_paged_are_not_counted_twice(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway")
    many(home.sandbox, 450, every=60)
    log = CometAPI.log

    async def while_used(self: CometAPI, *given: Any, **named: Any) -> LogPage:
        for _ in range(7):
            home.sandbox.account.note(token_id=1, token_name="new", model_name="a", quota=10)
        return await log(self, *given, **named)

    monkeypatch.setattr(CometAPI, "log", while_used)
    usage = await serve(home).usage.read(asked("key"), deadline)
    assert usage.read.spending.total.calls == 450
    assert usage.difference == 0


async def test_a_gateway_with_pages_of_ten_is_read_to_the_end(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(Sandbox("gateway", page_fixed=10))
    many(home.sandbox, 33, every=60)
    usage = await serve(home).usage.read(asked("key"), deadline)
    assert (usage.read.spending.total.calls, usage.difference) == (33, 0)


@pytest.mark.long
async def test_of_a_month_of_a_hundred_thousand_rows_no_more_than_a_few_pages_are_held(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway-2026-03")
    now = int(SYSTEM.now())
    made: list[weakref.ref[LogPage]] = []
    most_held = 0

    async def log(_: CometAPI, *given: int, **__: Any) -> LogPage:
        nonlocal most_held
        kind, page, size = given[0], *given[3:]
        if kind != CALLS:
            return LogPage(items=[])
        rows = [
            LogRow.model_construct(
                created_at=now - 10 - 25 * n, token_id=n % 50, token_name=f"k{n % 50}", model_name=f"m{n % 7}", quota=1
            )
            for n in range((page - 1) * size, page * size)
        ]
        found = LogPage.model_construct(total=100_000, items=rows)
        made.append(weakref.ref(found))
        most_held = max(most_held, sum(one() is not None for one in made[-10:]))
        return found

    async def log_sum(*_: Any, **__: Any) -> int:
        return 100_000

    monkeypatch.setattr(CometAPI, "log", log)
    monkeypatch.setattr(CometAPI, "log_sum", log_sum)
    monkeypatch.setattr(SpendingSums, "plan", lambda *_, **__: None)
    usage = await serve(home).usage.read(asked("key", "model", span="last 30 days"), Deadline(SYSTEM, 60))
    assert (len(made), usage.difference) == (1000, 0)
    assert len(usage.read.spending.groups) == 350
    assert most_held <= 4  # the first, the last two, and the next
