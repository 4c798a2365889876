from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client

from comet_mcp.clock import SYSTEM
from comet_mcp.errors import StoreError
from comet_mcp.sandbox import Key, Sandbox
from comet_mcp.secret_store.files import FileStore
from comet_mcp.server import create_server
from tests.e2e.life import (
    FULL,
    LATER,
    after_each_write,
    before_each_write,
    body_of,
    connected,
    full_key,
    row_of,
    spend,
    spend_before_writes,
)
from tests.e2e.steps import let_pass, operations, until
from tests.support import Home, data_of, error_of

pytestmark = pytest.mark.fast_time

PAST = 1_600_000_000
DAY = 86_400
ENDINGS = [("grace", "update"), ("disable", "update"), ("delete", "delete")]
"""How an old key may end, and the call of the API that ends it so."""


def newest(sandbox: Sandbox) -> Key:
    return max(sandbox.keys, key=lambda row: row.id)


def stored_value(home: Home, key_id: int) -> str:
    (path,) = home.key_dir.rglob(f"*-{key_id}.env")
    return path.read_text(encoding="utf-8").rpartition("=")[2].strip()


@pytest.mark.parametrize("old_key", ["grace", "disable", "delete"])
async def test_the_new_key_has_the_same_scope_and_the_old_one_ends_as_asked(old_key: str, home: Home) -> None:
    old = full_key(home.sandbox)
    started = int(SYSTEM.of_machine())
    async with connected(home) as client:
        answer = data_of(
            await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key, "grace": "3 days"})
        )
    new = newest(home.sandbox)
    assert (new.id, new.status, body_of(new)) == (answer["new_key"]["id"], 1, FULL)
    assert stored_value(home, new.id) == f"sk-{new.key}"
    if old_key == "delete":
        assert home.sandbox.keys == [new]
        assert answer["old_key"] == {"id": old.id, "state": "deleted", "spent": "$0.00", "last_used": "never"}
    elif old_key == "disable":
        assert (old.status, body_of(old)) == (2, FULL)
        assert answer["old_key"]["state"] == "disabled"
    else:
        assert old.status == 1
        assert started + 3 * DAY <= old.expired_time <= int(SYSTEM.of_machine()) + 3 * DAY
        assert body_of(old) == {**FULL, "expired_time": old.expired_time}
    assert len(answer["steps"]) == 2
    assert (str(new.id) in answer["steps"][0], str(old.id) in answer["steps"][1]) == (True, True)


async def test_without_a_word_the_old_key_works_for_a_day_more(home: Home) -> None:
    old = full_key(home.sandbox, expired_time=-1)
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert DAY - 60 < old.expired_time - SYSTEM.of_machine() <= DAY
    assert newest(home.sandbox).expired_time == -1


async def test_a_grace_period_never_lengthens_the_old_keys_life(home: Home) -> None:
    ends = int(SYSTEM.of_machine()) + 600
    old = full_key(home.sandbox, expired_time=ends)
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "grace": "1 week"}))
    assert old.expired_time == ends


@pytest.mark.parametrize("old_key", ["grace", "disable", "delete"])
async def test_the_new_value_is_stored_before_the_old_key_is_touched(
    old_key: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = full_key(home.sandbox)
    stored: list[int] = []
    delete = home.sandbox.account.delete
    before_each_write(monkeypatch, home.sandbox, lambda: stored.append(len(home.key_files)))

    def late(key_id: int) -> None:
        stored.append(len(home.key_files))
        delete(key_id)

    monkeypatch.setattr(home.sandbox.account, "delete", late)
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
    assert stored == [1]


async def test_what_both_keys_may_spend_together_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    old = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, old, 500_000)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert old.remain_quota == 2_000_000
    assert "the old one may still spend $4.00, both together $9.00" in " ".join(answer["warnings"])


async def test_two_keys_without_a_budget_are_said_to_have_none(home: Home) -> None:
    old = full_key(home.sandbox, unlimited_quota=True)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert "both keys work, without a budget" in " ".join(answer["warnings"])


