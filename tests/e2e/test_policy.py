"""The policy against a whole server: the sequence attack, several servers at once, kill -9, and bad configuration."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from fnmatch import fnmatchcase
from ipaddress import ip_network
from pathlib import Path
from time import time
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp_types import CallToolResult

from comet_mcp.sandbox import Key, Sandbox
from comet_mcp.server import create_server
from tests.e2e.life import connected, full_key, row_of, spend, spend_before_writes
from tests.e2e.steps import code_of, kill_during_call, let_pass, stored
from tests.support import DOCUMENTED, Home, data_of, error_of, text_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

DAYS = 86_400
SLACK = 310
PREFIX = "COMETAPI_MCP_POLICY_"
BODY: dict[str, Any] = {"name": "agent-one", "remain_quota": 500_000}


def rules(**given_rules: str) -> dict[str, str]:
    return {PREFIX + name.upper(): text for name, text in given_rules.items()}


# The sequence attack. What is right is written here once more, and otherwise than in the product.


def is_inside(policy: dict[str, str], row: Key) -> bool:
    """Whether a key keeps every rule."""
    cap = policy.get("max_budget_usd")
    if row.unlimited_quota and (cap or "allow_unlimited" in policy or "max_sum_usd_total" in policy):
        return False
    if cap and row.remain_quota + row.used_quota > int(cap) * 500_000:
        return False
    if row.expired_time <= 0 and ("require_expiry" in policy or "max_lifetime" in policy):
        return False
    if "max_lifetime" in policy and row.expired_time - row.created_time > 30 * DAYS + SLACK:
        return False
    models = row.model_limits.split(",") if row.model_limits else []
    if "allowed_models" in policy and not (
        row.model_limits_enabled and all(fnmatchcase(model, "gpt-4*") for model in models)
    ):
        return False
    if "allowed_groups" in policy and row.group not in ("", "vip"):
        return False
    if "require_ips" in policy and not _is_narrow(row.allow_ips or ""):
        return False
    return "name_prefix" not in policy or row.name.startswith("agent-")


def _is_narrow(ips: str) -> bool:
    return bool(ips) and sum(ip_network(entry).num_addresses for entry in ips.split("\n")) <= 2**24


def power(row: Key) -> dict[str, Any]:
    """What a key can do, by which two states of it are compared."""
    return {
        "budget": float("inf") if row.unlimited_quota else max(row.remain_quota, 0) + row.used_quota,
        "end": float("inf") if row.expired_time == -1 else row.expired_time,
        "models": set(row.model_limits.split(",")) if row.model_limits_enabled else None,
        "ips": set((row.allow_ips or "").split("\n")) if row.allow_ips else None,
        "group": row.group,
        "enabled": row.status == 1,
    }


def is_no_wider(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return (
        now["budget"] <= before["budget"]
        and now["end"] <= before["end"]
        and _is_part(now["models"], before["models"])
        and _is_part(now["ips"], before["ips"])
        and now["group"] == before["group"]
        and now["enabled"] <= before["enabled"]
    )


def _is_part(now: set[str] | None, before: set[str] | None) -> bool:
    return before is None or (now is not None and now - {""} <= before)


POLICIES = st.lists(
    st.sampled_from(
        [
            ("max_budget_usd", "1"),
            ("max_budget_usd", "5"),
            ("max_lifetime", "30d"),
            ("require_expiry", "1"),
            ("allow_unlimited", "0"),
            ("allowed_models", "gpt-4*"),
            ("allowed_groups", "none,vip"),
            ("require_ips", "1"),
            ("name_prefix", "agent-"),
            ("max_keys_total", "3"),
            ("max_keys_per_day", "2"),
            ("max_sum_usd_total", "2"),
            ("max_sum_usd_per_hour", "1"),
        ]
    ),
    min_size=1,
    max_size=3,
).map(dict)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["agent-a", "agent-b", "other"]),
    "remain_quota": st.sampled_from([0, 250_000, 500_000, 500_001, 2_500_000, 5_000_000]),
    "expired_time": st.sampled_from([-1, 1, 29, 40, 400]),  # days from now
    "unlimited_quota": st.booleans(),
    "model_limits_enabled": st.booleans(),
    "model_limits": st.sampled_from(["", "gpt-4o", "gpt-5", "gpt-4o,gpt-5"]),
    "allow_ips": st.sampled_from(["", "192.0.2.1", "0.0.0.0/0", "0.0.0.0/1\n128.0.0.0/1"]),
    "group": st.sampled_from(["", "vip", "auto"]),
}
SOUND: dict[str, Any] = {
    "name": "agent-a",
    "remain_quota": 250_000,
    "expired_time": 29,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "192.0.2.1",
    "group": "vip",
}
ABOUT = {
    "max_budget_usd": ("remain_quota", "unlimited_quota"),
    "max_sum": ("remain_quota", "unlimited_quota"),
    "allow_unlimited": ("unlimited_quota",),
    "max_lifetime": ("expired_time",),
    "require_expiry": ("expired_time",),
    "allowed_models": ("model_limits", "model_limits_enabled"),
    "allowed_groups": ("group",),
    "require_ips": ("allow_ips",),
    "name_prefix": ("name",),
    "max_keys": (),
}
WHICH = st.integers(0, 5)
STATUS = st.sampled_from([{"status": "enabled"}, {"status": "disabled"}])


def scenarios(policy: dict[str, str]) -> st.SearchStrategy[tuple[dict[str, str], list[dict[str, Any]], list[Any]]]:
    """Keys that were there before, and what happens then; most of it is about the fields that the policy limits."""
    limited = [name for start, names in ABOUT.items() for name in names if any(r.startswith(start) for r in policy)]
    some = st.lists(
        st.sampled_from([*limited * 3, *FIELDS]).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name])),
        min_size=1,
        max_size=2,
    ).map(dict)
    updates = st.one_of(
        some,
        some,
        st.tuples(some, STATUS).map(lambda pair: pair[0] | pair[1]),
        STATUS,
        st.sampled_from([{"add_budget_usd": 0.1}, {"add_budget_usd": 0.5}]),
    )
    update = st.tuples(st.just("update"), WHICH, updates)
    call = st.one_of(
        st.tuples(st.just("create"), WHICH, st.one_of(st.just(SOUND), some.map(lambda fields: SOUND | fields))),
        update,
        update,
        update,
        st.tuples(st.just("rotate"), WHICH, st.sampled_from([{"old_key": "grace"}, {"old_key": "disable"}])),
        st.tuples(st.just("delete"), WHICH, st.just({})),
    )
    one_call = call.map(lambda one: ("calls", [one]))
    steps = st.lists(
        st.one_of(
            one_call,
            one_call,
            one_call,
            st.lists(call, min_size=2, max_size=4).map(lambda calls: ("calls", calls)),
            st.tuples(st.just("spend"), st.sampled_from([100_000, 400_000])),
            st.tuples(st.just("age"), st.sampled_from([1800, 2 * DAYS, 20 * DAYS])),
            st.tuples(st.just("fault"), st.sampled_from(["create:refused", "update:refused", "create:rate_limit"])),
        ),
        min_size=6,
        max_size=20,
    )
    old = st.tuples(some, st.sampled_from([{}, {"status": 2}])).map(lambda pair: pair[0] | pair[1])
    return st.tuples(st.just(policy), st.lists(old, max_size=2), steps)


class Attack:
    """An account with keys of its own, three servers that share a journal, and what was seen of every key so far."""

    def __init__(self, policy: dict[str, str], old: list[dict[str, Any]], directory: Path) -> None:
        self.policy = policy
        self.sandbox = Sandbox("documented")
        self.state = directory / "journal.sqlite3"
        for changes in old:
            self.sandbox.add_key(**_at(SOUND | changes))
        self.old = {row.id: row for row in self.sandbox.keys}
        self.before = {row.id: power(row) for row in self.sandbox.keys}
        self.environment = {
            "COMETAPI_ACCESS_TOKEN": self.sandbox.access_token,
            "COMETAPI_BASE_URL": "http://127.0.0.1:9",
            "COMETAPI_MCP_STATE": str(self.state),
            "COMETAPI_MCP_SECRETS": "none",
            "COMETAPI_MCP_CONFIG": str(directory / "config.toml"),
            **rules(**policy),
        }
        (directory / "config.toml").write_text("", encoding="utf-8")
        self.made: list[tuple[float, float]] = []
        self.given: list[tuple[float, float]] = []
        self.clock = 0.0
        self.refusals = 0

    @asynccontextmanager
    async def servers(self) -> AsyncIterator[list[Client]]:
        from comet_mcp.settings import load  # noqa: PLC0415 - beside its one use

        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    Client(create_server(load(self.environment), transport=httpx.ASGITransport(app=self.sandbox.app)))
                )
                for _ in range(3)
            ]

    async def calls(self, clients: list[Client], calls: list[tuple[str, int, dict[str, Any]]]) -> None:
        async with anyio.create_task_group() as group:
            for number, call in enumerate(calls):
                group.start_soon(self._call, clients[(number + call[1]) % len(clients)], *call)

    async def _call(self, client: Client, tool: str, which: int, arguments: dict[str, Any]) -> None:
        arguments = _at(arguments)
        if tool != "create":
            rows = self.sandbox.keys
            arguments |= {"id": rows[which % len(rows)].id if rows else 99}
        result = await client.call_tool(f"{tool}_api_key", arguments)
        if result.is_error:
            assert "internal_error" not in text_of(result)
            self.refusals += code_of(result) == "policy"

    def spend(self, units: int) -> None:
        for row in self.sandbox.keys:
            if row.status == 1:
                spend(row, units if row.unlimited_quota else max(min(units, row.remain_quota), 0))
        self.before = {row.id: power(row) for row in self.sandbox.keys}

    def age(self, seconds: int) -> None:
        """Let time pass: everything that was noted becomes that much older."""
        self.clock += seconds
        for row in self.sandbox.keys:
            row.created_time -= seconds
            row.expired_time -= 0 if row.expired_time == -1 else seconds
        self.before = {row.id: power(row) for row in self.sandbox.keys}
        if self.state.exists():
            with closing(sqlite3.connect(self.state)) as db, db:
                db.execute("UPDATE granted SET at = at - ?", (seconds,))
                db.execute("UPDATE operation SET begun = begun - ?1, lease_until = lease_until - ?1", (seconds,))

    def check(self) -> None:
        """After every step: each key is inside, or was outside before and can do no more; counts and sums hold."""
        now = {row.id: power(row) for row in self.sandbox.keys}
        for row in self.sandbox.keys:
            if is_inside(self.policy, row):
                continue
            assert row.id in self.old, (self.policy, row)
            assert is_no_wider(now[row.id], self.before[row.id]), (self.policy, row, self.before[row.id])
        for key_id, is_now in now.items():
            was = self.before.get(key_id)
            if was is None:
                self.made.append((self.clock, 1))
            added = is_now["budget"] - (was["budget"] if was else 0)
            if 0 < added < float("inf"):
                self.given.append((self.clock, added))
        self.before = now
        for rule, window in (("per_hour", 3600), ("per_day", DAYS), ("total", float("inf"))):
            if f"max_keys_{rule}" in self.policy:
                assert self._sum(self.made, window) <= int(self.policy[f"max_keys_{rule}"])
            if f"max_sum_usd_{rule}" in self.policy:
                assert self._sum(self.given, window) <= int(self.policy[f"max_sum_usd_{rule}"]) * 500_000

    def _sum(self, entries: list[tuple[float, float]], window: float) -> float:
        return sum(amount for at, amount in entries if self.clock - at < window)


def _at(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the expiry as a time, where it is in days."""
    days = fields.get("expired_time", -1)
    return {**fields, "expired_time": int(time()) + days * DAYS} if days != -1 else dict(fields)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(POLICIES.flatmap(scenarios))
