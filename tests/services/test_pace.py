"""When a key or the balance runs out, by what the API summed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import served
from tests.services.conftest import Serve
from tests.services.spend import DAY, HOUR, exported, spent
from tests.support import Home, data_of

MakeHome = Callable[..., Home]
USD = 500_000


def used_steadily(sandbox: Sandbox, *, age: float, every: float, units: int, left: int, ends_in: float = 0) -> int:
    """A key that spends so many units each so many seconds since it was made. Its id."""
    now = int(SYSTEM.now())
    ends = now + int(ends_in) if ends_in else -1
    row = sandbox.add_key("busy", remain_quota=left, used_quota=units, created_time=now - int(age), expired_time=ends)
    for number in range(int(age // every)):
        spent(sandbox, row.id, "gpt-4o", units, ago=number * every + 1)
    return row.id


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    made = make_home(dialect="gateway")
    exported(made.sandbox)
    return made


async def record(home: Home, serve: Serve, deadline: Deadline, key_id: int) -> tuple[Key, object]:
    """A key's record, and the forecast for it."""
    app = serve(home)
    row = await app.api.get_token(key_id)
    await app.pace.look([row], deadline)
    return row, app.pace.of_key(row)


async def test_a_key_that_spends_the_same_each_day_is_told_with_its_pace(home: Home) -> None:
    key = used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    async with served(home) as client:
        first = data_of(await client.call_tool("list_api_keys", {}))
        shown = data_of(await client.call_tool("get_api_key", {"id": key}))
        listed = data_of(await client.call_tool("list_api_keys", {}))
    assert "runs_out" not in first["items"][0], "a list waits for no forecast"
    assert shown["runs_out"].endswith(" at $0.40 a day")
    assert listed["items"][0]["runs_out"] == shown["runs_out"]
    assert home.sandbox.count("flow") == 7


async def test_a_list_by_ends_waits_for_what_it_asks(home: Home) -> None:
    used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    async with served(home) as client:
        listed = data_of(await client.call_tool("list_api_keys", {"sort": "ends"}))
        await client.call_tool("list_api_keys", {"sort": "ends"})
    assert listed["items"][0]["runs_out"].endswith(" at $0.40 a day")
    assert home.sandbox.count("flow") == 7


async def test_a_young_key_is_told_by_its_hours(home: Home, serve: Serve, deadline: Deadline) -> None:
    key = used_steadily(home.sandbox, age=12 * HOUR, every=HOUR / 4, units=50_000, left=600_000)
    _, found = await record(home, serve, deadline, key)
    assert getattr(found, "each", None) == "hour"
    assert getattr(found, "pace", None) == 200_000
    assert abs(getattr(found, "at", 0) - SYSTEM.now() - 3 * HOUR) < 60


@pytest.mark.parametrize(
    "key",
    [
        {"age": 20 * DAY, "every": DAY / 4, "units": 50_000, "left": 600_000, "ends_in": 2 * DAY},
        {"age": 20 * DAY, "every": 2 * DAY, "units": 50_000, "left": 600_000},
        {"age": 5 * HOUR, "every": HOUR / 4, "units": 50_000, "left": 600_000},
        {"age": 20 * DAY, "every": DAY / 4, "units": 50_000, "left": 0},
        {"age": 20 * DAY, "every": DAY / 4, "units": 50, "left": 600_000_000},
    ],
    ids=["ends before", "pauses", "too young", "used up", "far away"],
)
async def test_nothing_is_told_where_it_is_of_no_use(
    home: Home, serve: Serve, deadline: Deadline, key: dict[str, float]
) -> None:
    made = used_steadily(home.sandbox, **key)  # type: ignore[arg-type]
    assert (await record(home, serve, deadline, made))[1] is None


async def test_an_api_without_sums_of_keys_is_asked_once_and_nothing_is_told(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway-2026-03")
    key = used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    app = serve(home)
    row = await app.api.get_token(key)
    await app.pace.look([row], deadline)
    made = len(home.sandbox.requests)
    await app.pace.look([row], deadline)
    assert app.pace.of_key(row) is None
    assert len(home.sandbox.requests) == made


async def test_an_api_that_fails_or_calls_that_are_kept_for_others_leave_it_untold(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_CALLS="12")
    key = used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    app = serve(home)
    row = await app.api.get_token(key)
    await app.pace.look([row], deadline)
    assert (app.pace.of_key(row), home.sandbox.count("flow")) == (None, 0)
    home.extra["COMETAPI_MCP_CALLS"] = "0"
    home.sandbox.faults.add("flow", "refused", times=20)
    assert (await record(home, serve, deadline, key))[1] is None


async def test_the_balance_is_told_by_all_keys_on_every_release(make_home: MakeHome, serve: Serve) -> None:
    home = make_home(dialect="gateway-2026-03")
    exported(home.sandbox)
    for _ in range(2):
        used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    found = await serve(home).pace.of_balance(10 * USD)
    assert found is not None
    assert (found.pace, found.each) == (400_000, "day")
    assert abs(found.at - SYSTEM.now() - 12.5 * DAY) < 60