async def test_a_disabled_key_is_not_said_to_work_during_its_grace(home: Home) -> None:
    old = full_key(home.sandbox, status=2)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert "both keys work" not in " ".join(answer.get("warnings", []))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"expired_time": PAST}, "expired at 2020-09-13"),
        ({"remain_quota": 0}, "nothing left to spend"),
        ({"remain_quota": -5}, "nothing left to spend"),
    ],
)
async def test_a_key_that_has_ended_is_not_rotated(fields: dict[str, Any], said: str, home: Home) -> None:
    old = full_key(home.sandbox, **fields)
    async with connected(home) as client:
        text = error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert said in text
    assert "update_api_key" in text
    assert home.sandbox.keys == [old]


@pytest.mark.parametrize("grace", ["", "never", "0h", "soon", "2027-01-01", "-3 days"])
async def test_a_grace_that_is_no_span_of_time_is_refused_before_anything_is_sent(grace: str, home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        assert "24h" in error_of(await client.call_tool("rotate_api_key", {"id": old.id, "grace": grace}))
    assert home.sandbox.requests == []


async def test_a_missing_key_cannot_be_rotated(home: Home) -> None:
    async with connected(home) as client:
        assert "[key_not_found]" in error_of(await client.call_tool("rotate_api_key", {"id": 99}))
    assert home.sandbox.keys == []


@pytest.mark.parametrize("fault", ["reset_after", "status_after", "garbage"])
async def test_a_lost_create_answer_still_gives_one_new_key(fault: str, home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", fault)
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    assert [row.status for row in home.sandbox.keys] == [2, 1]


async def test_after_a_create_that_is_unclear_the_next_call_goes_on_with_that_key(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "status", times=100, after=1, value=503)
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
        assert "[create_outcome_unknown]" in said
        assert old.status == 1
    home.sandbox.faults.clear()
    async with connected(home, COMETAPI_MCP_TIMEOUT="15") as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    assert len(home.sandbox.keys) == 2
    assert (old.status, answer["new_key"]["id"]) == (2, newest(home.sandbox).id)
    assert "Went on with the rotation begun at" in answer["steps"][0]


async def test_after_a_create_that_was_accepted_but_not_listed_the_next_call_makes_no_third_key(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "late", value=30)
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
        assert "[created_id_unknown]" in said
        newest(home.sandbox).listed_from = 0.0  # the API lists it now
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    assert len(home.sandbox.keys) == 2


async def test_a_refused_create_leaves_the_old_key_alone_and_the_next_call_begins_anew(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "refused", value="no")
    async with connected(home) as client:
        error_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
        assert (home.sandbox.keys, body_of(old)) == ([old], FULL)
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    assert (len(home.sandbox.keys), old.status) == (2, 2)
    assert "Went on" not in " ".join(answer["steps"])


async def test_a_store_that_fails_after_the_create_leaves_the_old_key_working_and_the_next_call_finishes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = full_key(home.sandbox)

    def fails(*_: object) -> None:
        raise StoreError("The disk is full.")

    async with connected(home) as client:
        with monkeypatch.context() as patch:
            patch.setattr(FileStore, "save", fails)
            answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
        new = newest(home.sandbox)
        assert home.sandbox.keys == [old, new]
        assert "secret" not in answer["new_key"]
        assert "was left as it is" in " ".join(answer["warnings"])
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
    assert home.sandbox.keys == [new]
    assert stored_value(home, new.id) == f"sk-{new.key}"
    assert answer["new_key"]["id"] == new.id


async def test_a_store_that_cannot_be_written_is_found_before_a_key_is_made(home: Home) -> None:
    old = full_key(home.sandbox)
    home.key_dir.write_text("in the way", encoding="utf-8")
    async with connected(home) as client:
        assert "[key_store_unavailable]" in error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
        assert home.sandbox.keys == [old]
        home.key_dir.unlink()
        data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert len(home.sandbox.keys) == 2


@pytest.mark.parametrize(("old_key", "call"), ENDINGS)
async def test_an_old_key_that_cannot_be_ended_is_told_and_the_next_call_ends_it_as_it_says_itself(
    old_key: str, call: str, home: Home
) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add(call, "reset_before")
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
        assert "Call rotate_api_key again" in " ".join(answer["warnings"])
        assert (body_of(old), old.status) == (FULL, 1)
        # a key that was thought harmless has leaked meanwhile, or the other way round
        other = "disable" if old_key != "disable" else "grace"
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": other}))
    assert again["new_key"]["id"] == answer["new_key"]["id"]
    assert f'with old_key "{old_key}"; what is asked now holds' in again["steps"][0]
    assert len(home.sandbox.keys) == 2
    assert old.status == (2 if other == "disable" else 1)
    assert (old.expired_time < LATER) is (other == "grace")


@pytest.mark.parametrize(("old_key", "call"), ENDINGS)
async def test_a_lost_answer_to_the_old_keys_end_is_judged_by_what_is_there(
    old_key: str, call: str, home: Home
) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add(call, "reset_after")
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
    assert "could not be ended" not in " ".join(answer.get("warnings", []))
    assert len(answer["steps"]) == 2


async def test_a_new_key_that_somebody_deleted_before_the_end_is_made_again(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("update", "reset_before")
    async with connected(home) as client:
        first = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))["new_key"]
        home.sandbox.account.delete(first["id"])
        second = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))["new_key"]
    assert second["id"] != first["id"]
    assert (old.status, row_of(home.sandbox, second["id"]).status) == (2, 1)