async def test_no_sequence_of_calls_from_any_server_yields_a_key_outside_the_policy(
    scenario: tuple[dict[str, str], list[dict[str, Any]], list[tuple[str, Any]]],
) -> None:
    policy, old, steps = scenario
    directory = Path(tempfile.mkdtemp())
    try:
        attack = Attack(policy, old, directory)
        async with attack.servers() as clients:
            for kind, what in steps:
                if kind == "calls":
                    await attack.calls(clients, what)
                elif kind == "fault":
                    call, _, fault = what.partition(":")
                    attack.sandbox.faults.add(call, fault)
                elif kind == "spend":
                    attack.spend(what)
                else:
                    attack.age(what)
                attack.check()
    finally:
        shutil.rmtree(directory)


# Widening in steps, each refused where it would end outside


async def test_a_key_disabled_widened_and_enabled_is_refused_at_the_widening_and_at_the_enabling(home: Home) -> None:
    row = full_key(home.sandbox)
    wild = full_key(home.sandbox, unlimited_quota=True, status=2)
    async with connected(home, **rules(max_budget_usd="5", allowed_models="gpt-4*")) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
        for widening in ({"unlimited_quota": True}, {"model_limits_enabled": False}, {"remain_quota": 9_000_000}):
            said = error_of(await client.call_tool("update_api_key", {"id": row.id, **widening}))
            assert said.startswith("[policy]")
        said = error_of(await client.call_tool("update_api_key", {"id": wild.id, "status": "enabled"}))
        assert "max_budget_usd" in said
        data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "enabled"}))
    assert (wild.status, row.unlimited_quota, row.model_limits_enabled, row.remain_quota) == (2, False, True, 2_500_000)


