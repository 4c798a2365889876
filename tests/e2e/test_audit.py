"""The audit trail of running servers: whole rows, whoever writes, whatever ends, whatever fails."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import httpx
import pytest
from mcp_types import Implementation

from comet_mcp.audit.calls import calls
from comet_mcp.audit.chain import Verified, verify
from comet_mcp.journal import tables
from comet_mcp.journal.base import Reads, Rows
from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import blocking_until, code_of, kill_during_call, served, started
from tests.e2e.test_canary import TOKEN, leaks
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]


def written(home: Home) -> Rows:
    """All rows of the trail, read beside the servers."""
    with closing(sqlite3.connect(home.state)) as db:
        return tables.read(db, Reads(audit="all"))


def trail(home: Home) -> list[dict[str, Any]]:
    """The calls in the trail, oldest first; one without an end counts as never ended."""
    return calls(written(home).audit, "9999")


def verified(home: Home) -> Verified:
    return verify(written(home))


def brief(home: Home) -> list[tuple[str, str, list[int]]]:
    """Tool, outcome (or state) and key ids of each call."""
    return [(call["tool"], call["outcome"] or call["state"], call["key_ids"]) for call in trail(home)]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_each_writing_call_is_in_the_trail_with_its_outcome_and_no_reading_one_is(
    make_home: MakeHome, mode: str
) -> None:
    home = make_home()
    async with served(home, mode=mode, client_info=Implementation(name="a client", version="1.2")) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "blog 2"}))
        data_of(await client.call_tool("save_api_key", {"id": 1}))
        data_of(await client.call_tool("rotate_api_key", {"id": 1}))
        for tool, arguments in (("list_api_keys", {}), ("get_api_key", {"id": 1}), ("verify_api_key", {"id": 1})):
            data_of(await client.call_tool(tool, arguments))
        data_of(await client.call_tool("delete_api_key", {"id": 1}))
        error_of(await client.call_tool("update_api_key", {"id": 404, "name": "x"}))
        error_of(await client.call_tool("update_api_key", {"id": 2}))
    assert brief(home) == [
        ("create_api_key", "ok", [1]),
        ("update_api_key", "ok", [1]),
        ("save_api_key", "ok", [1]),
        ("rotate_api_key", "ok", [1, 2]),
        ("delete_api_key", "ok", [1]),
        ("update_api_key", "key_not_found", [404]),
        ("update_api_key", "invalid_argument", [2]),
    ]
    assert [call.get("key_name") for call in trail(home)] == [
        *("blog", "blog", "blog 2", "blog 2", "blog 2"),
        *(None, None),
    ]
    first = trail(home)[0]
    assert first["client"] == "a client 1.2"
    assert first["arguments"] == {"name": "blog", "remain_quota": 500_000}
    assert verified(home).fault is None


async def test_the_arguments_in_the_trail_are_those_that_the_caller_gave(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key(
        "blog", model_limits_enabled=True, model_limits="gpt-4o", allow_ips="192.0.2.1", remain_quota=9
    )
    widening = {"id": 1, "model_limits_enabled": False, "model_limits": "", "allow_ips": "", "unlimited_quota": False}
    async with served(home) as client:
        data_of(await client.call_tool("update_api_key", {**widening, "group": None}))
        data_of(await client.call_tool("save_api_key", {"id": 1}))
        data_of(await client.call_tool("rotate_api_key", {"id": 1, "old_key": "grace"}))
    assert [call["arguments"] for call in trail(home)] == [widening, {"id": 1}, {"id": 1, "old_key": "grace"}]


async def test_a_refused_call_that_corrected_an_earlier_change_has_a_row_before_that(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = home.sandbox.add_key("blog", remain_quota=500_000)
    home.sandbox.faults.add("get", "status", after=1, times=100)
    async with served(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
        home.sandbox.faults.clear()
        row.remain_quota += 1_000  # what a call had reserved
        error_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": 5}))
    assert row.remain_quota == 500_000
    assert brief(home)[1:] == [("update_api_key", "invalid_argument", [row.id])]
    assert [json.loads(entry.entry)["kind"] for entry in written(home).audit] == ["begin", "end"] * 2


async def test_a_call_that_changed_nothing_has_an_outcome_of_its_own(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("blog", remain_quota=500_000)
    async with served(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "blog", "status": "enabled"}))
        assert "nothing_done" not in data_of(await client.call_tool("rotate_api_key", {"id": 1}))
        assert data_of(await client.call_tool("rotate_api_key", {"id": 1}))["nothing_done"] is True
        data_of(await client.call_tool("delete_api_key", {"id": 1}))
        data_of(await client.call_tool("delete_api_key", {"id": 1}))
    assert brief(home) == [
        ("update_api_key", "nothing_done", [1]),
        ("rotate_api_key", "ok", [1, 2]),
        ("rotate_api_key", "nothing_done", [1, 2]),
        ("delete_api_key", "ok", [1]),
        ("delete_api_key", "nothing_done", [1]),
    ]


class _Watching(httpx.AsyncHTTPTransport):
    """Counts the rows of the trail at each request that changes something."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home = home
        self.seen: list[tuple[str, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self.seen.append((request.method, verified(self.home).rows))
        return await super().handle_async_request(request)


async def test_the_row_before_is_on_disk_before_anything_is_sent(make_home: MakeHome) -> None:
    home = make_home()
    watching = _Watching(home)
    async with served(home, transport=watching) as client:
        data_of(await client.call_tool("create_api_key", {"name": "x"}))
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "y"}))
        data_of(await client.call_tool("delete_api_key", {"id": 1}))
    assert watching.seen == [("POST", 1), ("PUT", 3), ("DELETE", 5)]


