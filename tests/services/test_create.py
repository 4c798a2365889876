"""Equal creates of several servers and calls: one create, one key, and each key for one caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import pytest

from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError, CreateUnclearError
from comet_mcp.journal.operations import LEASE, State
from comet_mcp.services.delivery import Told, acknowledging
from comet_mcp.services.take_up import make_key
from tests.e2e.steps import (
    code_of,
    create_unlisted,
    let_pass,
    list_late_rows,
    operations,
    served,
    stored,
    until,
    values,
)
from tests.services.conftest import Serve
from tests.support import Home, data_of, error_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "equal", "remain_quota": 500_000}
SPEC = KeySpec(**BODY)
DEAD, SETTLED = LEASE + 1, 61


def _set(home: Home, **columns: Any) -> None:
    """Change every operation as if something else had happened."""
    with closing(sqlite3.connect(home.state)) as db, db:
        for name, value in columns.items():
            db.execute(f"UPDATE operation SET {name} = ?", (value,))  # noqa: S608 - names of this file


async def _made(home: Home, serve: Serve, *, is_told: bool = True) -> int:
    """The id of a key that a server of its own makes, or finds; its client is told, or not."""
    services, told = serve(home), Told()
    now = services.clock.now()
    made = await make_key(services.creator, services.taker, SPEC, Deadline(SYSTEM, 10), told, asked=now)
    assert (told.key_id, told.key_name) == (made.row.id, "equal")
    if is_told:
        await services.journal.run(acknowledging(told))
    return made.row.id


async def test_a_create_under_way_in_a_living_server_is_not_taken_from_it(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    home.sandbox.faults.add("create", "latency", value="4")
    got: dict[str, int] = {}
    seconds: list[float] = []

    async def first() -> None:
        got["first"] = await _made(home, serve)

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await until(lambda: home.sandbox.count("create"))
        begun = anyio.current_time()
        got["second"] = await _made(home, serve)
        seconds.append(anyio.current_time() - begun)
    assert sorted(got.values()) == [1, 2]
    assert seconds[0] < LEASE, "it was seen to be alive"
    assert (home.sandbox.count("create"), stored(home)) == (2, values(home))


@pytest.mark.parametrize("state", ["matched", "stored", "unstored"])
async def test_a_key_of_which_nobody_was_told_is_one_callers_whatever_its_state(
    make_home: MakeHome, serve: Serve, state: str
) -> None:
    home = make_home(dialect="gateway")
    await _made(home, serve, is_told=False)
    _set(home, state=state, holder="a dead server", lease_until=0.0)
    home.key_files[0].unlink()
    home.sandbox.faults.add("reveal", "latency", value="0.5", times=3)
    home.sandbox.faults.add("reveal_batch", "latency", value="0.5", times=3)
    got: list[int] = []

    async def again() -> None:
        got.append(await _made(home, serve))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(again)
    assert sorted(got) == [1, 2, 3]
    assert (home.sandbox.count("create"), stored(home)) == (3, values(home))


async def test_a_key_that_was_told_is_nobody_elses(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    assert [await _made(home, serve) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("spoilt", ["file", "key"])
async def test_a_key_that_can_not_be_stored_once_more_is_told_with_what_to_do(
    make_home: MakeHome, serve: Serve, spoilt: str
) -> None:
    home = make_home(dialect="gateway")
    await _made(home, serve, is_told=False)
    _set(home, lease_until=0.0)
    home.key_files[0].unlink()
    if spoilt == "file":
        home.key_files or home.key_dir.rename(home.directory / "away")
        home.key_dir.write_text("a file")
    else:
        home.sandbox.faults.add("reveal", "status", times=5)
    async with served(home) as client:
        if spoilt == "file":
            assert code_of(await client.call_tool("create_api_key", BODY)) == "key_store_unavailable"
            (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
            assert "Key 1 " in note
            assert "save_api_key with id 1" in note
        else:
            key = data_of(await client.call_tool("create_api_key", BODY))
            assert key["id"] == 1
            assert "save_api_key with id 1" in " ".join(key["warnings"])
        assert operations(home) == [("unstored", 1)]
    assert home.sandbox.count("create") == 1


@pytest.mark.parametrize("store", ["result", "none"])
async def test_a_stored_key_of_which_nobody_was_told_is_named_by_a_list_where_nothing_is_kept(
    make_home: MakeHome, serve: Serve, store: str
) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_SECRETS=store)
    await _made(home, serve, is_told=False)
    _set(home, lease_until=0.0)
    async with served(home) as client:
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "Key 1 " in note
        assert ("save_api_key with id 1" in note) == (store == "result")


async def test_that_the_api_said_yes_is_told_also_by_the_create_after_a_list_whose_answer_was_lost(
    make_home: MakeHome,
) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    let_pass(home, SETTLED)
    async with served(home) as client:
        data_of(await client.call_tool("list_api_keys"))
        _set(home, acknowledged=0)  # as if that list's answer had been lost
        assert operations(home) == [("abandoned", None)]
        said = error_of(await client.call_tool("create_api_key", BODY))
        assert said.startswith("[created_id_unknown] ")
        assert "only if the user accepts that there may be two" in said
        data_of(await client.call_tool("create_api_key", BODY))
    assert home.sandbox.count("create") == 2


async def test_an_abandoned_create_that_made_nothing_keeps_no_equal_one_from_being_sent(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "reset_before")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "create_outcome_unknown"
        let_pass(home, SETTLED)
        first = data_of(await client.call_tool("create_api_key", BODY))
        second = data_of(await client.call_tool("create_api_key", BODY))
    assert [first["id"], second["id"]] == [1, 2]
    assert [state for state, _ in operations(home)] == ["abandoned", "stored", "stored"]


async def test_a_key_that_is_listed_within_the_day_goes_to_the_next_equal_create(make_home: MakeHome) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    let_pass(home, SETTLED)
    async with served(home) as client:
        data_of(await client.call_tool("list_api_keys"))
        list_late_rows(home)
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert key["id"] == 1
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


async def test_a_create_whose_operation_was_adopted_meanwhile_tells_of_no_key(
    make_home: MakeHome, serve: Serve
) -> None:
    """A server that was stopped for a while, as a laptop's is: its lease has ended, and another has told of the key."""
    home = make_home()
    home.sandbox.faults.add("create", "latency", value="0.6")
    failed: list[CometError] = []

    async def stopped() -> None:
        try:
            await _made(home, serve)
        except CometError as error:
            failed.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(stopped)
        await until(lambda: home.sandbox.count("create"))
        _set(home, holder="another server")
    assert [type(error) for error in failed] == [CreateUnclearError]
    assert "Another call has taken this create up" in str(failed[0])


