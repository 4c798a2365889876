"""Keys that nobody was told of: a call that is given up between its key and its answer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.secret_store import Saved
from comet_mcp.services.secrets import Secrets
from tests.e2e.steps import (
    create_listed_late,
    let_pass,
    list_late_rows,
    operations,
    served,
    stored,
    until,
    untold,
    values,
)
from tests.support import Home, data_of, text_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {
    "name": "told once",
    "remain_quota": 500_000,
    "expired_time": 1_900_000_000,
    "model_limits": "gpt-4o",
    "model_limits_enabled": True,
}
DEAD = 31


async def _given_up(client: Client, reached: Callable[[], object]) -> None:
    """A create that its client gives up once it has come so far."""
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "create_api_key", BODY)
        await until(reached)
        group.cancel_scope.cancel()


async def test_the_answer_of_a_create_does_not_wait_for_the_models_to_be_looked_up(home: Home) -> None:
    home.sandbox.faults.add("catalog", "latency", value="8")
    async with served(home) as client:
        with anyio.fail_after(6):
            key = data_of(await client.call_tool("create_api_key", BODY))
    assert any("could not be checked" in warning for warning in key["warnings"])
    assert (operations(home), stored(home)) == ([("stored", key["id"])], values(home))


@pytest.mark.real_time
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_call_given_up_while_its_end_is_noted_leaves_its_key_to_the_repeated_call(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    home = make_home()
    save, locked = Secrets.save, anyio.Event()

    async def then_lock(self: Secrets, row: Key, deadline: Deadline) -> Saved:
        """Another program takes the journal right after the value was stored, for longer than the client waits."""
        done = await save(self, row, deadline)
        other = sqlite3.connect(home.state, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        threading.Timer(1.5, other.close).start()
        return done

    async with served(home, mode=mode) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Secrets, "save", then_lock)
            await _given_up(client, locked.is_set)
        await until(lambda: untold(home))
        key = data_of(await client.call_tool("create_api_key", BODY))
        assert [row.id for row in home.sandbox.keys] == [key["id"]]
        assert any("may not have been read" in warning for warning in key["warnings"])
        assert data_of(await client.call_tool("create_api_key", BODY))["id"] != key["id"]


async def test_a_repeated_call_that_is_given_up_too_leaves_the_key_to_the_one_after_it(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    await create_listed_late(home, BODY)
    home.sandbox.faults.add("reveal", "latency", value="1.5")
    async with served(home) as client:
        await _given_up(client, lambda: home.sandbox.count("reveal"))
        await until(lambda: untold(home) == [home.sandbox.keys[0].id])
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


# A key that is found by a later call is told of by that call alone.


async def test_two_equal_creates_after_a_lost_one_never_get_the_same_key(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    await create_listed_late(home, BODY)
    let_pass(home, DEAD)
    home.sandbox.faults.add("reveal", "latency", value="1.2")
    got: list[int] = []

    async def create(client: Client) -> None:
        result = await client.call_tool("create_api_key", BODY)
        assert not result.is_error, text_of(result)
        got.append(data_of(result)["id"])

    async with served(home) as client, anyio.create_task_group() as group:
        group.start_soon(create, client)
        await until(lambda: home.sandbox.count("reveal"))
        group.start_soon(create, client)
    assert sorted(got) == [1, 2]
    assert (home.sandbox.count("create"), stored(home)) == (2, values(home))


@pytest.mark.parametrize("first", ["create_api_key", "list_api_keys"])
async def test_the_key_of_a_given_up_create_that_was_listed_late_is_told_of_once(
    make_home: MakeHome, first: str
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "late", value="600")
    async with served(home) as client:
        await _given_up(client, lambda: home.sandbox.count("create"))
        await until(lambda: operations(home) == [("accepted_unlisted", None)])
        list_late_rows(home)
        told = data_of(await client.call_tool(first, BODY if first == "create_api_key" else {}))
        assert told["id"] == 1 if first == "create_api_key" else "Key 1" in told["notes"][0]
        assert operations(home) == [("stored", 1)]
        assert data_of(await client.call_tool("create_api_key", BODY))["id"] == 2
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