async def test_a_budget_topped_up_in_small_steps_ends_at_the_limit_spent_or_not(home: Home) -> None:
    async with connected(home, **rules(max_budget_usd="2")) as client:
        made = data_of(await client.call_tool("create_api_key", BODY))
        row = row_of(home.sandbox, made["id"])
        outcomes = []
        for _ in range(6):
            spend(row, 100_000)
            result = await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0.25})
            outcomes.append(code_of(result))
    assert outcomes == ["", "", "", "", "policy", "policy"]
    assert row.used_quota + row.remain_quota == 1_000_000


async def test_what_a_key_spends_while_its_budget_is_set_does_not_come_on_top(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox, remain_quota=500_000)
    spend_before_writes(monkeypatch, home.sandbox, row, 300_000, 50_000)
    async with connected(home, **rules(max_budget_usd="1")) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, "remain_quota": 500_000, "name": "x"}))
    assert row.used_quota + row.remain_quota == 500_000


async def test_a_life_extended_day_by_day_ends_at_the_limit(home: Home) -> None:
    now = int(time())
    row = full_key(home.sandbox, created_time=now - 25 * DAYS, expired_time=now + DAYS)
    async with connected(home, **rules(max_lifetime="30d")) as client:
        outcomes = [
            code_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": now + days * DAYS}))
            for days in (2, 3, 4, 6)
        ]
    assert outcomes == ["", "", "", "policy"]
    assert row.expired_time == now + 4 * DAYS