async def test_a_create_that_a_list_looks_for_is_that_lists_however_slow_the_api_is(
    make_home: MakeHome, serve: Serve
) -> None:
    home = make_home()
    listing, told, got = serve(home), Told(), list[int]()
    await listing.creator.begin(SPEC, Deadline(SYSTEM, 10))
    home.sandbox.add_key("equal", remain_quota=500_000)
    _set(home, state="outcome_unknown", holder="a dead server", lease_until=0.0)
    home.sandbox.faults.add("list", "latency", value=str(LEASE + 4))
    async with anyio.create_task_group() as group:

        async def reconcile() -> None:
            done = await listing.reconciler.all(Deadline(SYSTEM, LEASE + 9), told)
            assert "Key 1 " in done.notes[0]
            await listing.journal.run(acknowledging(told))

        async def create() -> None:
            got.append(await _made(home, serve))

        group.start_soon(reconcile)
        await SYSTEM.sleep(LEASE + 1)
        group.start_soon(create)
    assert got == [2], "the list has told of key 1"


async def test_what_another_server_has_taken_up_is_not_let_go(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    one, other = serve(home), serve(home)
    operation, _ = await one.creator.begin(SPEC, Deadline(SYSTEM, 10))
    _set(home, lease_until=0.0)
    held = await other.progress.adopt(operation, for_client=True)
    assert held is not None
    await one.progress.let_go(operation)
    assert await other.progress.read(operation.id) == held
    await one.progress.note(operation, State.OUTCOME_UNKNOWN)  # by the call that was given up, and still looks
    assert (await other.progress.read(operation.id)).lease_until == held.lease_until
    await other.progress.let_go(operation)
    assert not (await other.progress.read(operation.id)).is_held(other.clock.now())


async def test_a_create_takes_few_steps_of_the_journal(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    services = serve(home)
    run, steps = services.journal.run, list[object]()

    async def counted(step: Any, *also: Any) -> Any:
        steps.append(step)
        return await run(step, *also)

    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "first"}))
    await services.identity.account()
    monkeypatch.setattr(type(services.journal), "run", lambda _, step, *also: counted(step, *also))
    deadline = Deadline(SYSTEM, 10)
    await make_key(services.creator, services.taker, SPEC, deadline, Told(), asked=services.clock.now())
    assert len(steps) == 3, "begun, claimed, stored; the trail has two more"


def test_every_state_of_a_create_is_one_that_somebody_sees_to() -> None:
    """None of these may be forgotten by lists and creates: what is open is read by its state."""
    assert {state.value for state in State} == {
        *("pending", "accepted", "outcome_unknown", "accepted_unlisted", "matched", "unstored", "stored", "retired"),
        *("settled", "abandoned", "not_done", "released"),
    }
