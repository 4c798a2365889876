from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.e2e.life import FULL, LATER, body_of, connected, full_key
from tests.e2e.steps import until
from tests.support import Home, data_of, error_of


async def test_a_deleted_key_is_gone_and_its_body_makes_an_equal_one(home: Home) -> None:
    row, other = full_key(home.sandbox), full_key(home.sandbox, name="other")
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert home.sandbox.keys == [other]
        assert (answer["deleted"], answer["name"]) == (True, "blog")
        data_of(await client.call_tool("create_api_key", answer["recreate"]))
    assert body_of(home.sandbox.keys[-1]) == FULL


@pytest.mark.parametrize(
    "fields",
    [
        {"model_limits_enabled": False},
        {"remain_quota": -3},
        {"unlimited_quota": True},
    ],
)
async def test_the_body_of_an_odd_key_is_one_that_create_takes(fields: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, **fields)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        data_of(await client.call_tool("create_api_key", answer["recreate"]))
    assert "note" not in answer


@pytest.mark.parametrize("expired_time", [0, 1_600_000_000])
async def test_the_body_of_an_expired_key_is_taken_once_it_has_a_later_end_which_the_note_says(
    expired_time: int, home: Home
) -> None:
    row = full_key(home.sandbox, expired_time=expired_time)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert "later expired_time" in answer["note"]
        assert "is in the past" in error_of(await client.call_tool("create_api_key", answer["recreate"]))
        data_of(await client.call_tool("create_api_key", answer["recreate"] | {"expired_time": LATER}))


async def test_a_second_delete_says_that_the_key_is_gone_and_is_no_error(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        again = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert again == {
        "id": row.id,
        "deleted": False,
        "note": f"There is no key {row.id}: it is gone already, or never was.",
    }
    assert home.sandbox.count("delete") == 1


@pytest.mark.parametrize("fault", ["reset_after", "status_after", "garbage", "empty_after", "html_after", "truncated"])
async def test_a_delete_whose_answer_was_lost_is_judged_by_what_is_there(fault: str, home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", fault)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert (answer["deleted"], home.sandbox.keys) == (True, [])
    assert answer["recreate"]["name"] == "blog"
    assert home.sandbox.count("delete") == 1


@pytest.mark.parametrize("fault", ["reset_before", "status", "html", "refused", "rate_limit"])
async def test_a_delete_that_never_arrived_is_an_error_and_the_key_is_there(fault: str, home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", fault)
    async with connected(home) as client:
        error_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert home.sandbox.keys == [row]
        assert data_of(await client.call_tool("delete_api_key", {"id": row.id}))["deleted"]


async def test_a_key_that_somebody_else_deletes_at_the_same_moment_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    delete = home.sandbox.account.delete
    monkeypatch.setattr(home.sandbox.account, "delete", lambda key_id: (delete(key_id), delete(key_id)))
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert "Somebody else deleted it" in answer["note"]
    assert home.sandbox.keys == []


async def test_neither_the_value_nor_a_file_of_the_person_goes_with_the_key(home: Home) -> None:
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        secret = home.sandbox.keys[0].key
        result = await client.call_tool("delete_api_key", {"id": key["id"]})
    assert secret not in str(result.model_dump())


async def test_a_delete_that_is_given_up_still_removes_the_value(home: Home) -> None:
    async with home.client() as client:  # over stdio, for in one process a call can't be given up
        key = data_of(await client.call_tool("create_api_key", {"name": "x", "remain_quota": 5_000_000}))
        home.sandbox.faults.add("delete", "latency", value="0.6")
        with pytest.raises(MCPError):
            await client.call_tool("delete_api_key", {"id": key["id"]}, read_timeout_seconds=0.2)
        await until(lambda: not home.sandbox.keys)
        await until(lambda: not home.key_files)
