"""How much of the disk refused calls take, what says so, and what gives it back."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from anyio import to_thread

from comet_mcp.audit import trail as audit_trail
from comet_mcp.audit.calls import calls
from tests.e2e.steps import code_of, operations, served
from tests.e2e.test_audit import brief, trail, verified, written
from tests.support import Home, data_of, error_of, in_process

MakeHome = Callable[..., Home]
WIDE: dict[str, Any] = {
    "name": "n" * 40,
    "model_limits": ",".join(f"model-{number}" for number in range(90)),
    "model_limits_enabled": True,
    "remain_quota": 5_000_000,
}


def on_disk(home: Home) -> int:
    return sum(path.stat().st_size for path in home.state.parent.iterdir())


async def flood(home: Home, count: int, tool: str, arguments: dict[str, Any], code: str) -> int:
    """The bytes that the journal grew by, a call."""
    async with served(home) as client:
        for number in range(20):
            assert code_of(await client.call_tool(tool, {**arguments, "name": f"w{number}"})) == code
    before = on_disk(home)
    async with served(home) as client:
        for number in range(count):
            assert code_of(await client.call_tool(tool, {**arguments, "name": f"x{number}"})) == code
    return (on_disk(home) - before) // count


async def test_a_call_that_the_policy_refuses_takes_little_of_the_disk_however_long_it_is(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_BUDGET_USD="1")
    assert await flood(home, 400, "create_api_key", WIDE, "policy") < 100
    assert [call["count"] for call in trail(home)[-2:]] == [1, 399]
    assert verified(home).fault is None


async def test_a_create_that_the_api_refuses_takes_a_kilobyte_at_most(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.faults.add("create", "refused", times=10_000)
    async with served(home) as client:
        code = code_of(await client.call_tool("create_api_key", WIDE))
    assert code
    assert await flood(home, 300, "create_api_key", WIDE, code) <= 1024
    assert {state for state, _ in operations(home)} == {"not_done"}


async def test_equal_refusals_have_one_row_with_their_number_and_times(make_home: MakeHome) -> None:
    home = make_home()
    async with served(home) as client:
        for number in range(30):
            error_of(await client.call_tool("update_api_key", {"id": 404, "name": f"x{number}"}))
        error_of(await client.call_tool("update_api_key", {"id": 404}))
        data_of(await client.call_tool("create_api_key", {"name": "blog"}))
        error_of(await client.call_tool("update_api_key", {"id": 405, "name": "later"}))
    assert sorted(brief(home)) == sorted(
        [
            ("update_api_key", "key_not_found", [404]),
            ("update_api_key", "invalid_argument", [404]),
            ("update_api_key", "key_not_found", [404]),
            ("create_api_key", "ok", [1]),
            ("update_api_key", "key_not_found", [405]),
        ]
    )
    summed = next(call for call in trail(home) if call.get("count", 1) > 1)
    assert summed["count"] == 29
    assert summed["begun"] <= summed["ended"]
    assert summed["arguments"] == {"id": 404, "name": "x29"}
    assert verified(home).fault is None
    shown = await to_thread.run_sync(lambda: in_process("audit", environment=home.environment))
    assert "key_not_found (29 times)" in shown.stdout


async def test_a_call_that_changed_something_keeps_its_arguments_whole(make_home: MakeHome) -> None:
    home = make_home()
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog", "allow_ips": "\n".join(["192.0.2.1"] * 60)}))
    (call,) = trail(home)
    assert call["arguments"] == {"name": "blog", "allow_ips": "\n".join(["192.0.2.1"] * 60)}
    begun = written(home).audit[0].entry
    assert len(begun) < 700
    assert "sha256" in begun


@pytest.mark.parametrize("mode", ["on", "required"])
async def test_a_trail_that_is_nearly_full_says_so_and_a_full_one_stops_what_needs_it(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    home = make_home(COMETAPI_MCP_AUDIT=mode)
    caplog.set_level(logging.WARNING)
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "first"}))
        assert not caplog.messages
        size = written(home).size
        monkeypatch.setattr(audit_trail, "MOST_BYTES", int(size * 1.2))
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "second"}))
        assert "cometapi-mcp audit prune" in caplog.messages[0]
        monkeypatch.setattr(audit_trail, "MOST_BYTES", size // 2)
        result = await client.call_tool("update_api_key", {"id": 1, "name": "third"})
        if mode == "required":
            assert error_of(result).startswith("[audit_unavailable]")
            assert "cometapi-mcp audit prune" in error_of(result)
        else:
            data_of(result)
    assert home.sandbox.keys[0].name == ("second" if mode == "required" else "third")
    assert len(calls(written(home).audit, "9999")) == 2


async def test_pruning_gives_the_space_back(make_home: MakeHome) -> None:
    home = make_home()
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog"}))
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("CREATE TABLE filler (x)")
        db.executemany("INSERT INTO filler VALUES (?)", [("x" * 10_000,)] * 500)
        db.execute("DROP TABLE filler")
    before = on_disk(home)
    done = await to_thread.run_sync(lambda: in_process("audit", "prune", "--all", environment=home.environment))
    assert (done.returncode, done.stdout) == (0, "2 rows were dropped.\n")
    assert on_disk(home) < before // 20
    async with served(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "again"}))
    assert verified(home).fault is None