async def test_a_key_outside_the_policy_is_not_copied_by_a_rotation_but_can_be_disabled_and_deleted(home: Home) -> None:
    row = full_key(home.sandbox, unlimited_quota=True)
    async with connected(home, **rules(max_budget_usd="5")) as client:
        assert "max_budget_usd" in error_of(await client.call_tool("rotate_api_key", {"id": row.id}))
        assert len(home.sandbox.keys) == 1
        data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
        assert row.status == 2
        data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert home.sandbox.keys == []


async def test_a_rotation_that_the_policy_refuses_is_not_begun(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, **rules(max_budget_usd="1")) as client:
        assert code_of(await client.call_tool("rotate_api_key", {"id": row.id})) == "policy"
    assert _rotations(home) == []


async def test_a_rotation_begun_under_a_laxer_policy_is_judged_by_the_one_in_force(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    row = full_key(home.sandbox)
    home.sandbox.faults.add("create", "reset_before")
    async with connected(home) as client:
        assert code_of(await client.call_tool("rotate_api_key", {"id": row.id})) == "create_outcome_unknown"
    let_pass(home, 61)
    async with connected(home, **rules(max_budget_usd="1")) as client:
        assert code_of(await client.call_tool("rotate_api_key", {"id": row.id})) == "policy"
    # it stays open until it is known that its first create made no key
    assert (len(home.sandbox.keys), row.status, _rotations(home)) == (1, 1, ["outcome_unknown"])


def _rotations(home: Home) -> list[str]:
    """The state of each rotation in the journal."""
    if not home.state.exists():
        return []
    with closing(sqlite3.connect(home.state)) as db:
        return [state for (state,) in db.execute("SELECT state FROM operation WHERE kind = 'rotate'")]


async def test_a_rotation_counts_as_a_key_and_its_budget_and_is_over_where_that_is_refused(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, **rules(max_keys_total="1", max_sum_usd_total="6")) as client:
        first = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": "disable"}))
        said = error_of(await client.call_tool("rotate_api_key", {"id": first["new_key"]["id"]}))
    assert "max_keys_total: at most 1 key may be made in all, and 1 was." in said
    assert "max_sum_usd_total" in said
    async with connected(home, **rules(max_keys_total="2", max_sum_usd_total="10")) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": first["new_key"]["id"]}))
    assert len(home.sandbox.keys) == 3


async def test_only_own_keys_are_changed_deleted_rotated_and_saved_and_all_are_read(home: Home) -> None:
    theirs, own = full_key(home.sandbox, name="theirs"), full_key(home.sandbox, name="agent-own")
    async with connected(home, **rules(name_prefix="agent-", only_own_prefix="1")) as client:
        for tool, more in (
            ("update_api_key", {"status": "disabled"}),
            ("update_api_key", {"name": "agent-mine"}),
            ("delete_api_key", {}),
            ("rotate_api_key", {}),
            ("save_api_key", {}),
        ):
            assert "only_own_prefix" in error_of(await client.call_tool(tool, {"id": theirs.id, **more}))
        data_of(await client.call_tool("get_api_key", {"id": theirs.id}))
        data_of(await client.call_tool("verify_api_key", {"id": theirs.id}))
        assert data_of(await client.call_tool("list_api_keys"))["total"] == 2
        for tool, more in (("save_api_key", {}), ("update_api_key", {"status": "disabled"}), ("delete_api_key", {})):
            data_of(await client.call_tool(tool, {"id": own.id, **more}))
    assert [(row.name, row.status) for row in home.sandbox.keys] == [("theirs", 1)]
    assert len(home.key_files) == 0  # the value of a deleted key is removed


async def test_a_key_that_the_api_stored_otherwise_than_it_was_judged_is_not_handed_out(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="6")
    home.sandbox.faults.add("create", "normalise")
    asked = {**BODY, "model_limits_enabled": True, "model_limits": "GPT-4o"}
    async with connected(home, **rules(allowed_models="GPT-4*")) as client:
        result = await client.call_tool("create_api_key", asked)
    assert code_of(result) == "created_id_unknown"
    assert home.key_files == []


# Counts and sums


async def test_what_the_api_refused_or_never_got_is_not_counted_and_a_lost_answer_is(home: Home) -> None:
    async with connected(home, **rules(max_keys_total="2", max_sum_usd_total="2")) as client:
        for fault in ("refused", "refused", "rate_limit"):
            home.sandbox.faults.add("create", fault)
            error_of(await client.call_tool("create_api_key", BODY))
        home.sandbox.faults.add("create", "reset_after")
        data_of(await client.call_tool("create_api_key", BODY))
        data_of(await client.call_tool("create_api_key", {**BODY, "name": "agent-two"}))
        said = error_of(await client.call_tool("create_api_key", {**BODY, "name": "agent-three"}))
    assert "max_keys_total" in said
    assert len(home.sandbox.keys) == 2


async def test_a_create_whose_outcome_stays_unknown_keeps_its_count(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="6")
    home.sandbox.faults.add("create", "reset_before")
    async with connected(home, **rules(max_keys_total="1")) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "create_outcome_unknown"
        assert code_of(await client.call_tool("create_api_key", {**BODY, "name": "agent-two"})) == "policy"
    assert home.sandbox.keys == []


async def test_a_top_up_counts_and_is_given_back_only_where_the_api_refused_it(home: Home) -> None:
    row = full_key(home.sandbox, remain_quota=0)
    top_up = {"id": row.id, "add_budget_usd": 1}
    async with connected(home, **rules(max_sum_usd_total="2")) as client:
        home.sandbox.faults.add("update", "refused", times=2)
        for _ in range(2):
            assert code_of(await client.call_tool("update_api_key", top_up)) == "refused"
        data_of(await client.call_tool("update_api_key", top_up))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "remain_quota": 0}))
        data_of(await client.call_tool("update_api_key", top_up))
        said = error_of(await client.call_tool("update_api_key", top_up))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "disabled"}))
        data_of(await client.call_tool("update_api_key", {"id": row.id, "status": "enabled"}))
    assert (
        "max_sum_usd_total: at most $2.00 of budget may be given in all; $2.00 was given, so nothing is left, and "
        "$1.00 is asked for." in said
    )


