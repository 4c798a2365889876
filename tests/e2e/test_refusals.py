"""What a refused agent is told on a whole server: the real counts, a call that then works, or that none does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import time
from typing import Any

import pytest
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from tests.e2e.life import connected, full_key, row_of
from tests.e2e.steps import code_of, let_pass, served
from tests.e2e.test_policy import BODY, rules
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

DAYS = 86_400
DOLLAR = 500_000


def offered(said: str, before: str) -> dict[str, Any]:
    """The arguments that a refusal offers after these words."""
    start = said.index(before) + len(before)
    found: dict[str, Any] = json.loads(said[start : said.index("}", start) + 1])
    return found


# A change of a key that is in use


async def test_a_top_up_of_a_key_that_is_too_old_is_answered_with_no_call_that_would_end_the_key(home: Home) -> None:
    now = int(time())
    row = full_key(home.sandbox, created_time=now - 100 * DAYS, expired_time=now + 30 * DAYS)
    async with connected(home, **rules(max_lifetime="90d")) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
    assert "That time is over: make a new key." in said
    assert f"Key {row.id} is outside the policy as it is" in said
    assert "{" not in said


async def test_a_top_up_of_a_key_with_other_models_and_another_group_leaves_them_alone(home: Home) -> None:
    row = full_key(home.sandbox, group="vip", model_limits="o3", cross_group_retry=False)
    lax = rules(allowed_groups="none", allowed_models="gpt-4o", max_budget_usd="9")
    async with connected(home, **lax) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
    assert "only models gpt-4o are allowed, not o3." in said
    assert "{" not in said


async def test_a_refused_change_says_what_the_key_may_have_and_that_works(home: Home) -> None:
    row = full_key(home.sandbox, status=2, remain_quota=0, used_quota=DOLLAR)
    async with connected(home, **rules(max_budget_usd="5")) as client:
        asked = {"id": row.id, "status": "enabled", "remain_quota": 50 * DOLLAR}
        said = error_of(await client.call_tool("update_api_key", asked))
        assert f"so remain_quota may be {4 * DOLLAR} at most" in said
        assert "{" not in said
        data_of(await client.call_tool("update_api_key", {**asked, "remain_quota": 4 * DOLLAR}))
    assert (row.remain_quota, row.used_quota, row.model_limits) == (4 * DOLLAR, DOLLAR, "gpt-4.1-mini,gpt-4o")


async def test_a_rotation_that_is_refused_names_the_calls_that_help(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, **rules(max_budget_usd="1")) as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": row.id}))
        assert "change those with update_api_key first" in said
        body = offered(said, "or call create_api_key with the nearest body that is allowed: ")
        assert data_of(await client.call_tool("create_api_key", body))["budget"] == "$1.00 left"


# Counts and sums


async def test_a_sum_that_is_partly_given_is_told_as_it_is_and_the_offered_body_is_taken(home: Home) -> None:
    async with connected(home, **rules(max_budget_usd="20", max_sum_usd_per_day="50")) as client:
        for name in ("one", "two"):
            data_of(await client.call_tool("create_api_key", {"name": name, "remain_quota": 20 * DOLLAR}))
        plan = {"name": "three", "lifetime": "never", "budget_usd": 100}
        planned = data_of(await client.call_tool("plan_api_key", plan))
        said = error_of(await client.call_tool("create_api_key", {"name": "three", "remain_quota": 100 * DOLLAR}))
        assert all(rule in said for rule in planned["broken_rules"])
        assert "$40.00 was given, so $10.00 is left until 20" in said
        body = offered(said, "The nearest body that is allowed: ")
        assert body == planned["nearest_allowed"]
        assert data_of(await client.call_tool("create_api_key", body))["budget"] == "$10.00 left"
        said = error_of(await client.call_tool("create_api_key", {"name": "four", "remain_quota": DOLLAR}))
        assert "$50.00 was given, so nothing is left until 20" in said
        assert "{" not in said


async def test_a_count_that_is_used_up_says_until_when_and_offers_no_body(home: Home) -> None:
    async with connected(home, **rules(max_keys_per_hour="1", max_budget_usd="1", max_keys_total="1")) as client:
        made = data_of(await client.call_tool("create_api_key", BODY))
        said = error_of(await client.call_tool("create_api_key", {"name": "b", "remain_quota": 9 * DOLLAR}))
        again = error_of(await client.call_tool("rotate_api_key", {"id": made["id"]}))
    for text in (said, again):
        assert "max_keys_per_hour: at most 1 key may be made per hour, and 1 was. No key can be made before 20" in text
        assert "max_keys_total: at most 1 key may be made in all, and 1 was. That counts every key in this" in text
        assert "{" not in text
        assert "update_api_key" not in text


async def test_the_repetition_of_a_create_whose_answer_was_lost_is_not_one_key_too_many(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="2")
    async with connected(home, **rules(max_keys_total="1", max_sum_usd_total="1")) as client:
        home.sandbox.faults.add("create", "reset_after")
        home.sandbox.faults.add("list", "status", after=1, times=99)
        assert code_of(await client.call_tool("create_api_key", BODY)) == "create_outcome_unknown"
        home.sandbox.faults.clear()
        other = {**BODY, "name": "other"}
        assert code_of(await client.call_tool("create_api_key", other)) == "policy"
        found = data_of(await client.call_tool("create_api_key", BODY))
        assert "No second key was made" in " ".join(found["warnings"])
        assert code_of(await client.call_tool("create_api_key", BODY)) == "policy"
    assert len(home.sandbox.keys) == 1


async def test_a_rotation_whose_new_key_is_gone_is_refused_by_the_counts_as_they_are(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox)
    home.sandbox.faults.add("reveal", "status", times=9)
    async with connected(home) as client:
        new = data_of(await client.call_tool("rotate_api_key", {"id": row.id}))["new_key"]
    assert "secret" not in new
    home.sandbox.keys.remove(row_of(home.sandbox, new["id"]))
    async with connected(home, **rules(max_sum_usd_total="2")) as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": row.id}))
    assert "$5.00 was given, so nothing is left, and $5.00 is asked for." in said


async def test_top_ups_by_a_server_without_rules_count_for_one_with_rules(home: Home) -> None:
    row = full_key(home.sandbox, remain_quota=0)
    top_up = {"id": row.id, "add_budget_usd": 5}
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", top_up))
    async with connected(home, **rules(max_sum_usd_total="6")) as client:
        said = error_of(await client.call_tool("update_api_key", top_up))
        assert "$5.00 was given, so $1.00 is left, and $5.00 is asked for." in said
        data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
    assert row.remain_quota == 6 * DOLLAR


async def test_without_a_limit_on_sums_a_top_up_works_although_the_journal_does_not(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_AUDIT="off")
    row = full_key(home.sandbox, remain_quota=0)
    home.state.mkdir(parents=True)
    async with connected(home) as client:
        done = data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
        assert "will not count the added budget" in " ".join(done["warnings"])
        assert "warnings" not in data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    assert row.remain_quota == DOLLAR


# Nobody is asked about what is then refused


class Person:
    """Says yes to every question, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, _context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"confirm": True})


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_nobody_is_asked_about_a_call_that_is_then_refused(mode: Any, make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="writes", **rules(max_keys_total="1", max_sum_usd_total="1"))
    person = Person()
    async with served(home, elicitation_callback=person, mode=mode) as client:
        made = data_of(await client.call_tool("create_api_key", BODY))
        person.asked.clear()
        for tool, arguments, code in (
            ("create_api_key", {"name": "b", "remain_quota": 1}, "policy"),
            ("update_api_key", {"id": made["id"], "add_budget_usd": 0.5}, "policy"),
            ("rotate_api_key", {"id": made["id"]}, "policy"),
            ("save_api_key", {"id": made["id"], "file": "../x"}, "invalid_argument"),
        ):
            assert code_of(await client.call_tool(tool, arguments)) == code
    assert person.asked == []
    assert home.sandbox.count("create") == 1


