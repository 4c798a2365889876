"""What the simulation has found, each as a history of its own: `python -m tests.simulation`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import APIError, CometError, CreateUnclearError, PolicyError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.operations import OldKey, Operation, State
from comet_mcp.journal.writes import Put
from comet_mcp.pipeline import in_time
from comet_mcp.services.delete import delete_key
from comet_mcp.services.delivery import Told, acknowledging, released
from tests.e2e.steps import operations
from tests.services.conftest import Serve
from tests.support import Home

MakeHome = Callable[..., Home]

SPEC = KeySpec(name="equal", remain_quota=500_000)


async def _put(services: Services, operation: Operation) -> None:
    await services.journal.run(Step(Reads(operation.account), lambda _: Decision(None, [Put(operation)])))


async def _rows(services: Services) -> list[Key]:
    return (await services.api.list_tokens(1, 10)).items


async def test_equal_rows_of_which_nobody_was_told_are_told_of_once_more(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    services = serve(home)
    operation, _ = await services.creator.begin(SPEC, deadline)
    rows = [home.sandbox.add_key("equal", remain_quota=500_000) for _ in range(2)]
    told = Told()
    for _ in range(2):
        with pytest.raises(CreateUnclearError, match="nothing tells which is whose") as caught:
            await services.creator.make(operation, deadline, told)
        assert caught.value.code == "create_ambiguous"
        assert told.ambiguous[-1] == operation.id
        await services.journal.run(released(told))
        assert operations(home)[-1][0] != "released"
    await services.journal.run(acknowledging(told))
    assert operations(home)[-1][0] == "released"
    assert len(rows) + 2 == len(home.sandbox.keys)


async def test_a_call_that_comes_late_takes_nothing_back_of_what_another_has_found(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    services = serve(home)
    operation, _ = await services.creator.begin(SPEC, deadline)
    row = home.sandbox.add_key("equal", remain_quota=500_000)
    found = operation.moved(State.MATCHED, key_id=row.id, key_created=row.created_time).moved(State.STORED)
    await _put(services, found)
    for state in ("outcome_unknown", "accepted_unlisted", "abandoned"):
        await services.creator._progress.advance(operation.id, State(state))
        assert operations(home)[-1][0] == "stored"
    await _put(services, replace(found, acknowledged=True))
    with pytest.raises(CreateUnclearError) as caught:
        await services.creator._finder.find(operation, await _rows(services), Told())
    assert caught.value.code == "under_way"


@pytest.mark.parametrize("fault", [None, "reset_before"])
async def test_a_key_whose_answer_is_about_to_be_written_is_not_given_to_another_server(
    make_home: MakeHome, serve: Serve, deadline: Deadline, fault: str | None
) -> None:
    home = make_home(dialect="gateway")
    one, other, told = serve(home), serve(home), Told()
    operation, _ = await one.creator.begin(SPEC, deadline)
    if fault:
        home.sandbox.faults.add("reveal", fault, times=100)
        home.sandbox.faults.add("reveal_batch", fault, times=100)
    await one.creator.make(operation, deadline, told)
    assert operations(home)[-1][0] == ("unstored" if fault else "stored")
    assert await other.progress.adopt(await other.progress.read(operation.id), for_client=True) is None
    await one.journal.run(released(told))  # nobody has read it
    assert await other.progress.adopt(await other.progress.read(operation.id), for_client=True) is not None


@pytest.mark.parametrize(("status", "code"), [("400", "delete_outcome_unknown"), ("401", "unauthorized")])
async def test_a_refused_delete_that_can_not_be_looked_at_is_told_as_unknown(
    status: str, code: str, make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    row = home.sandbox.add_key("gone", remain_quota=1)
    home.sandbox.faults.add("delete", "status", value=status)
    home.sandbox.faults.add("get", "status", times=9)
    with pytest.raises(APIError) as caught:
        await delete_key(serve(home).api, Key(id=row.id, created_time=row.created_time), deadline)
    assert caught.value.code == code


async def test_a_rotation_that_was_begun_is_not_refused_for_the_key_it_has_counted(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    home.extra["COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL"] = "1"
    home.sandbox.add_key("equal", remain_quota=500_000)
    services = serve(home)
    (old,) = await _rows(services)
    begun, _ = await services.creator.begin(SPEC, deadline, old=OldKey(old.id, old.created_time))
    left = replace(begun.moved(State.OUTCOME_UNKNOWN), lease_until=0.0)
    await services.rotator._require_allowed(old, left)
    with pytest.raises(PolicyError, match="max_keys_total"):
        await services.rotator._require_allowed(old, None)


async def test_an_answer_that_came_too_late_tells_of_nothing() -> None:
    settings, told = SimpleNamespace(timeout=0.01), Told(operations=["one"])
    context = SimpleNamespace(app=SimpleNamespace(settings=settings), told=told)
    call: Any = SimpleNamespace(context=context, tool=SimpleNamespace(name="rotate_api_key", writes=True))

    async def go_on(_: Any) -> Any:
        await anyio.sleep(5)

    with pytest.raises(CometError, match="not done within"):
        await in_time(call, go_on)
    assert told.cut_short


async def test_a_key_that_is_rotated_before_its_create_has_found_it_is_still_that_creates(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    creating, rotating = serve(home), serve(home)
    create, _ = await creating.creator.begin(SPEC, deadline)
    guessed = home.sandbox.add_key("equal", remain_quota=500_000)
    old = OldKey(guessed.id, guessed.created_time)
    rotation, _ = await rotating.creator.begin(SPEC, deadline, old=old)
    new = home.sandbox.add_key("equal", remain_quota=500_000)
    rows = {row.id: row for row in await _rows(creating)}
    accepted = create.moved(State.ACCEPTED)
    await _put(creating, accepted)
    assert await creating.finder.find(accepted, [rows[new.id]], Told()) is None, "its own is not listed yet"
    created = await creating.finder.find(accepted, list(rows.values()), Told())
    assert created is not None
    assert created.row.id == guessed.id
    replaced = await rotating.finder.find(rotation, [rows[new.id]], Told())
    assert replaced is not None
    assert replaced.row.id == new.id


async def test_a_key_that_is_rotated_and_another_creates_own_is_not_waited_for(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home()
    services = serve(home)
    create, _ = await services.creator.begin(SPEC, deadline)
    anothers = home.sandbox.add_key("equal", remain_quota=500_000)
    claim: dict[str, Any] = {"key_id": anothers.id, "key_created": anothers.created_time, "acknowledged": True}
    await _put(services, replace(create, id="another", state=State.STORED, **claim))
    await services.creator.begin(SPEC, deadline, old=OldKey(anothers.id, anothers.created_time))
    mine = home.sandbox.add_key("equal", remain_quota=500_000)
    (row,) = [row for row in await _rows(services) if row.id == mine.id]
    found = await services.finder.find(create.moved(State.ACCEPTED), [row], Told())
    assert found is not None
    assert found.row.id == mine.id
