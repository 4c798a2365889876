"""What the journal knows of changes: what they mean, what they give, and what is taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from comet_mcp.api.client import CometAPI
from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, Status
from comet_mcp.errors import (
    CometError,
    NotFoundError,
    PolicyError,
    RefusedError,
    UnclearError,
    UnsentError,
)
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import Operation, State
from comet_mcp.sandbox import Key as Row
from comet_mcp.services.hold import Hold
from comet_mcp.services.update import Changed
from tests.e2e.life import body_of, full_key, spend, spend_before_writes
from tests.e2e.steps import code_of, let_pass, served
from tests.services.conftest import Serve
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

DOLLAR = 500_000
REFUSED, UNSENT, UNCLEAR = RefusedError("no"), UnsentError("no way"), UnclearError("who knows")


async def journal_of(services: Services, key_id: int) -> Rows:
    """The changes of a key, and what was given."""
    reads = Reads(await services.identity.account(), operations="of_key", key_id=key_id, key_lease=True, spending=True)
    return await services.journal.run(Step(reads, Decision))


async def changed(services: Services, row: Row, deadline: Deadline, **fields: Any) -> tuple[Changed, Hold]:
    """Change fields of a key as the tool does."""
    status = fields.pop("status", None)
    async with services.changer.holding(row.id, deadline) as hold:
        before = await services.api.get_token(row.id)
        before, _ = await services.changer.settle_open(hold, before, deadline)
        change = KeyChange(before, before.spec.model_copy(update=fields), status)
        return await services.changer.change(hold, change, deadline), hold


async def test_a_change_is_in_the_journal_before_it_is_sent_and_settled_once_it_was_read_again(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=2 * DOLLAR, used_quota=DOLLAR)
    services = serve(home)
    update, seen = CometAPI.update_token, list[Operation]()

    async def watched(self: CometAPI, *arguments: Any, **named: Any) -> None:
        seen.extend((await journal_of(services, row.id)).operations)
        await update(self, *arguments, **named)

    monkeypatch.setattr(CometAPI, "update_token", watched)
    await changed(services, row, deadline, remain_quota=3 * DOLLAR)
    (pending,) = seen
    assert (pending.state, pending.key_id, pending.key_created) == (State.PENDING, row.id, row.created_time)
    assert pending.target is not None
    assert (pending.target.total, pending.target.total_before) == (4 * DOLLAR, 3 * DOLLAR)
    rows = await journal_of(services, row.id)
    (settled,) = rows.operations
    assert settled.target is not None
    assert (settled.id, settled.state, settled.target.seen) == (pending.id, State.SETTLED, 4 * DOLLAR)
    assert rows.key_lease is None, "the key is free again"
    assert (rows.spending.keys, rows.spending.units) == (0, DOLLAR)


@pytest.mark.parametrize("wanted", [{"name": "other"}, {"remain_quota": 5}, {"unlimited_quota": True}])
async def test_what_adds_nothing_is_counted_with_nothing(
    make_home: MakeHome, serve: Serve, deadline: Deadline, wanted: dict[str, Any]
) -> None:
    home = make_home()
    row = full_key(home.sandbox)
    services = serve(home)
    await changed(services, row, deadline, **wanted)
    assert (await journal_of(services, row.id)).spending.recent == ()


@pytest.mark.parametrize(
    ("error", "meanwhile", "state", "kept"),
    [
        (REFUSED, {}, State.NOT_DONE, False),
        (UNSENT, {}, State.NOT_DONE, False),
        (UNSENT, {"remain_quota": DOLLAR - 50, "used_quota": 150}, State.NOT_DONE, False),
        (UNCLEAR, {}, State.OUTCOME_UNKNOWN, True),
        (REFUSED, {"unlimited_quota": True}, State.OUTCOME_UNKNOWN, True),
        (REFUSED, {"remain_quota": 3 * DOLLAR, "name": "theirs"}, None, True),
        (REFUSED, NotFoundError("gone"), State.SETTLED, True),
    ],
)
async def test_a_top_up_is_taken_back_only_where_the_key_provably_may_spend_no_more_than_before(
    make_home: MakeHome,
    serve: Serve,
    deadline: Deadline,
    monkeypatch: pytest.MonkeyPatch,
    *,
    error: CometError,
    meanwhile: dict[str, Any] | CometError,
    state: State | None,
    kept: bool,
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_SUM_USD_TOTAL="9")
    row = full_key(home.sandbox, remain_quota=DOLLAR, used_quota=100)
    services = serve(home)

    async def fail(*_: object, **__: object) -> None:
        if isinstance(meanwhile, CometError):
            home.sandbox.keys.clear()
        else:
            for name, value in meanwhile.items():
                setattr(row, name, value)
        raise error

    monkeypatch.setattr(CometAPI, "update_token", fail)
    if state is None:  # what was asked for is there: the refusal came too late
        await changed(services, row, deadline, remain_quota=3 * DOLLAR)
    else:
        with pytest.raises(CometError):
            await changed(services, row, deadline, remain_quota=3 * DOLLAR)
    rows = await journal_of(services, row.id)
    assert [one.state for one in rows.operations] == [state or State.SETTLED]
    assert rows.spending.units == (2 * DOLLAR if kept else 0)


async def test_a_refused_change_is_looked_at_in_what_is_left_of_the_calls_time(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=DOLLAR)
    services = serve(home)
    get, asked = CometAPI.get_token, list[float | None]()

    async def watched(self: CometAPI, key_id: int, *, seconds: float | None = None) -> Key:
        asked.append(seconds)
        return await get(self, key_id, seconds=seconds)

    async def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(CometAPI, "get_token", watched)
        raise UNSENT

    monkeypatch.setattr(CometAPI, "update_token", refuse)
    with pytest.raises(UnsentError):
        await changed(services, row, deadline, name="other")
    assert len(asked) == 1
    assert asked[0] is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"expired_time": 1_950_000_000}, {"expired_time": 1_960_000_000}),
        ({"expired_time": 1_950_000_000}, {"expired_time": 1_950_000_000, "name": "other"}),
        ({"remain_quota": 4 * DOLLAR}, {"remain_quota": 9 * DOLLAR}),
        ({"name": "other"}, {"remain_quota": 9 * DOLLAR}),
    ],
)
async def test_a_lost_change_is_not_seen_in_what_an_earlier_one_has_just_done(
    make_home: MakeHome,
    serve: Serve,
    deadline: Deadline,
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: dict[str, Any],
    second: dict[str, Any],
) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=3 * DOLLAR)
    services = serve(home)
    earlier = {"id": row.id, "status": 1, **body_of(row), **first}
    spend(row, DOLLAR // 10)

    async def lose(*_: object, **__: object) -> None:
        home.sandbox.account.update(earlier, status_only=False)
        raise UNCLEAR

    monkeypatch.setattr(CometAPI, "update_token", lose)
    with pytest.raises(UnclearError, match="is not seen yet: the API may still make it"):
        await changed(services, row, deadline, **second)
    assert [one.state for one in (await journal_of(services, row.id)).operations] == [State.OUTCOME_UNKNOWN]


@pytest.mark.parametrize(
    ("came", "wanted", "state"),
    [
        ({"remain_quota": 4 * DOLLAR}, {"remain_quota": 9 * DOLLAR}, State.OUTCOME_UNKNOWN),
        ({"name": "theirs"}, {"name": "ours"}, State.OUTCOME_UNKNOWN),
        ({"name": "ours"}, {"name": "ours", "expired_time": 1_950_000_000}, State.OUTCOME_UNKNOWN),
        ({"name": "theirs"}, {"expired_time": 1_950_000_000}, State.NOT_DONE),
        ({"remain_quota": 9 * DOLLAR}, {"remain_quota": 9 * DOLLAR}, State.SETTLED),
        ({"remain_quota": 2 * DOLLAR, "used_quota": 2 * DOLLAR}, {"remain_quota": 2 * DOLLAR}, State.SETTLED),
    ],
)
async def test_a_refusal_is_believed_only_where_nothing_of_what_was_to_change_has_changed(
    make_home: MakeHome,
    serve: Serve,
    deadline: Deadline,
    monkeypatch: pytest.MonkeyPatch,
    *,
    came: dict[str, Any],
    wanted: dict[str, Any],
    state: State,
) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=3 * DOLLAR, used_quota=0)
    services = serve(home)
    update = CometAPI.update_token

    async def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(CometAPI, "update_token", update)
        for name, value in came.items():
            setattr(row, name, value)
        raise REFUSED

    monkeypatch.setattr(CometAPI, "update_token", refuse)
    if state is State.SETTLED:
        await changed(services, row, deadline, **wanted)
    else:
        with pytest.raises(UnclearError if state is State.OUTCOME_UNKNOWN else RefusedError):
            await changed(services, row, deadline, **wanted)
    assert [one.state for one in (await journal_of(services, row.id)).operations] == [state]


async def test_a_sum_is_judged_once_more_where_it_is_counted(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_SUM_USD_TOTAL="3")
    rows = [full_key(home.sandbox, remain_quota=DOLLAR) for _ in range(4)]
    servers = [serve(home), serve(home)]
    refused: list[int] = []

    async def top_up(services: Services, row: Row) -> None:
        try:
            await changed(services, row, deadline, remain_quota=2 * DOLLAR)
        except PolicyError:
            refused.append(row.id)

    async with anyio.create_task_group() as group:
        for number, row in enumerate(rows):
            group.start_soon(top_up, servers[number % 2], row)
    assert len(refused) == 1
    assert sorted(row.remain_quota for row in rows) == [DOLLAR, *[2 * DOLLAR] * 3]


async def test_where_the_journal_fails_a_top_up_goes_on_with_a_warning_and_is_refused_where_a_sum_is_limited(
    make_home: MakeHome,
) -> None:
    for rule in ("", "MAX_SUM_USD_PER_HOUR", "MAX_SUM_USD_PER_DAY", "MAX_SUM_USD_TOTAL"):
        home = make_home(**({f"COMETAPI_MCP_POLICY_{rule}": "9"} if rule else {}))
        home.state.mkdir(parents=True)  # a directory is no journal
        row = full_key(home.sandbox, remain_quota=DOLLAR)
        async with served(home) as client:
            result = await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1})
            if rule:
                assert code_of(result) == "journal_unavailable"
                assert row.remain_quota == DOLLAR
            else:
                assert "will not count the added budget: The journal" in " ".join(data_of(result)["warnings"])
                assert row.remain_quota == 2 * DOLLAR
            data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        assert row.name == "renamed"


# What a lost change may give again.


async def test_what_a_lost_change_may_give_again_is_held_back_until_it_can_come_no_more(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_SUM_USD_TOTAL="9")
    async with served(home) as client:
        made = data_of(await client.call_tool("create_api_key", {"name": "one", "remain_quota": 5 * DOLLAR}))
        home.sandbox.faults.add("update", "reset_before")
        error_of(await client.call_tool("update_api_key", {"id": made["id"], "name": "renamed"}))
        other = {"name": "other", "remain_quota": 3 * DOLLAR}
        said = error_of(await client.call_tool("create_api_key", other))
        assert said.startswith("[policy] ")
        assert f"$5.00 of that is held back: the answer to a change of key {made['id']} was lost" in said
        topped_up = await client.call_tool("update_api_key", {"id": made["id"], "add_budget_usd": 1})
        assert code_of(topped_up) == "policy"
        data_of(await client.call_tool("update_api_key", {"id": made["id"], "status": "disabled"}))
        let_pass(home, 901)
        assert code_of(await client.call_tool("create_api_key", other)) == "policy", "nobody has looked at the key"
        data_of(await client.call_tool("update_api_key", {"id": made["id"], "name": "looked-at"}))
        data_of(await client.call_tool("create_api_key", other))


async def test_what_a_change_that_came_late_gave_again_stays_counted(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_SUM_USD_TOTAL="9")
    async with served(home) as client:
        made = data_of(await client.call_tool("create_api_key", {"name": "one", "remain_quota": 5 * DOLLAR}))
        (row,) = home.sandbox.keys
        lost = {"id": row.id, "status": 1, **body_of(row), "name": "renamed"}
        home.sandbox.faults.add("update", "reset_before")
        error_of(await client.call_tool("update_api_key", {"id": made["id"], "name": "renamed"}))
        data_of(await client.call_tool("update_api_key", {"id": made["id"], "name": "later"}))
        spend(row, 2 * DOLLAR)
        home.sandbox.account.update(lost, status_only=False)
        data_of(await client.call_tool("update_api_key", {"id": made["id"], "allow_ips": ""}))
        assert (row.name, row.remain_quota) == ("later", 3 * DOLLAR)
        said = error_of(await client.call_tool("create_api_key", {"name": "two", "remain_quota": 3 * DOLLAR}))
        assert "$7.00 was given, so $2.00 is left" in said
        assert "held back" not in said
        data_of(await client.call_tool("create_api_key", {"name": "two", "remain_quota": 2 * DOLLAR}))


async def test_what_a_lost_change_may_have_given_again_stays_counted_where_its_key_is_gone(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_SUM_USD_TOTAL="9")
    async with served(home) as client:
        made = data_of(await client.call_tool("create_api_key", {"name": "one", "remain_quota": 3 * DOLLAR}))
        home.sandbox.faults.add("update", "reset_before")
        error_of(await client.call_tool("update_api_key", {"id": made["id"], "name": "renamed"}))
        data_of(await client.call_tool("delete_api_key", {"id": made["id"]}))
        other = {"name": "other", "remain_quota": 4 * DOLLAR}
        said = error_of(await client.call_tool("create_api_key", other))
        assert "$6.00 was given, so $3.00 is left" in said
        assert "held back" not in said
        assert (await client.call_tool("update_api_key", {"id": made["id"], "name": "renamed"})).is_error
        assert "$6.00 was given" in error_of(await client.call_tool("create_api_key", other)), "it is counted once"


async def test_a_lost_change_that_comes_late_is_not_taken_for_a_later_one_that_was_lost_too(
    make_home: MakeHome,
) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    first = {"id": row.id, "status": 1, **body_of(row), "remain_quota": 10 * DOLLAR + DOLLAR // 2}
    home.sandbox.faults.add("update", "reset_before", times=2)
    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0.5}))
        error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
        home.sandbox.account.update(first, status_only=False)
        error_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": 5}))
        for name in ("one", "two"):
            told = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": name}))
            assert "may still be carried out" in " ".join(told["warnings"]), "the second one has not come"
            assert "corrected" not in " ".join(told["warnings"])
            assert (row.name, row.remain_quota) == (name, 10 * DOLLAR + DOLLAR // 2)


async def test_what_a_late_change_undid_is_made_again_also_where_the_last_change_was_lost(make_home: MakeHome) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    first = {"id": row.id, "status": 1, **body_of(row), "remain_quota": 10 * DOLLAR + DOLLAR // 2}
    async with served(home) as client:
        home.sandbox.faults.add("update", "reset_before")
        error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0.5}))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "later"}))
        home.sandbox.faults.add("update", "reset_before")
        error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
        home.sandbox.account.update(first, status_only=False)
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "allow_ips": ""}))
    assert "was carried out late and undid later ones" in " ".join(told["warnings"])
    assert (row.name, row.remain_quota) == ("later", 10 * DOLLAR)


async def test_a_change_keeps_its_settings_as_long_as_a_lost_one_may_undo_it(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "reset_before")
    services = serve(home)

    async def kept() -> list[bool]:
        return [one.has_spec for one in (await journal_of(services, row.id)).operations]

    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "lost"}))
        for name in ("one", "two"):
            data_of(await client.call_tool("update_api_key", {"id": row.id, "name": name}))
        assert await kept() == [True, False, True], "the lost one, and the last after it"
        let_pass(home, 901)
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "three"}))
    assert await kept() == [False] * 4


async def test_a_lost_change_of_a_key_that_has_overspent_is_not_told_as_corrected(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = full_key(home.sandbox, remain_quota=-1_000, used_quota=DOLLAR, group="", cross_group_retry=False)
    home.sandbox.faults.add("get", "status", after=1, times=100)
    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        home.sandbox.faults.clear()
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "again"}))
    assert "corrected" not in " ".join(told.get("warnings", []))
    assert (row.name, row.remain_quota) == ("again", 0)


# One key, one server at a time.


async def test_a_key_is_changed_by_one_server_at_a_time(make_home: MakeHome, serve: Serve, deadline: Deadline) -> None:
    home = make_home()
    row = full_key(home.sandbox)
    one, other = serve(home), serve(home)
    order: list[str] = []

    async def second() -> None:
        order.append("asked")
        async with other.changer.holding(row.id, deadline):
            order.append("has it")

    async with anyio.create_task_group() as group, one.changer.holding(row.id, deadline):
        group.start_soon(second)
        await anyio.sleep(0.4)
        async with other.changer.holding(row.id + 1, deadline):
            order.append("another key is free")
        order.append("done")
    assert order == ["asked", "another key is free", "done", "has it"]


async def test_a_key_that_another_server_holds_too_long_is_not_changed_and_a_dead_servers_is_free_after_a_while(
    make_home: MakeHome, serve: Serve
) -> None:
    home = make_home()
    row = full_key(home.sandbox)
    one, other = serve(home), serve(home)
    async with one.changer.holding(row.id, Deadline(SYSTEM, 10)):
        with pytest.raises(UnsentError) as raised:
            async with other.changer.holding(row.id, Deadline(SYSTEM, 2)):
                raise AssertionError
        assert raised.value.code == "under_way"
        let_pass(home, 30)  # as if its server had died
        async with other.changer.holding(row.id, Deadline(SYSTEM, 2)):
            pass


@pytest.mark.fast_time
async def test_a_status_that_one_server_set_is_not_undone_by_anothers_rename(make_home: MakeHome) -> None:
    home = make_home()
    async with served(home) as one, served(home) as other:
        for number in range(6):
            row = full_key(home.sandbox)
            home.sandbox.faults.add("update", "latency", value="0.1", times=2)
            async with anyio.create_task_group() as group:
                group.start_soon(one.call_tool, "update_api_key", {"id": row.id, "status": "disabled"})
                group.start_soon(other.call_tool, "update_api_key", {"id": row.id, "name": f"n{number}"})
            assert (row.status, row.name) == (Status.DISABLED, f"n{number}")


# A change that was left open.


async def test_an_open_change_is_settled_by_the_next_one_before_anything_else_is_written(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    with monkeypatch.context() as patch:
        spend_before_writes(patch, home.sandbox, row, 4 * DOLLAR)
        home.sandbox.faults.add("get", "status", after=1, times=100)
        async with served(home) as client:
            said = error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    assert said.startswith("[update_outcome_unknown] ")
    assert row.remain_quota + row.used_quota == 14 * DOLLAR, "what was spent meanwhile was given back"
    home.sandbox.faults.clear()
    async with served(home) as client:
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "again"}))
    assert row.remain_quota + row.used_quota == 10 * DOLLAR
    assert "was left open: its budget was $4.00 too high, and was corrected" in " ".join(told["warnings"])


async def test_what_somebody_else_wrote_since_an_open_change_is_not_undone(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    home.sandbox.faults.add("get", "status", after=1, times=100)
    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        home.sandbox.faults.clear()
        row.remain_quota = 50 * DOLLAR  # in the console
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "again"}))
    assert row.remain_quota == 50 * DOLLAR
    assert "changed by somebody else since its last change here" in " ".join(told["warnings"])


async def test_an_open_change_of_a_key_whose_id_was_given_once_more_concerns_nobody(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    home.sandbox.faults.add("get", "status", after=1, times=100)
    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    home.sandbox.faults.clear()
    row.created_time += 100
    row.remain_quota = 5
    services = serve(home)
    done, _ = await changed(services, row, deadline, name="another")
    assert (row.name, row.remain_quota) == ("another", 5)
    assert done.warnings == []
    assert [one.state for one in (await journal_of(services, row.id)).operations] == [State.SETTLED, State.SETTLED]


async def test_errors_of_many_changes_do_not_add_up(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home()
    row = full_key(home.sandbox, remain_quota=10 * DOLLAR)
    spend_before_writes(monkeypatch, home.sandbox, row, *[1_000] * 60)  # faster than it can be corrected
    async with served(home) as client:
        for number in range(12):
            data_of(await client.call_tool("update_api_key", {"id": row.id, "name": f"n{number}"}))
    assert abs(row.remain_quota + row.used_quota - 10 * DOLLAR) <= 1_000


async def test_units_that_a_call_gives_back_while_a_key_is_changed_are_not_lost(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reservation that is released between reading and writing: `used_quota` falls, only the sum is constant."""
    home = make_home()
    row = full_key(home.sandbox, remain_quota=9 * DOLLAR, used_quota=DOLLAR)
    spend_before_writes(monkeypatch, home.sandbox, row, -3_000)
    async with served(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
    assert row.remain_quota + row.used_quota == 11 * DOLLAR


# Fields that this program does not know.


async def test_unknown_fields_are_sent_back_and_named_where_they_are_not_kept(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox)
    sent: list[Any] = []
    update, record = CometAPI.update_token, home.sandbox.account.record
    kept: dict[str, Any] = {"max_price": "0.02", "regions": ["eu"]}
    monkeypatch.setattr(home.sandbox.account, "record", lambda row: record(row) | kept)

    async def watched(self: CometAPI, key: Key, **named: Any) -> None:
        sent.append(key.extra)
        await update(self, key, **named)
        if len(sent) == 2:
            kept["max_price"] = None

    monkeypatch.setattr(CometAPI, "update_token", watched)
    async with served(home) as client:
        fine = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "one"}))
        lost = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "two"}))
    assert all(extra.items() >= {"max_price": "0.02", "regions": ["eu"]}.items() for extra in sent)
    assert "max_price" not in str(fine.get("warnings"))
    assert "The API did not keep max_price of the key as it was" in " ".join(lost["warnings"])
