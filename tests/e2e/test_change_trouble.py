"""Changes of which a part is lost: the answer never says that nothing was changed where something may have been."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from comet_mcp.sandbox import Key, front, wire_faults
from tests.e2e.life import (
    CHANGES,
    FULL,
    LATER,
    before_each_write,
    before_read,
    body_of,
    connected,
    full_key,
    row_of,
    spend,
    spend_before_writes,
)
from tests.e2e.steps import LONG, code_of, let_pass, until
from tests.support import Home, data_of, error_of, text_of

pytestmark = pytest.mark.fast_time

RETRY_SAFE = ("Try again", "othing was sent", "othing was changed", "othing was read", "was not made")


def claims_it_is_safe(text: str) -> list[str]:
    """What in a message would make an agent repeat the change."""
    return [words for words in RETRY_SAFE if words in text]


async def test_a_slow_top_up_is_not_said_to_be_lost_while_the_api_may_still_make_it(home: Home) -> None:
    row = full_key(home.sandbox, remain_quota=500_000)
    home.sandbox.faults.add("update", "latency", value="1.5")
    async with connected(home, COMETAPI_MCP_TIMEOUT="3") as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 5}))
        assert row.remain_quota == 500_000
        await until(lambda: row.remain_quota == 3_000_000)  # it was made after we had answered
    assert said.startswith("[update_outcome_unknown] ")
    assert f"Call get_api_key with id {row.id} in a minute before you repeat it" in said
    assert not claims_it_is_safe(said)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", ["reset_before", "status", "html"])
async def test_a_change_without_an_answer_is_unknown_however_the_key_looks(
    fault: str, change: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", fault)
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, **change})
    assert code_of(result) == "update_outcome_unknown"
    assert not claims_it_is_safe(text_of(result))


@pytest.mark.parametrize("change", CHANGES)
async def test_a_refused_change_can_be_repeated_and_says_so(change: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "refused", value="no")
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, **change})
        assert code_of(result) == "refused"
        assert "Nothing was changed" in text_of(result)
        assert (body_of(row), row.status) == (FULL, 1)
        data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))


async def test_a_lost_top_up_is_unknown_also_where_somebody_else_renamed_the_key_meanwhile(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "reset_before")
    before_read(monkeypatch, home.sandbox, 2, lambda: setattr(row, "name", "theirs"))
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1})
    assert code_of(result) == "update_outcome_unknown"


@pytest.mark.parametrize("change", [{"add_budget_usd": 1}, {"name": "renamed", "status": "disabled"}])
@pytest.mark.parametrize("fault", ["reset_before", "status", "rate_limit", "refused"])
async def test_a_correction_that_fails_is_told_as_a_change_that_was_made_and_the_next_change_makes_it_good(
    fault: str, change: dict[str, Any], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, row, 100_000)
    home.sandbox.faults.add("update", fault, after=1)
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
        assert said.startswith("[update_not_corrected] ")
        assert f"The change of key {row.id} was made: do not send it again" in said
        assert "its budget is $0.20 too high" in said
        assert f"get_api_key with id {row.id}" in said
        assert not claims_it_is_safe(said)
        assert ("The status was not sent" in said) is ("status" in change)
        assert row.status == 1
        total = FULL["remain_quota"] + (500_000 if "add_budget_usd" in change else 0)
        assert row.remain_quota + row.used_quota == total + 100_000
        again = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    assert row.remain_quota + row.used_quota == total
    assert "its budget was $0.20 too high, and was corrected" in " ".join(again["warnings"])


async def test_a_key_that_spends_faster_than_it_can_be_corrected_is_told_with_what_calls_moved(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    before_each_write(monkeypatch, home.sandbox, lambda: spend(row, 1_000))
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    over = row.remain_quota + row.used_quota - FULL["remain_quota"]
    assert over == 1_000
    assert "moved $0.002, by which its budget is too high" in " ".join(answer["warnings"])


@pytest.mark.parametrize("first_lost_read", [2, 3])
async def test_a_change_that_cannot_be_read_back_is_unknown_in_each_of_its_two_writes(
    first_lost_read: int, home: Home
) -> None:
    row = full_key(home.sandbox, status=2)
    home.sandbox.faults.add("get", "reset_before", times=100, after=first_lost_read - 1)
    change = {"id": row.id, "add_budget_usd": 1, "status": "enabled"}
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", change))
    assert said.startswith("[update_outcome_unknown] ")
    assert not claims_it_is_safe(said)
    assert row.remain_quota == FULL["remain_quota"] + 500_000
    told = "The status was not sent" if first_lost_read == 2 else "The other fields were written before"
    assert told in said
    assert row.status == (2 if first_lost_read == 2 else 1)


async def test_a_status_that_is_refused_and_then_cannot_be_read_is_unknown(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "refused", value="no")
    home.sandbox.faults.add("get", "status", times=100, after=1)
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"})
    assert code_of(result) == "update_outcome_unknown"


async def test_a_lost_status_after_written_fields_says_that_these_must_not_be_sent_again(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "reset_before", after=1)
    change = {"id": row.id, "add_budget_usd": 1, "status": "disabled"}
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", change))
    assert said.startswith("[update_outcome_unknown] ")
    assert "The other fields were written before: do not send them again" in said
    assert (row.remain_quota, row.status) == (FULL["remain_quota"] + 500_000, 1)


async def test_a_delete_whose_answer_and_whose_check_are_lost_is_not_called_a_read(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", "reset_after")
    home.sandbox.faults.add("get", "reset_before", times=100, after=1)
    async with connected(home) as client:
        said = error_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert home.sandbox.keys == []
    assert "may have been carried out" in said
    assert not claims_it_is_safe(said)


async def test_a_change_is_not_sent_where_too_little_time_is_left_to_see_what_comes_of_it(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("get", "latency", value="5.5")
    home.sandbox.faults.add("update", "latency", value="0.1")
    async with connected(home, COMETAPI_MCP_TIMEOUT="8") as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 5}))
        assert said.startswith("[timed_out] ")
        assert "Nothing was sent. Try again" in said
        await anyio.sleep(0.3)
        assert (home.sandbox.count("update"), body_of(row)) == (0, FULL)


async def test_a_delete_that_the_api_never_answers_ends_in_time(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", "hang")
    home.sandbox.faults.add("get", "hang", after=1)
    async with connected(home, COMETAPI_MCP_TIMEOUT="3") as client:
        with anyio.fail_after(LONG):  # the API would answer after a minute
            said = error_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert "may have been carried out" in said


async def test_the_catalog_does_not_stand_between_the_read_and_the_write(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("catalog", "latency", value="0")
    written = threading.Event()
    before_each_write(monkeypatch, home.sandbox, written.set)

    async def once_it_was_written(_: wire_faults.Exchange) -> bool:
        await until(written.is_set)
        return False

    monkeypatch.setattr(front, "before", once_it_was_written)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-4.1-mni"}))
    assert 'no model "gpt-4.1-mni"' in " ".join(answer["warnings"])  # else it was given up before


async def test_a_catalog_that_never_answers_does_not_hide_a_change_that_was_made(home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("catalog", "hang", times=100)
    async with connected(home, COMETAPI_MCP_TIMEOUT="3") as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-4o"}))
    assert answer["models"] == row.model_limits == "gpt-4o"
    # the call may end its wait, or the API's answer be given up, whichever is first
    assert all("could not be checked" in warning for warning in answer.get("warnings", []))


@pytest.mark.parametrize(
    "lost",
    [{"name": "renamed"}, {"add_budget_usd": 1}],
    ids=["a name that does not show", "a budget that does not show"],
)
async def test_a_change_after_one_that_may_still_arrive_says_so(lost: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "hang")
    async with connected(home, COMETAPI_MCP_TIMEOUT="6") as client:
        assert code_of(await client.call_tool("update_api_key", {"id": row.id, **lost})) == "update_outcome_unknown"
        home.sandbox.faults.clear()
        changed = data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
        assert "may still be carried out and undo this one" in " ".join(changed["warnings"])
        again = data_of(await client.call_tool("update_api_key", {"id": row.id, "group": "vip"}))
        assert "may still be carried out and undo this one" in " ".join(again["warnings"])
        let_pass(home, 901)
        again = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "later"}))
        assert "still be carried out" not in " ".join(again.get("warnings", []))


def rename(row: Key) -> dict[str, Any]:
    """The body of a full write that renames a key as it is now."""
    return {"id": row.id, "status": row.status, **body_of(row), "name": "renamed"}


@pytest.mark.parametrize(
    "later",
    [{"remain_quota": 1_000_000}, {"status": "disabled"}, {"name": "later"}, {"expired_time": LATER + 1}],
    ids=lambda later: next(iter(later)),
)
async def test_what_a_lost_change_undoes_when_it_comes_late_is_made_again_by_the_next_one(
    later: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    home.sandbox.faults.add("update", "reset_before")
    lost = rename(row)
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        data_of(await client.call_tool("update_api_key", {"id": row.id, **later}))
        meant, status, total = body_of(row), row.status, row.remain_quota + row.used_quota
        spend(row, 300_000)
        home.sandbox.account.update(lost, status_only=False)
        assert (body_of(row), row.status, row.remain_quota) != (meant, status, total - 300_000)
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-5"}))
        assert "was carried out late and undid later ones" in " ".join(told["warnings"])
        again = data_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-4o"}))
        assert "late" not in " ".join(again.get("warnings", []))
    assert row.remain_quota + row.used_quota == total
    assert (body_of(row) | {"remain_quota": meant["remain_quota"]}, row.status) == (
        meant | {"model_limits": "gpt-4o"},
        status,
    )


async def test_a_rotation_gives_the_new_key_nothing_that_a_lost_change_has_brought_back(home: Home) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    home.sandbox.faults.add("update", "reset_before")
    lost = rename(row)
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        narrow = {"model_limits": "gpt-4o", "remain_quota": 1_000_000}
        data_of(await client.call_tool("update_api_key", {"id": row.id, **narrow}))
        spend(row, 300_000)
        home.sandbox.account.update(lost, status_only=False)
        told = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": "disable"}))
    new = row_of(home.sandbox, told["new_key"]["id"])
    assert (new.name, new.model_limits, new.remain_quota) == ("blog", "gpt-4o", 700_000)
    assert (row.model_limits, row.status, row.remain_quota) == ("gpt-4o", 2, 700_000)
    assert "was carried out late and undid later ones" in " ".join(told["warnings"])


async def test_a_rotation_that_is_refused_tells_what_it_has_made_again_before(home: Home) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    home.sandbox.faults.add("update", "reset_before")
    lost = rename(row)
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "later"}))
        home.sandbox.account.update(lost, status_only=False)
        home.sandbox.faults.add("create", "refused", value="no")
        said = error_of(await client.call_tool("rotate_api_key", {"id": row.id}))
    assert "This call did something before that" in said
    assert "was carried out late and undid later ones" in said
    assert [key.name for key in home.sandbox.keys] == ["later"]


async def test_a_lost_change_that_comes_late_and_has_undone_nothing_is_as_it_was_asked_for(home: Home) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    total = row.remain_quota
    home.sandbox.faults.add("update", "reset_before")
    lost = rename(row)
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        spend(row, 300_000)
        home.sandbox.account.update(lost, status_only=False)
        told = data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
    assert "its budget was $0.60 too high, and was corrected" in " ".join(told["warnings"])
    assert (row.name, row.status, row.remain_quota + row.used_quota) == ("renamed", 2, total)


async def test_what_a_person_changed_after_a_lost_change_is_not_taken_for_it(home: Home) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    home.sandbox.faults.add("update", "reset_before")
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": LATER + 1}))
        row.status, row.remain_quota, row.name = 2, 500_000, "theirs"  # in the console
        data_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": LATER + 2}))
    assert (row.status, row.remain_quota, row.name) == (2, 500_000, "theirs")