async def test_nobody_is_asked_to_go_on_with_a_rotation_that_is_then_refused(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="2", COMETAPI_MCP_CONFIRM="writes")
    row = full_key(home.sandbox)
    home.sandbox.faults.add("create", "reset_before")
    person = Person()
    async with served(home, elicitation_callback=person) as client:
        assert code_of(await client.call_tool("rotate_api_key", {"id": row.id})) == "create_outcome_unknown"
        let_pass(home, 61)
        data_of(await client.call_tool("list_api_keys"))  # its create made no key, it finds
    person.asked.clear()
    home.extra |= rules(max_budget_usd="1")
    async with served(home, elicitation_callback=person) as client:
        said = error_of(await client.call_tool("rotate_api_key", {"id": row.id}))
        assert "max_budget_usd" in said
        assert "change those with update_api_key first" in said
        assert person.asked == []
        data_of(await client.call_tool("update_api_key", {"id": row.id, "remain_quota": DOLLAR}))
        new = data_of(await client.call_tool("rotate_api_key", {"id": row.id}))["new_key"]
    assert row_of(home.sandbox, new["id"]).remain_quota == DOLLAR
    with closing(sqlite3.connect(home.state)) as db:
        states = db.execute("SELECT state FROM operation WHERE kind = 'rotate' ORDER BY begun").fetchall()
    assert states == [("abandoned",), ("retired",)]