async def test_a_change_of_the_old_key_while_the_new_one_was_made_is_not_undone(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = full_key(home.sandbox)
    create = home.sandbox.account.create

    def meanwhile(sent: dict[str, Any], *, listed_in: float = 0.0) -> Key:
        old.allow_ips = "203.0.113.9"
        return create(sent, listed_in=listed_in)

    monkeypatch.setattr(home.sandbox.account, "create", meanwhile)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert old.allow_ips == "203.0.113.9" or "allow_ips" in " ".join(answer["warnings"])


async def test_an_equal_key_made_at_the_same_time_is_not_taken_for_the_new_one(home: Home) -> None:
    old = full_key(home.sandbox)
    body = {**FULL}
    async with connected(home) as client:
        made = data_of(await client.call_tool("create_api_key", body))
        new = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))["new_key"]
    assert made["id"] != new["id"]
    assert sorted(row.id for row in home.sandbox.keys) == sorted([made["id"], new["id"]])


async def test_an_equal_create_that_is_unclear_keeps_its_key_when_another_is_rotated(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "status", times=100, after=1, value=503)
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        assert "[create_outcome_unknown]" in error_of(await client.call_tool("create_api_key", FULL))
    home.sandbox.faults.clear()
    async with connected(home, COMETAPI_MCP_TIMEOUT="15") as client:
        new = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))["new_key"]
        assert len(home.sandbox.keys) == 3
        notes = data_of(await client.call_tool("list_api_keys", {}))["notes"]
    (lost,) = [row.id for row in home.sandbox.keys if row.id not in (old.id, new["id"])]
    assert f"Key {lost} " in " ".join(notes)