async def test_a_top_up_that_was_written_before_a_later_write_was_refused_stays_counted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox, remain_quota=10)
    spend_before_writes(monkeypatch, home.sandbox, row, 10)
    home.sandbox.faults.add("update", "refused", after=1)  # the write that takes back what was spent meanwhile
    async with connected(home, **rules(max_sum_usd_total="1")) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1})
        assert code_of(result) == "update_not_corrected"
        assert row.remain_quota == 500_010
        assert code_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0.5})) == "policy"


async def test_an_hour_later_there_is_room_again_and_in_all_there_is_not(home: Home) -> None:
    async with connected(home, **rules(max_keys_per_hour="1", max_keys_total="2")) as client:
        data_of(await client.call_tool("create_api_key", BODY))
        said = error_of(await client.call_tool("create_api_key", {**BODY, "name": "b"}))
        assert "max_keys_per_hour" in said
        assert "No key can be made before" in said
        for outcome in ("", "policy"):
            with closing(sqlite3.connect(home.state)) as db, db:
                db.execute("UPDATE granted SET at = at - 3601")
            assert code_of(await client.call_tool("create_api_key", {**BODY, "name": "b"})) == outcome


@pytest.mark.long
@pytest.mark.real_time
async def test_four_server_processes_together_make_not_one_key_too_many(make_home: MakeHome) -> None:
    home = make_home(**rules(max_keys_per_hour="7", max_sum_usd_total="5"))
    results: list[CallToolResult] = []

    async def create(client: Client, number: int) -> None:
        body = {"name": f"key {number}", "remain_quota": 450_000}
        results.append(await client.call_tool("create_api_key", body))

    async def serve(first: int) -> None:
        async with home.client() as client, anyio.create_task_group() as group:
            for number in range(first, first + 6):
                group.start_soon(create, client, number)

    async with anyio.create_task_group() as group:
        for first in (0, 6, 12, 18):
            group.start_soon(serve, first)
    assert sorted(code_of(result) for result in results) == [""] * 5 + ["policy"] * 19
    assert len(home.sandbox.keys) == home.sandbox.count("create") == 5