async def test_a_call_the_policy_refuses_is_in_the_trail_with_the_verdict(make_home: MakeHome) -> None:
    home = make_home()
    config = home.directory / ".config" / "cometapi" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[policy]\nmax_budget_usd = 5\n", encoding="utf-8")
    home.extra["COMETAPI_MCP_CONFIG"] = str(config)
    async with served(home) as client:
        result = await client.call_tool("create_api_key", {"name": "x", "remain_quota": 50_000_000})
        assert code_of(result) == "policy"
    (call,) = trail(home)
    assert call["outcome"] == "policy"
    assert "max_budget_usd" in call["policy"]


async def test_a_call_that_its_client_gave_up_has_an_end_too(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("slow")
    home.sandbox.faults.add("get", "latency", value="5")
    async with served(home, mode="legacy") as client:
        with anyio.move_on_after(0.5):
            await client.call_tool("delete_api_key", {"id": 1})
    assert brief(home) == [("delete_api_key", "cancelled", [1])]


@pytest.mark.long
def test_a_call_whose_server_was_killed_shows_that_it_never_ended(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.faults.add("create", "hang")
    kill_during_call(home, "create_api_key", {"name": "cut short"}, lambda: home.sandbox.count("create"))
    assert brief(home) == [("create_api_key", "never_ended", [])]
    assert verified(home).fault is None


@pytest.mark.long
def test_servers_that_write_at_the_same_time_and_are_killed_at_any_moment_leave_a_whole_chain(
    make_home: MakeHome,
) -> None:
    home = make_home()
    rounds = 6
    for number in range(1 + rounds):  # a server that is killed holds its key for some seconds: each has its own
        home.sandbox.add_key(f"key {number}")
    with started(home.environment) as steady:
        steady.initialize()
        for number in range(rounds):
            with started(home.environment) as doomed:
                doomed.initialize()
                rows = verified(home).rows if number else 0
                for call in range(20):
                    doomed.start_call("update_api_key", {"id": 2 + number, "name": f"doomed {number} {call}"})
                for call in range(3):
                    result = steady.call("update_api_key", {"id": 1, "name": f"steady {number} {call}"})
                    assert not result.get("isError"), result
                blocking_until(lambda rows=rows, number=number: verified(home).rows > rows + 3 * number)  # type: ignore[misc]
                doomed.kill()
            found = verified(home)
            assert found.fault is None, f"round {number}"
        steady.close()
    shown = trail(home)
    steadies = [call for call in shown if call["arguments"]["name"].startswith("steady")]
    assert [call["outcome"] for call in steadies] == ["ok"] * rounds * 3
    assert {call["state"] for call in shown} <= {"ended", "never_ended"}
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp", "audit", "verify"],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
async def test_many_calls_at_once_in_two_servers_are_one_chain_without_a_gap(make_home: MakeHome) -> None:
    home = make_home()
    async with home.client() as one, home.client() as other, anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon((one, other)[number % 2].call_tool, "create_api_key", {"name": f"n{number}"})
    found = verified(home)
    assert (found.rows, found.fault) == (60, None)
    assert sorted(call["arguments"]["name"] for call in trail(home)) == sorted(f"n{number}" for number in range(30))
    assert sorted(call["key_ids"][0] for call in trail(home)) == [row.id for row in home.sandbox.keys]


# A journal that can't be written.


async def test_without_a_journal_a_change_is_made_and_the_log_says_what_is_missing(
    make_home: MakeHome, caplog: pytest.LogCaptureFixture
) -> None:
    home = make_home()
    home.state.mkdir(parents=True)
    home.sandbox.add_key("old")
    with caplog.at_level(logging.WARNING, "comet_mcp"):
        async with served(home) as client:
            assert data_of(await client.call_tool("delete_api_key", {"id": 1}))["deleted"] is True
    assert "delete_api_key is not in the audit trail" in caplog.text


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_where_the_trail_is_required_nothing_is_changed_without_it(make_home: MakeHome, mode: str) -> None:
    home = make_home(COMETAPI_MCP_AUDIT="required")
    home.state.mkdir(parents=True)
    home.sandbox.add_key("old")
    async with served(home, mode=mode) as client:
        for tool, arguments in (
            ("create_api_key", {"name": "x"}),
            ("update_api_key", {"id": 1, "name": "x"}),
            ("delete_api_key", {"id": 1}),
            ("rotate_api_key", {"id": 1}),
            ("save_api_key", {"id": 1}),
        ):
            result = await client.call_tool(tool, arguments)
            assert code_of(result) == "audit_unavailable"
            assert "Nothing was done" in error_of(result)
        assert home.sandbox.requests == []
        assert data_of(await client.call_tool("get_api_key", {"id": 1}))["name"] == "old"


async def test_a_trail_that_is_off_is_empty(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_AUDIT="off")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "x"}))
    assert trail(home) == []