async def test_a_rotation_asked_for_again_while_it_is_under_way_makes_no_third_key(home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        await _twice_at_once(home, client, client, old.id)
    assert len(home.sandbox.keys) == 2


async def test_two_rotations_of_one_key_at_once_through_two_servers_make_one_new_key(home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as one, Client(create_server(home.settings)) as two:
        await _twice_at_once(home, one, two, old.id)
    assert len(home.sandbox.keys) == 2


async def _twice_at_once(home: Home, one: Client, two: Client, key_id: int) -> None:
    """The second call comes while the API is still busy with the first one's create."""
    arguments = {"id": key_id, "old_key": "disable"}
    home.sandbox.faults.add("create", "latency", value=1)

    async def rotate(client: Client) -> None:
        await client.call_tool("rotate_api_key", arguments)

    async with anyio.create_task_group() as group:
        group.start_soon(rotate, one)
        await until(lambda: home.sandbox.count("create"))
        group.start_soon(rotate, two)


async def test_a_key_of_a_release_that_shows_values_in_records_is_rotated_without_a_reveal_call(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(dialect="gateway-2026-03")
    old = full_key(home.sandbox)
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    new = newest(home.sandbox)
    assert (old.status, stored_value(home, new.id)) == (2, f"sk-{new.key}")
    assert home.sandbox.count("reveal") == 0


async def test_a_rotation_asked_for_again_makes_no_key_and_changes_nothing(home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        first = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
        ends = old.expired_time
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert (len(home.sandbox.keys), old.expired_time) == (2, ends)
    assert again["new_key"]["id"] == first["new_key"]["id"]
    assert again["new_key"]["secret"] == first["new_key"]["secret"]
    assert len(again["steps"]) == 1
    assert "no other was made" in again["steps"][0]


@pytest.mark.parametrize("sooner", [{"old_key": "disable"}, {"old_key": "delete"}, {"grace": "10 minutes"}])
async def test_an_old_key_in_its_grace_ends_at_once_where_that_is_asked_for(sooner: dict[str, str], home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        first = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id, **sooner}))
    assert again["new_key"]["id"] == first["new_key"]["id"]
    if sooner == {"old_key": "delete"}:
        assert [row.id for row in home.sandbox.keys] == [first["new_key"]["id"]]
    elif sooner == {"old_key": "disable"}:
        assert (old.status, again["old_key"]["state"]) == (2, "disabled")
    else:
        assert old.expired_time <= SYSTEM.of_machine() + 600
    assert len(again["steps"]) == 2


async def test_a_rotation_whose_old_key_is_deleted_is_answered_once_more(home: Home) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        first = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
        data_of(await client.call_tool("delete_api_key", {"id": first["new_key"]["id"]}))
        assert "[key_not_found]" in error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert again["new_key"]["id"] == first["new_key"]["id"]
    assert again["old_key"] == {"id": old.id, "state": "deleted"}
    assert home.sandbox.count("create") == 1


async def test_a_rotation_that_made_nothing_long_ago_is_begun_anew_with_the_scope_of_today(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "reset_before")
    home.sandbox.faults.add("list", "status", times=100, after=1, value=503)
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
        assert "[create_outcome_unknown]" in said
    home.sandbox.faults.clear()
    let_pass(home, 120)
    async with connected(home, COMETAPI_MCP_TIMEOUT="15") as client:
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "made no key" in note
        data_of(await client.call_tool("update_api_key", {"id": old.id, "allow_ips": "203.0.113.9"}))
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "grace": "7 days"}))
    assert old.status == 1
    assert old.expired_time > SYSTEM.of_machine() + 6 * DAY
    assert newest(home.sandbox).allow_ips == "203.0.113.9"
    assert "Went on" not in " ".join(answer["steps"])