async def test_top_ups_by_two_servers_at_once_never_exceed_the_sum_together(home: Home) -> None:
    rows = [full_key(home.sandbox, remain_quota=0) for _ in range(10)]
    async with connected(home, **rules(max_sum_usd_total="3")) as one, connected(home) as other:

        async def top_up(client: Client, row: Key) -> None:
            await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1})

        async with anyio.create_task_group() as group:
            for number, row in enumerate(rows):
                group.start_soon(top_up, (one, other)[number % 2], row)
    assert sum(row.remain_quota for row in rows) == 3 * 500_000


@pytest.mark.long
@pytest.mark.real_time
async def test_a_server_killed_in_the_middle_of_a_create_leaves_its_key_counted(make_home: MakeHome) -> None:
    home = make_home(**rules(max_keys_total="2", max_sum_usd_total="1.5"))
    home.sandbox.faults.add("create", "hang_after")
    kill_during_call(home, "create_api_key", BODY, lambda: home.sandbox.count("create"))
    async with connected(home) as client:
        plan = {"name": "agent-two", "lifetime": "1d", "budget_usd": 1}
        assert data_of(await client.call_tool("plan_api_key", plan))["broken_rules"]
        data_of(await client.call_tool("create_api_key", {**BODY, "name": "agent-two", "remain_quota": 250_000}))
        refused = await client.call_tool("create_api_key", {**BODY, "name": "agent-three", "remain_quota": 0})
        assert code_of(refused) == "policy"
    assert len(home.sandbox.keys) == 2


