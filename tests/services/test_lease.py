"""What leases leave behind: removed by the next who looks, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from unittest import mock

import anyio
import pytest
from mcp import Client

from comet_mcp import removal
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import APIError, CreateUnclearError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.examination import Examined, examine
from comet_mcp.journal.operations import Operation, State
from comet_mcp.journal.writes import Put
from comet_mcp.removal import end_lease, remove_leftovers, remove_leftovers_later
from comet_mcp.server import create_server
from comet_mcp.services.lease import Leased
from tests.support import Home, data_of

MakeHome = Callable[..., Home]
LEASE = 900


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    return make_home()


@asynccontextmanager
async def services(home: Home) -> AsyncIterator[Services]:
    app = Services.of(home.settings)
    try:
        yield app
    finally:
        await app.aclose()


async def leased(app: Services, name: str = "run-1", lease: float = LEASE) -> Leased:
    until = app.clock.now() + lease
    body = KeySpec(name=name, remain_quota=5_000, expired_time=int(until) + 60)
    return await app.leases.begin(body, until, Deadline(app.clock, 15))


async def left_behind(home: Home, name: str = "run-1", lease: float = LEASE) -> None:
    """A lease whose holder was killed: nothing but its lock has ended."""
    async with services(home) as app:
        (await leased(app, name, lease)).held.let_go(is_over=False)


async def creates(home: Home) -> list[Operation]:
    """The creates whose lease the journal has as open."""
    async with services(home) as app:
        return await app.leases.open()


def names(home: Home) -> list[str]:
    return [row.name for row in home.sandbox.keys]


async def test_what_a_dead_holder_left_is_removed_at_once_and_nothing_else_is(home: Home) -> None:
    home.sandbox.add_key("somebody's", expired_time=1)
    await left_behind(home)
    async with services(home) as other, services(home) as app:
        living = await leased(other, "run-2")
        said = await remove_leftovers(app, "test")
        assert said == ['Key 2 "run-1", which a run left behind, is deleted. It spent $0.00.']
        assert names(home) == ["somebody's", "run-2"]
        assert await remove_leftovers(app, "test") == []
        await end_lease(other, living, "test")
    assert names(home) == ["somebody's"]
    assert await creates(home) == []


async def test_nobody_waits_for_one_who_was_killed_while_it_deleted_the_key(home: Home) -> None:
    await left_behind(home)
    async with services(home) as killed:
        at_it = killed.changer.holding(1, Deadline(killed.clock, 15))
        await at_it.__aenter__()  # and never left
        async with services(home) as app:
            with anyio.fail_after(5):
                assert len(await remove_leftovers(app, "test")) == 1
    assert names(home) == []


async def test_a_key_that_has_the_id_by_now_is_somebody_elses(home: Home) -> None:
    await left_behind(home)
    (row,) = home.sandbox.keys
    row.name, row.created_time = "somebody's", row.created_time + 1
    async with services(home) as app:
        assert await remove_leftovers(app, "test") == []
    assert names(home) == ["somebody's"]
    assert await creates(home) == [], "it is not looked for again"


async def test_another_accounts_lease_is_left(home: Home, make_home: MakeHome) -> None:
    await left_behind(home)
    other = make_home()
    other.sandbox.account.user_id = 2
    other.extra |= {"COMETAPI_MCP_STATE": str(home.state), "COMETAPI_USER_ID": "2"}
    other.sandbox.add_key("run-1", remain_quota=5_000)
    async with services(other) as app:
        assert await remove_leftovers(app, "test") == []
    assert names(home) == names(other) == ["run-1"]
    assert len(await creates(home)) == 1


@pytest.mark.parametrize(("lease", "removed"), [(LEASE, False), (-1, True)])
async def test_of_a_holder_of_whom_nothing_is_known_the_end_of_the_lease_is_waited_for(
    lease: float, removed: bool, home: Home
) -> None:
    await left_behind(home, lease=lease)
    for lock in home.state.parent.glob("*-leases/*"):
        lock.unlink()
    async with services(home) as app:
        assert bool(await remove_leftovers(app, "test")) is removed
    assert names(home) == ([] if removed else ["run-1"])


async def test_a_key_whose_create_was_never_answered_is_found_and_removed(home: Home) -> None:
    async with services(home) as app:
        home.sandbox.faults.add("create", "reset_after")
        killed = mock.patch.object(app.finder, "look_for", side_effect=CreateUnclearError("killed here"))
        with killed, pytest.raises(CreateUnclearError):
            await leased(app)
    assert names(home) == ["run-1"]
    async with services(home) as app:
        assert len(await remove_leftovers(app, "test")) == 1
    assert names(home) == []
    assert await creates(home) == []


async def test_a_create_without_a_row_is_looked_for_again_for_a_day(home: Home) -> None:
    async with services(home) as app:
        home.sandbox.faults.add("create", "reset_before")
        killed = mock.patch.object(app.finder, "look_for", side_effect=CreateUnclearError("killed here"))
        with killed, pytest.raises(CreateUnclearError):
            await leased(app)

    async def states_after(seconds: float) -> list[State]:
        async with services(home) as app:
            (lost,) = await app.leases.open()
            older = replace(lost, begun=lost.begun - seconds)
            await app.journal.run(Step(Reads(), lambda _: Decision(None, [Put(older)])))
            assert await remove_leftovers(app, "test") == []
            return [found.state for found in await app.leases.open()]

    assert await states_after(0) == [State.PENDING]
    assert await states_after(61) == [State.ABANDONED]
    assert await states_after(86_400) == []


async def test_a_list_says_nothing_of_a_lease_and_stores_no_value_of_it(home: Home) -> None:
    await left_behind(home)
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {}))
    assert [key["name"] for key in page["items"]] == ["run-1"]
    assert "notes" not in page
    assert home.key_files == []


async def test_a_key_under_a_lease_is_nothing_that_a_look_at_the_journal_finds_in_doubt(home: Home) -> None:
    await left_behind(home)
    found = examine(home.state)
    assert isinstance(found, Examined)
    assert found.in_doubt == ()


async def test_an_equal_create_of_an_agent_does_not_get_the_key_of_a_lease(home: Home) -> None:
    await left_behind(home)
    (row,) = home.sandbox.keys
    body = {"name": "run-1", "remain_quota": 5_000, "expired_time": row.expired_time}
    async with Client(create_server(home.settings)) as client:
        made = data_of(await client.call_tool("create_api_key", body))
    assert made["id"] == 2


async def test_what_fails_is_said_and_tried_again_by_the_next(home: Home) -> None:
    await left_behind(home)
    async with services(home) as app:
        home.sandbox.faults.add("delete", "refused")
        (said,) = await remove_leftovers(app, "test")
        assert said.startswith("The key that a run left behind could not be removed: [")
        assert len(await remove_leftovers(app, "test")) == 1
    assert names(home) == []


async def test_a_required_trail_that_cannot_be_written_leaves_the_key(home: Home) -> None:
    await left_behind(home)
    home.extra["COMETAPI_MCP_AUDIT"] = "required"
    async with services(home) as app:
        with mock.patch("comet_mcp.audit.trail.MOST_BYTES", 0):
            (said,) = await remove_leftovers(app, "test")
    assert "audit trail can't be written" in said
    assert names(home) == ["run-1"]


# A server, soon after its start.


async def beside(home: Home) -> None:
    """A server that has started, and has done what it does beside its calls."""
    done = anyio.Event()

    async def work(app: Services) -> None:
        with mock.patch.object(removal, "_AFTER_START", 0):
            await remove_leftovers_later(app)
        done.set()

    async with Client(create_server(home.settings, beside=work)):
        with anyio.fail_after(20):
            await done.wait()


async def test_a_server_removes_them_beside_its_calls(home: Home) -> None:
    await left_behind(home)
    await beside(home)
    assert names(home) == []


@pytest.mark.parametrize("setting", [{"COMETAPI_MCP_READ_ONLY": "1"}, {"COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "much"}])
async def test_a_server_that_may_delete_nothing_leaves_them(setting: dict[str, str], home: Home) -> None:
    await left_behind(home)
    home.extra |= setting
    await beside(home)
    assert names(home) == ["run-1"]


async def test_a_server_asks_neither_journal_nor_api_where_no_lease_can_be(home: Home) -> None:
    await beside(home)
    assert home.sandbox.requests == []
    assert not home.state.exists()


async def test_an_api_that_cannot_be_asked_does_no_harm_to_a_server(home: Home) -> None:
    await left_behind(home)
    home.sandbox.faults.add("*", "reset_before", times=50)
    with pytest.raises(APIError):
        async with services(home) as app:
            await app.api.get_token(1)
    await beside(home)
    assert names(home) == ["run-1"]