@pytest.mark.parametrize(("old_key", "call"), [("disable", "update"), ("delete", "delete")])
async def test_an_old_key_whose_end_nobody_knows_is_not_said_to_work(old_key: str, call: str, home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add(call, "reset_after")
    home.sandbox.faults.add("get", "status", times=100, after=2 if call == "update" else 1, value=503)
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
        home.sandbox.faults.clear()
        assert answer["old_key"]["state"] == "not known"
        assert "Both keys work" not in " ".join(answer["warnings"])
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
    assert again["new_key"]["id"] == answer["new_key"]["id"]
    assert again["old_key"]["state"] == f"{old_key}d"


async def test_after_an_equal_key_of_somebody_else_the_next_step_makes_no_third_one(home: Home) -> None:
    old = full_key(home.sandbox)
    home.sandbox.faults.add("create", "duplicate")
    async with connected(home) as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert said.startswith("[create_ambiguous]")
    assert "store its value with save_api_key" in said
    assert "goes on with that key" not in said


async def test_asking_once_more_stores_no_value_that_the_policy_or_a_person_keeps_back(home: Home) -> None:
    old = full_key(home.sandbox, name="agent-blog")
    async with connected(home) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    newest(home.sandbox).name = "production"
    for path in home.key_files:
        path.unlink()
    own = {"COMETAPI_MCP_POLICY_NAME_PREFIX": "agent-", "COMETAPI_MCP_POLICY_ONLY_OWN_PREFIX": "1"}
    async with connected(home, **own) as client:
        assert "only_own_prefix" in error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    for name in own:
        del home.extra[name]
    async with connected(home, COMETAPI_MCP_CONFIRM="destructive") as client:
        assert "[confirmation_needed]" in error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
    assert home.key_files == []


async def half_rotated(client: Client, key_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation that made its key and could not store its value."""

    def fails(*_: object) -> None:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "save", fails)
        data_of(await client.call_tool("rotate_api_key", {"id": key_id, "old_key": "delete"}))


async def test_a_rotation_of_another_key_that_had_the_id_before_is_not_gone_on_with(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(home) as client:
        await half_rotated(client, full_key(home.sandbox).id, monkeypatch)
        home.sandbox.account.begin_anew()
        later = int(home.sandbox.clock()) + 60
        old, other = (full_key(home.sandbox, name=name, created_time=later) for name in ("new life", "another's"))
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
    new = newest(home.sandbox)
    assert (other.id, new.id, new.name, answer["new_key"]["id"]) == (2, 3, "new life", 3)
    assert home.sandbox.keys == [other, new]
    assert [state for state, _ in operations(home)] == ["released", "retired"]


async def test_a_new_key_whose_id_is_another_keys_by_now_is_made_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        await half_rotated(client, old.id, monkeypatch)
        other = newest(home.sandbox)
        other.created_time, other.name = other.created_time + 3600, "another's"
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
    assert answer["new_key"]["id"] == newest(home.sandbox).id == 3
    assert not list(home.key_dir.rglob("*-2.env"))


@pytest.mark.parametrize("end", ["disable", "delete"])
async def test_what_the_old_key_spends_until_a_rotation_is_gone_on_with_comes_off_the_new_one(
    end: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = full_key(home.sandbox)
    async with connected(home) as client:
        await half_rotated(client, old.id, monkeypatch)
        spend(old, 700_000)
        data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": end}))
    new = newest(home.sandbox)
    assert new.remain_quota == FULL["remain_quota"] - 700_000
    assert new.remain_quota + old.used_quota == FULL["remain_quota"]


async def test_a_key_that_took_an_ids_place_during_a_change_is_not_corrected(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)

    def another() -> None:
        row.created_time += 3600
        row.remain_quota -= 1_000

    after_each_write(monkeypatch, home.sandbox, another)
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"})
    assert "another key's now" in error_of(result)
    assert home.sandbox.count("update") == 1


async def test_the_value_of_an_old_key_that_is_found_gone_goes_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    create = home.sandbox.account.create

    def instead(*sent: Any, **options: Any) -> Key:
        home.sandbox.keys.clear()  # by somebody else, at the worst moment
        return create(*sent, **options)

    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        with monkeypatch.context() as patch:
            patch.setattr(home.sandbox.account, "create", instead)
            answer = data_of(await client.call_tool("rotate_api_key", {"id": 1}))
        assert answer["steps"][-1].startswith("Key 1 is gone. Its value was removed from ")
        data_of(await client.call_tool("rotate_api_key", {"id": 2}))
        home.sandbox.keys.remove(row_of(home.sandbox, 2))
        answer = data_of(await client.call_tool("rotate_api_key", {"id": 2}))
        assert answer["steps"][-1].startswith("Key 2 is gone. Its value was removed from ")
    assert [path.stem for path in home.key_files] == ["blog-3"]


@pytest.mark.parametrize("old_key", ["grace", "disable", "delete"])
async def test_what_the_old_key_has_spent_and_when_it_was_used_last_is_told(old_key: str, home: Home) -> None:
    old = full_key(home.sandbox, used_quota=250_000, created_time=1_790_000_000, accessed_time=1_790_000_060)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
    assert answer["old_key"]["spent"] == "$0.50"
    assert answer["old_key"]["last_used"] == "2026-09-21T14:14:20Z"


@pytest.mark.parametrize(("expired_time", "warned"), [(-1, True), (1_900_000_000, False)])
async def test_a_new_key_that_never_ends_is_warned_about(expired_time: int, warned: bool, home: Home) -> None:
    old = full_key(home.sandbox, expired_time=expired_time)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
    assert ("The new key never ends." in " ".join(answer.get("warnings", []))) == warned