@pytest.mark.long
@pytest.mark.real_time
async def test_a_server_killed_in_the_middle_of_a_top_up_leaves_it_counted(make_home: MakeHome) -> None:
    home = make_home(**rules(max_sum_usd_total="1"))
    row = full_key(home.sandbox, remain_quota=0)
    home.sandbox.faults.add("update", "hang")
    top_up = {"id": row.id, "add_budget_usd": 1}
    kill_during_call(home, "update_api_key", top_up, lambda: home.sandbox.count("update"))
    let_pass(home, 31)  # the killed server had the key for itself
    async with connected(home) as client:
        assert code_of(await client.call_tool("update_api_key", top_up)) == "policy"
    assert row.remain_quota == 0


async def test_where_the_journal_cannot_be_written_nothing_that_is_counted_happens(make_home: MakeHome) -> None:
    home = make_home(**rules(max_sum_usd_total="5"))
    home.state.parent.mkdir()
    home.state.mkdir()
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_AUDIT="off") as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
        assert said.startswith("[journal_unavailable]")
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "agent-x"}))
    assert row.remain_quota == 2_500_000


# What the language model is told


async def test_a_plan_gives_the_verdict_of_the_create_with_the_nearest_body(home: Home) -> None:
    plan = {"name": "blog", "lifetime": "90d", "budget_usd": 50, "models": ["gpt-4o"]}
    async with connected(home, **rules(max_budget_usd="5", max_lifetime="30d", name_prefix="agent-")) as client:
        planned = data_of(await client.call_tool("plan_api_key", plan))
        refused = error_of(await client.call_tool("create_api_key", planned["create_api_key"]))
        assert [rule.split(":")[0] for rule in planned["broken_rules"]] == [
            "max_budget_usd",
            "max_lifetime",
            "name_prefix",
        ]
        assert all(rule.split(": ")[0] in refused for rule in planned["broken_rules"])
        nearest = json.loads(refused[refused.index("{") : refused.index("}") + 1])
        nearest["expired_time"] = planned["nearest_allowed"]["expired_time"]
        assert nearest == planned["nearest_allowed"]
        data_of(await client.call_tool("create_api_key", planned["nearest_allowed"]))
        allowed = data_of(
            await client.call_tool("plan_api_key", {**plan, "name": "agent-b", "budget_usd": 1, "lifetime": "1d"})
        )
    assert "the policy of this server" in allowed["checked"]
    assert "broken_rules" not in allowed
    assert (home.sandbox.keys[0].name, home.sandbox.keys[0].remain_quota) == ("agent-blog", 2_500_000)


async def test_the_instructions_tell_the_rules_that_are_set_and_no_other(home: Home) -> None:
    async with connected(home) as client:
        assert "demands" not in (client.instructions or "")
    async with connected(home, **rules(max_budget_usd="5", max_keys_per_day="9")) as client:
        told = client.instructions or ""
    assert told.endswith(
        "The person who runs this server demands: a key may spend at most $5.00 in all; "
        "at most 9 keys are made per day."
    )


async def test_the_documented_example_body_is_created_with_the_default_configuration(home: Home) -> None:
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", DOCUMENTED))


