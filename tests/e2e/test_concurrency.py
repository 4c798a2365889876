"""Many creates at once, in one server and in several, and calls or servers that end in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from comet_mcp.domain.money import Units
from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import (
    blocking_until,
    code_of,
    kill_during_call,
    let_pass,
    lose_an_answer,
    operations,
    served,
    started,
    stored,
    until,
    untold,
    values,
)
from tests.support import Home, data_of, text_of

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "one of many", "remain_quota": 500_000, "cross_group_retry": True}
DEAD = 31
SETTLED = 61


async def _create_many(client: Client, times: int, results: list[CallToolResult]) -> None:
    async def create() -> None:
        results.append(await client.call_tool("create_api_key", BODY))

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(create)


@pytest.mark.long
async def test_two_hundred_equal_creates_at_once_get_two_hundred_keys(home: Home) -> None:
    results: list[CallToolResult] = []
    async with home.client() as client:
        await _create_many(client, 200, results)
    created = [data_of(result) for result in results]
    assert len({key["id"] for key in created}) == 200
    assert len({key["secret"]["path"] for key in created}) == 200
    assert (home.sandbox.count("create"), stored(home)) == (200, values(home))


@pytest.mark.long
async def test_two_hundred_creates_at_once_stay_within_the_rate_limits_of_the_api(make_home: MakeHome) -> None:
    home = make_home(Sandbox("gateway", rate_limits=True))
    results: list[CallToolResult] = []
    async with served(home) as client:
        await _create_many(client, 200, results)
    assert {code_of(result) for result in results} == {""}, sorted({text_of(result)[:80] for result in results})
    assert len(home.sandbox.requests) <= 360
    assert home.sandbox.count("reveal") + home.sandbox.count("reveal_batch") <= 20
    assert (home.sandbox.count("create"), stored(home)) == (200, values(home))


@pytest.mark.long
@pytest.mark.parametrize(("lost", "dialect"), [(0, "documented"), (3, "gateway")])
async def test_four_servers_that_share_a_journal_never_hand_out_one_key_twice(
    make_home: MakeHome, lost: int, dialect: str
) -> None:
    """With `lost` answers of the API lost on the way."""
    home = make_home(dialect=dialect)
    if lost:
        home.sandbox.faults.add("create", "reset_after", times=lost, after=20)
    results: list[CallToolResult] = []

    async def serve() -> None:
        async with home.client() as client:
            await _create_many(client, 25, results)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(serve)
    errors = [text_of(result) for result in results if result.is_error]
    assert len(errors) <= lost, errors
    assert {code_of(result) for result in results} <= {"", "create_outcome_unknown"}
    created = [data_of(result)["id"] for result in results if not result.is_error]
    assert len(created) == len(set(created))
    async with served(home) as client:
        data_of(await client.call_tool("list_api_keys"))
    assert (home.sandbox.count("create"), len(home.sandbox.keys)) == (100, 100)
    assert sorted(operations(home)) == [("stored", row.id) for row in home.sandbox.keys]
    assert stored(home) == values(home)


async def test_creates_of_two_bodies_at_once_are_never_mixed_up(home: Home) -> None:
    bodies = [{**BODY, "remain_quota": quota} for quota in (500_000, 500_001)]
    results: dict[int, dict[str, Any]] = {}

    async def create(client: Client, number: int) -> None:
        results[number] = data_of(await client.call_tool("create_api_key", bodies[number % 2]))

    async with served(home) as one, served(home) as other, anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(create, one if number % 3 else other, number)
    assert all(
        results[number]["budget"] == f"{Units().usd(bodies[number % 2]['remain_quota'])} left" for number in range(40)
    )
    assert len({key["id"] for key in results.values()}) == 40
    assert stored(home) == values(home)


async def test_answers_lost_all_at_once_are_each_made_good_with_a_key_of_its_own(home: Home) -> None:
    home.sandbox.faults.add("create", "reset_after", times=12)
    results: list[CallToolResult] = []
    async with served(home) as client:
        await _create_many(client, 12, results)
    assert len({data_of(result)["id"] for result in results}) == 12
    assert (home.sandbox.count("create"), stored(home)) == (12, values(home))


@pytest.mark.parametrize("calls", [("list",), ("reveal", "reveal_batch")])
async def test_creates_at_once_all_answer_in_time_where_a_call_they_share_hangs(
    make_home: MakeHome, calls: tuple[str, ...]
) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEOUT="2")
    home.sandbox.faults.add("create", "latency", value="0.3", times=8)
    results: list[CallToolResult] = []
    async with served(home) as client, anyio.create_task_group() as group:
        group.start_soon(_create_many, client, 8, results)
        await until(lambda: home.sandbox.count("create") == 8)
        for call in calls:
            home.sandbox.faults.add(call, "hang", times=1000)
        with anyio.fail_after(5):  # each may take 2
            await until(lambda: len(results) == 8)
    assert {code_of(result) for result in results} == {"created_id_unknown" if calls == ("list",) else ""}
    assert (home.sandbox.count("create"), len(home.sandbox.keys)) == (8, 8)


# Two servers look for the row of one create.


@pytest.mark.fast_time
async def test_a_create_that_another_server_has_settled_is_not_closed_by_a_late_look(make_home: MakeHome) -> None:
    home = make_home()
    await lose_an_answer(home, BODY)
    let_pass(home, SETTLED)
    home.sandbox.faults.add("list", "latency", value="0.5", times=2)
    notes: list[str] = []

    async def settle(client: Client) -> None:
        notes.extend(data_of(await client.call_tool("list_api_keys")).get("notes", []))

    async with served(home) as one, served(home) as other, anyio.create_task_group() as group:
        group.start_soon(settle, one)
        group.start_soon(settle, other)
    assert not [note for note in notes if "made no key" in note]
    assert operations(home) == [("stored", home.sandbox.keys[0].id)]
    assert stored(home) == values(home)


# Calls that nobody waits for any more.


async def _given_up(client: Client, seconds: float) -> None:
    try:
        result = await client.call_tool("create_api_key", BODY, read_timeout_seconds=seconds)
    except MCPError as error:
        assert "imed out" in str(error), error
    else:
        raise AssertionError(text_of(result))


async def _same_key_again(client: Client, home: Home) -> None:
    key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert any("earlier call" in warning for warning in key["warnings"])
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))
    # that was the answer to the first; one more is a new wish
    assert data_of(await client.call_tool("create_api_key", BODY))["id"] != key["id"]


@pytest.mark.long
@pytest.mark.parametrize(("mode", "dialect"), [("legacy", "documented"), ("auto", "gateway")])
async def test_a_call_that_the_client_gave_up_leaves_a_stored_key_which_the_repeated_call_returns(
    make_home: MakeHome, mode: str, dialect: str
) -> None:
    home = make_home(dialect=dialect)
    home.sandbox.faults.add("create", "latency", value="3")
    async with home.client(mode=mode) as client:
        await _given_up(client, 1.5)
        await until(lambda: untold(home))
        assert stored(home) == values(home)
        await _same_key_again(client, home)


@pytest.mark.long
async def test_a_call_repeated_while_the_given_up_one_is_still_under_way_makes_no_second_key(
    make_home: MakeHome,
) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("create", "latency", value="4")
    async with home.client() as client:
        await _given_up(client, 1.5)
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) in ("", "create_outcome_unknown")
        await until(lambda: home.key_files)
    assert (home.sandbox.count("create"), len(home.sandbox.keys)) == (1, 1)


@pytest.mark.fast_time
async def test_of_several_equal_creates_after_a_given_up_one_a_single_one_gets_its_key(home: Home) -> None:
    home.sandbox.faults.add("create", "latency", value="3")
    results: list[CallToolResult] = []
    async with served(home) as client:
        await _given_up(client, 1.5)
        await until(lambda: untold(home))
        await _create_many(client, 5, results)
    created = [data_of(result) for result in results]
    assert len({key["id"] for key in created}) == 5
    assert sum("earlier call" in str(key.get("warnings")) for key in created) == 1
    assert (home.sandbox.count("create"), stored(home)) == (5, values(home))


@pytest.mark.fast_time
async def test_of_several_equal_creates_after_a_lost_answer_a_single_one_gets_its_key(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    await lose_an_answer(home, BODY)
    results: list[CallToolResult] = []
    async with served(home) as one, served(home) as other, anyio.create_task_group() as group:
        group.start_soon(_create_many, one, 3, results)
        group.start_soon(_create_many, other, 3, results)
    created = [data_of(result)["id"] for result in results if not result.is_error]
    assert len(created) == len(set(created)) >= 1
    assert {code_of(result) for result in results} <= {"", "create_outcome_unknown"}
    assert home.sandbox.count("create") == len(home.sandbox.keys)
    assert stored(home) == values(home)


@pytest.mark.long
def test_a_client_that_closes_while_the_key_is_made_leaves_it_stored_for_the_next_one(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("create", "latency", value="0.5")
    with started(home.environment) as server:
        server.initialize()
        server.start_call("create_api_key", BODY)
        blocking_until(lambda: home.sandbox.count("create"))
        server.close()
        assert server.process.returncode == 0
    assert len(home.sandbox.keys) == 1
    assert stored(home) == values(home)
    with started(home.environment) as server:
        server.initialize()
        key = server.call("create_api_key", BODY)["structuredContent"]
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert home.sandbox.count("create") == 1


@pytest.mark.long
def test_a_client_that_closes_right_after_it_asked_leaves_a_stored_key_or_none(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    with started(home.environment) as server:
        server.initialize()
        server.start_call("create_api_key", BODY)
        server.close()
        assert server.process.returncode == 0
    assert home.sandbox.count("create") == len(home.sandbox.keys) <= 1
    assert stored(home) == values(home)


# Servers that are killed.


@pytest.mark.long
@pytest.mark.parametrize(("fault", "dialect"), [("hang_after", "gateway"), ("drip", "documented")])
def test_a_server_killed_before_it_read_the_answer_leaves_a_key_that_the_next_one_stores(
    make_home: MakeHome, fault: str, dialect: str
) -> None:
    home = make_home(dialect=dialect)
    home.sandbox.faults.add("create", fault)
    kill_during_call(home, "create_api_key", BODY, lambda: home.sandbox.keys)
    assert [phase for phase, _ in operations(home)] == ["pending"]
    assert home.key_files == []
    let_pass(home, DEAD)
    with started(home.environment) as server:
        server.initialize()
        (note,) = server.call("list_api_keys", {})["structuredContent"]["notes"]
        assert str(home.key_files[0]) in note
        assert "notes" not in server.call("list_api_keys", {})["structuredContent"]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


@pytest.mark.long
async def test_after_a_killed_server_an_equal_create_returns_its_key(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("create", "hang_after")
    kill_during_call(home, "create_api_key", BODY, lambda: home.sandbox.keys)
    let_pass(home, DEAD)
    async with served(home) as client:
        await _same_key_again(client, home)


@pytest.mark.long
async def test_a_server_killed_before_the_api_did_anything_leaves_no_key(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("create", "hang")
    kill_during_call(home, "create_api_key", BODY, lambda: home.sandbox.count("create"))
    let_pass(home, DEAD)
    async with served(home) as client:
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "still unclear" in note
        assert code_of(await client.call_tool("create_api_key", BODY)) == "create_outcome_unknown"
        let_pass(home, SETTLED - DEAD)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "made no key" in note
        data_of(await client.call_tool("create_api_key", BODY))
    assert (home.sandbox.count("create"), stored(home)) == (2, values(home))


@pytest.mark.long
async def test_a_server_killed_between_the_claim_and_the_store_leaves_a_key_that_a_list_stores(
    make_home: MakeHome,
) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("reveal", "hang")
    kill_during_call(home, "create_api_key", BODY, lambda: home.sandbox.count("reveal"))
    (row,) = home.sandbox.keys
    assert operations(home) == [("matched", row.id)]
    let_pass(home, DEAD)
    async with served(home) as client:
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert f"Key {row.id} " in note
        assert str(home.key_files[0]) in note
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert stored(home) == values(home)
