"""The limit of calls that this server sets itself: a write is refused before it begins, or not at all."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp import Client

from comet_mcp.sandbox import Key
from tests.e2e.life import FULL, body_of, connected, full_key, row_of, spend, spend_before_writes
from tests.e2e.steps import code_of, operations
from tests.support import Home, data_of, text_of

LIMIT = 20
WRITES: dict[str, dict[str, Any]] = {
    "create_api_key": {"name": "new", "remain_quota": 5_000},
    "update_api_key": {"id": 1, "add_budget_usd": 1},
    "delete_api_key": {"id": 1},
    "rotate_api_key": {"id": 1, "old_key": "delete"},
}


async def read(client: Client, times: int) -> None:
    for _ in range(times):
        data_of(await client.call_tool("get_api_key", {"id": 1}))


@pytest.mark.parametrize("tool", WRITES)
@pytest.mark.parametrize("used", [LIMIT - 2, LIMIT - 1])
async def test_a_write_that_the_limit_may_not_let_end_is_not_begun(used: int, tool: str, home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_CALLS=str(LIMIT)) as client:
        await read(client, used)
        result = await client.call_tool(tool, WRITES[tool])
    assert code_of(result) == "rate_limited"
    assert "Nothing was sent. Try again in" in text_of(result)
    assert (home.sandbox.keys, body_of(row), row.status) == ([row], FULL, 1)
    assert {request.call for request in home.sandbox.requests} <= {"get", "list", "account", "status"}
    assert operations(home) == []
    assert len(home.sandbox.requests) <= LIMIT


async def test_a_rotation_that_could_make_the_new_key_and_not_end_the_old_one_is_not_begun(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_CALLS=str(LIMIT)) as client:
        await read(client, 12)
        result = await client.call_tool("rotate_api_key", {"id": row.id})
    assert code_of(result) == "rate_limited"
    assert home.sandbox.keys == [row]


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"name": "renamed", "status": "disabled"}])
async def test_reads_beforehand_do_not_keep_a_change_from_being_corrected(
    change: dict[str, Any], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"COMETAPI_MCP_CALLS": str(LIMIT), "COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "5"}
    for reads in range(10, LIMIT):
        row = full_key(home.sandbox)
        extra["COMETAPI_MCP_STATE"] = str(
            home.directory / f"{reads}.sqlite3"
        )  # else what the last one took still counts
        with monkeypatch.context() as patch:
            spend_before_writes(patch, home.sandbox, row, row.remain_quota)  # all of it, at the worst moment
            async with connected(home, **extra) as client:
                await read(client, reads)
                await client.call_tool("update_api_key", {"id": row.id, **change})
        assert row.remain_quota + row.used_quota == FULL["remain_quota"], f"after {reads} reads"


async def test_a_change_that_was_begun_is_corrected_though_it_takes_more_calls_than_are_left(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, row, 3, 2, 1)
    async with connected(home, COMETAPI_MCP_CALLS=str(LIMIT)) as client:
        await read(client, LIMIT - 8)
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        assert len(home.sandbox.requests) > LIMIT
        assert code_of(await client.call_tool("get_api_key", {"id": row.id})) == "rate_limited"
    assert row.remain_quota + row.used_quota == FULL["remain_quota"]


async def test_changes_at_once_do_not_take_each_others_calls(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [full_key(home.sandbox) for _ in range(20)]

    update = home.sandbox.account.update

    def late(sent: dict[str, Any], *, status_only: bool) -> Key:
        row = row_of(home.sandbox, sent["id"])
        if row.used_quota < 3_000:  # each change has to be corrected as often as it can be
            spend(row, 1_000)
        return update(sent, status_only=status_only)

    monkeypatch.setattr(home.sandbox.account, "update", late)
    codes: list[str] = []
    async with connected(home, COMETAPI_MCP_CALLS="36") as client:

        async def change(key_id: int) -> None:
            codes.append(code_of(await client.call_tool("update_api_key", {"id": key_id, "name": "renamed"})))

        async with anyio.create_task_group() as group:
            for row in rows:
                group.start_soon(change, row.id)
    assert set(codes) == {"", "rate_limited"}
    assert codes.count("") == [row.name for row in rows].count("renamed")
    assert len(home.sandbox.requests) <= 36 + 10
    assert {row.remain_quota + row.used_quota for row in rows} == {FULL["remain_quota"]}


async def test_many_creates_at_once_share_what_the_limit_leaves(home: Home) -> None:
    async with connected(home, COMETAPI_MCP_CALLS="60", COMETAPI_MCP_SECRETS="none") as client:
        codes: list[str] = []

        async def create(number: int) -> None:
            arguments = {"name": f"key {number}", "remain_quota": 5_000}
            codes.append(code_of(await client.call_tool("create_api_key", arguments)))

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(create, number)
    assert (set(codes), len(home.sandbox.keys)) == ({""}, 40)


@pytest.mark.parametrize("calls", ["1", "2", "5"])
async def test_a_low_limit_makes_writes_rare_and_not_impossible(calls: str, home: Home) -> None:
    units = {"COMETAPI_MCP_UNITS_PER_USD": "500000"}  # else the one call would ask what a unit is worth
    async with connected(home, COMETAPI_MCP_CALLS=calls, **units) as client:
        codes = [
            code_of(await client.call_tool("create_api_key", {"name": f"n{number}", "remain_quota": 5_000}))
            for number in range(4)
        ]
    assert codes[0] == ""
    assert codes[-1] == "rate_limited"
    assert len(home.sandbox.keys) == codes.count("")