@pytest.mark.parametrize("wrong", [{"max_buget_usd": "5"}, {"max_budget_usd": "five"}])
async def test_a_policy_with_a_mistake_stops_every_writing_call_and_reading_goes_on(
    wrong: dict[str, str], home: Home
) -> None:
    row = full_key(home.sandbox)
    async with connected(home, **rules(**wrong)) as client:
        assert "can't be used" in (client.instructions or "")
        for tool, arguments in (
            ("create_api_key", BODY),
            ("update_api_key", {"id": row.id, "status": "disabled"}),
            ("delete_api_key", {"id": row.id}),
            ("tidy_api_keys", {}),
            ("rotate_api_key", {"id": row.id}),
            ("save_api_key", {"id": row.id}),
        ):
            said = error_of(await client.call_tool(tool, arguments))
            assert said.startswith("[policy] The policy of this server can't be used")
            assert next(iter(rules(**wrong))) in said
        for tool, arguments in (
            ("list_api_keys", {}),
            ("get_api_key", {"id": row.id}),
            ("verify_api_key", {"id": row.id}),
            ("get_account", {}),
            ("get_usage", {}),
            ("list_models", {}),
        ):
            data_of(await client.call_tool(tool, arguments))
        planned = data_of(await client.call_tool("plan_api_key", {"name": "a", "lifetime": "1d", "budget_usd": 1}))
        asking = data_of(await client.call_tool("plan_api_key", {"name": "a"}))
    assert "can't be used" in planned["broken_rules"][0]
    assert "can't be used" in asking["warnings"][0]
    assert (row.status, len(home.sandbox.keys)) == (1, 1)
    assert {request.method for request in home.sandbox.requests} <= {"GET", "POST"}
    assert home.sandbox.count("create") == home.sandbox.count("update") == home.sandbox.count("delete") == 0


# the configurations of docs/policy.md


PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
CONFIGURATIONS = {found[1]: found[0] for found in re.finditer(r"(?<=```toml\n)# ([\w-]+)\n.*?(?=```)", PAGE, re.DOTALL)}


def configured(make_home: MakeHome, name: str) -> Home:
    """A home whose config file is one of docs/policy.md, below the token."""
    home = make_home()
    config = home.directory / "config.toml"
    config.write_text(f'access_token = "{home.sandbox.access_token}"\n\n{CONFIGURATIONS[name]}', encoding="utf-8")
    home.extra["COMETAPI_MCP_CONFIG"] = str(config)
    assert home.settings.problems == home.settings.policy.problems == ()
    return home


def test_the_readme_has_three_configurations() -> None:
    assert list(CONFIGURATIONS) == ["personal", "team", "read-only"]


async def test_the_personal_configuration_wants_a_budget_and_an_end_and_bounds_a_day(make_home: MakeHome) -> None:
    home = configured(make_home, "personal")
    plan = {"name": "blog", "lifetime": "90d", "budget_usd": 20}
    async with connected(home) as client:
        for wrong in ({"unlimited_quota": True}, {"remain_quota": 10_000_001}, {}):
            body = {**BODY, "expired_time": int(time()) + DAYS, **wrong} if wrong else BODY
            assert code_of(await client.call_tool("create_api_key", body)) == "policy"
        body = data_of(await client.call_tool("plan_api_key", plan))["create_api_key"]
        outcomes = [code_of(await client.call_tool("create_api_key", {**body, "name": f"k{n}"})) for n in range(3)]
    assert outcomes == ["", "", "policy"]


async def test_the_team_configuration_leaves_the_keys_of_others_alone_and_asks_a_person(make_home: MakeHome) -> None:
    home = configured(make_home, "team")
    theirs = full_key(home.sandbox, name="theirs")
    plan = {"name": "agent-blog", "lifetime": "30d", "budget_usd": 5, "models": ["gpt-4.1-mini"]}
    async with connected(home) as client:
        planned = data_of(await client.call_tool("plan_api_key", plan))
        made = data_of(await client.call_tool("create_api_key", planned["create_api_key"]))
        other = {**planned["create_api_key"], "name": "blog", "model_limits": "o3"}
        assert code_of(await client.call_tool("create_api_key", other)) == "policy"
        assert code_of(await client.call_tool("delete_api_key", {"id": made["id"]})) == "confirmation_needed"
        assert code_of(await client.call_tool("save_api_key", {"id": theirs.id})) == "policy"
    async with connected(home, COMETAPI_MCP_CONFIRM="never") as client:
        assert code_of(await client.call_tool("delete_api_key", {"id": theirs.id})) == "policy"
    assert len(home.sandbox.keys) == 2
    assert len(stored(home)) == 1


async def test_the_read_only_configuration_offers_no_tool_that_changes_anything(make_home: MakeHome) -> None:
    home = configured(make_home, "read-only")
    async with connected(home) as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
    assert not offered & {"create_api_key", "update_api_key", "delete_api_key", "rotate_api_key", "save_api_key"}
    assert "list_api_keys" in offered