# Secrets.


async def test_no_secret_is_in_the_trail_even_where_a_model_puts_one_into_an_argument(make_home: MakeHome) -> None:
    home = make_home(Sandbox("gateway", access_token=TOKEN))
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "x"}))
        value = home.sandbox.keys[0].key
        for tool, arguments in (
            ("update_api_key", {"id": key["id"], "name": f"sk-{value}"[:50]}),
            ("update_api_key", {"id": key["id"], "name": TOKEN}),
            ("update_api_key", {"id": key["id"], "group": f"my key is {value}"}),
            ("create_api_key", {"name": value, "model_limits": f"{value},sk-{value}"}),
            ("save_api_key", {"id": key["id"], "file": TOKEN, "variable": value}),
            ("rotate_api_key", {"id": key["id"]}),
        ):
            await client.call_tool(tool, arguments)
        # a name that holds a value, made in the console: no argument of a call, but in its result
        home.sandbox.add_key(f"sk-{value}"[:50], remain_quota=1)
        await client.call_tool("delete_api_key", {"id": home.sandbox.keys[-1].id})
    with closing(sqlite3.connect(home.state)) as db:
        rows = json.dumps(db.execute("SELECT entry FROM audit").fetchall()).encode()
    assert verified(home).rows == 14
    assert leaks([TOKEN, *(row.key for row in home.sandbox.keys)], rows) == []


@pytest.mark.fast_time
async def test_a_key_that_a_list_found_for_a_lost_create_is_in_the_trail_by_its_id(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="2")
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "status", times=1000, after=1)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", {"name": "lost", "remain_quota": 9_000})) != ""
        home.sandbox.faults.clear()
        data_of(await client.call_tool("list_api_keys"))
        data_of(await client.call_tool("list_api_keys"))
    assert brief(home) == [("create_api_key", "create_outcome_unknown", []), ("list_api_keys", "settled", [1])]
    assert trail(home)[1]["key_name"] == "lost"
    assert verified(home).fault is None
    assert [call["call"] for call in trail(home) if 1 in call["key_ids"]] == [3]


@pytest.mark.parametrize(
    ("tool", "wrong"),
    [
        ("create_api_key", {"name": "x", "remain_quota": "a lot", "colour": "red"}),
        ("create_api_key", {"name": "x\ny"}),
        ("update_api_key", {"id": 1}),
        ("update_api_key", {"id": "one", "name": "x"}),
        ("delete_api_key", {"id": 0}),
        ("rotate_api_key", {"id": 1, "grace": "soon"}),
        ("save_api_key", {}),
    ],
)
async def test_a_writing_call_that_is_refused_for_its_arguments_is_in_the_trail_whatever_is_wrong(
    make_home: MakeHome, tool: str, wrong: dict[str, Any]
) -> None:
    home = make_home()
    async with served(home) as client:
        assert code_of(await client.call_tool(tool, wrong)) == "invalid_argument"
        assert code_of(await client.call_tool("get_api_key", {"id": "one"})) == "invalid_argument"
    (call,) = trail(home)
    assert (call["tool"], call["outcome"]) == (tool, "invalid_argument")
    assert call["arguments"] == {**wrong, **({"colour": "***"} if "colour" in wrong else {})}


async def test_a_call_with_many_wrong_arguments_leaves_a_small_row(make_home: MakeHome) -> None:
    home = make_home()
    sent = {f"argument {n} " + "x" * 1_000: "y" * 1_000 for n in range(1_000)}
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", {**sent, "name": ["x" * 100] * 1_000})) is not None
    assert sum(len(row.entry) for row in written(home).audit) < 10_000
