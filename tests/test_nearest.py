"""What an agent is told to send instead: a body for a new key, a call of update_api_key for one that exists."""

from __future__ import annotations

import json
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.errors import PolicyError
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.limits import DAY, HOUR, Limit, Spending
from comet_mcp.policy.nearest import nearest_change, nearest_new
from comet_mcp.policy.policy import NOTHING, Policy
from comet_mcp.policy.widening import Change
from comet_mcp.units import Units
from tests.test_policy import BODIES, POLICIES

DAYS = 86_400
NOW = int(time())
UNITS = Units()
KEY: dict[str, Any] = {
    "name": "agent-blog",
    "remain_quota": 500_000,
    "expired_time": NOW + 30 * DAYS,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "192.0.2.1",
    "group": "vip",
}
FIELDS = tuple(KeySpec.model_fields)


def body(**changes: Any) -> KeySpec:
    return KeySpec.model_validate({**KEY, **changes})


def key(**changes: Any) -> Key:
    return Key.model_validate({"id": 17, "status": 1, "created_time": NOW - DAYS, **KEY, **changes})


def change(before: Key, **named: Any) -> Change:
    """What update_api_key makes of these arguments."""
    status = named.pop("status", None)
    given = frozenset(named)
    if "add_budget_usd" in named:
        named["remain_quota"] = max(before.remain_quota, 0) + UNITS.from_usd(named.pop("add_budget_usd"))
    old = before.spec.model_copy(update={"remain_quota": max(before.remain_quota, 0)})
    return Change(before, old.model_copy(update=named), Status[status.upper()] if status else None, given)


def offered(policy: Policy, asked: Change, spending: Spending = NOTHING) -> dict[str, Any] | None:
    return nearest_change(policy, asked, spending, NOW, UNITS)


def refusal(policy: Policy, asked: Change | KeySpec, spending: Spending = NOTHING, **options: Any) -> str:
    judge = Guard(policy, UNITS)
    require: Any = judge.require_change if isinstance(asked, Change) else judge.require_new
    with pytest.raises(PolicyError) as refused:
        require(asked, spending, **options)
    return str(refused.value)


# A new key


@pytest.mark.parametrize(
    ("policy", "wanted", "moved"),
    [
        (Policy(name_prefix="agent-"), {"name": "b" * 50}, {"name": "agent-" + "b" * 44}),
        (Policy(allowed_groups=("none", "vip")), {"group": "auto"}, {"group": ""}),
        (Policy(allowed_groups=("vip",)), {"group": ""}, {"group": "vip"}),
        (Policy(allowed_groups=("v*",)), {"group": ""}, {}),
        (Policy(allowed_models=("gpt-4o", "o3")), {"model_limits": "gpt-5"}, {"model_limits": "gpt-4o,o3"}),
        (Policy(allowed_models=("gpt-4*",)), {"model_limits": "gpt-5"}, {}),
        (Policy(max_budget_usd=1), {"remain_quota": 500_001}, {"remain_quota": 500_000}),
        (Policy(max_budget_usd=1), {"unlimited_quota": True, "remain_quota": 5}, {"unlimited_quota": False}),
        (Policy(max_lifetime="90d"), {"expired_time": -1}, {"expired_time": NOW + 90 * DAYS}),
        (Policy(require_expiry=True), {"expired_time": -1}, {"expired_time": NOW + 30 * DAYS}),
        (Policy(require_ips=True), {"allow_ips": None}, {}),
    ],
)
def test_the_nearest_body_differs_in_what_a_rule_forbids_and_in_nothing_else(
    policy: Policy, wanted: dict[str, Any], moved: dict[str, Any]
) -> None:
    asked = body(**{"remain_quota": 500_000, **wanted})
    near = nearest_new(policy, asked, NOTHING, NOW, UNITS)
    if "unlimited_quota" in moved:
        moved = {**moved, "remain_quota": 5}
    assert near == asked.model_copy(update=moved)


@pytest.mark.parametrize(
    ("policy", "spending"),
    [
        (Policy(max_keys_total=1, max_budget_usd=1), Spending(1, 0)),
        (Policy(max_keys_per_hour=1, max_budget_usd=1), Spending(1, 0, ((NOW - 10, 1, 0),))),
        (Policy(max_keys_per_day=0), NOTHING),
        (Policy(max_sum_usd_total=2), Spending(1, 1_000_000)),
        (Policy(max_sum_usd_total=2), Spending(1, 9_000_000)),
    ],
)
def test_no_body_is_offered_where_no_key_can_be_made_now(policy: Policy, spending: Spending) -> None:
    assert nearest_new(policy, body(remain_quota=5_000_000), spending, NOW, UNITS) is None
    said = refusal(policy, body(remain_quota=5_000_000), spending)
    assert "nearest" not in said
    assert "{" not in said


def test_what_is_left_of_a_sum_is_offered_and_a_key_that_asks_for_nothing_needs_nothing_left() -> None:
    policy = Policy(max_sum_usd_total=2)
    near = nearest_new(policy, body(unlimited_quota=True, remain_quota=0), Spending(1, 900_000), NOW, UNITS)
    assert near == body(unlimited_quota=False, remain_quota=100_000)
    empty = body(name="x", remain_quota=0)
    assert nearest_new(policy, empty, Spending(1, 1_000_000), NOW, UNITS) == empty


def test_a_copied_body_is_refused_with_the_calls_that_can_change_it() -> None:
    policy = Policy(max_budget_usd=0.5)
    said = refusal(policy, body(), copied=True)
    assert "The nearest body that is allowed: {" not in said
    assert (
        "rotate_api_key gives the new key the settings of the old one: change those with update_api_key first, or call "
        'create_api_key with the nearest body that is allowed: {"name":"agent-blog",' in said
    )
    said = refusal(Policy(require_ips=True), body(allow_ips=None), copied=True)
    assert "or call create_api_key with another body." in said
    assert "update_api_key" not in refusal(Policy(max_keys_total=0), body(), copied=True)


# A key that exists


VIP_O3: dict[str, Any] = {"model_limits": "o3", "created_time": NOW - 100 * DAYS}
NARROW = Policy(allowed_models=("gpt-4o",), allowed_groups=("none",), max_budget_usd=5)


@pytest.mark.parametrize(
    ("policy", "before", "named", "expected"),
    [
        # as much as is allowed of what was asked for
        (Policy(max_budget_usd=5), {}, {"remain_quota": 9_000_000}, {"remain_quota": 2_500_000}),
        (
            Policy(max_budget_usd=5),
            {"used_quota": 1_000_000},
            {"remain_quota": 9_000_000},
            {"remain_quota": 1_500_000},
        ),
        (Policy(max_budget_usd=5), {"used_quota": 1_000_000}, {"add_budget_usd": 9}, {"add_budget_usd": 2.0}),
        (Policy(max_budget_usd=5), {"remain_quota": -7}, {"add_budget_usd": 9}, {"add_budget_usd": 5.0}),
        (
            Policy(max_budget_usd=5),
            {"status": 4, "remain_quota": 0},
            {"status": "enabled", "remain_quota": 9_000_000},
            {"status": "enabled", "remain_quota": 2_500_000},
        ),
        (Policy(max_lifetime="90d"), {}, {"expired_time": -1}, {"expired_time": NOW + 89 * DAYS}),
        (Policy(name_prefix="agent-"), {}, {"name": "b" * 50}, {"name": "agent-" + "b" * 44}),
        (Policy(allowed_models=("gpt-4*",)), {}, {"model_limits": "gpt-4.1,gpt-5"}, {"model_limits": "gpt-4.1"}),
        (Policy(allowed_groups=("none",)), {}, {"group": "auto"}, {"group": ""}),
        (
            Policy(require_expiry=True),
            {"expired_time": NOW + DAYS},
            {"expired_time": -1},
            {"expired_time": NOW + 30 * DAYS},
        ),
        # the key keeps what it has where that is allowed, and the rest goes on
        (Policy(allowed_groups=("auto", "vip")), {}, {"group": "x", "name": "b"}, {"name": "b"}),
        (Policy(allowed_models=("gpt-4o", "o3")), {}, {"model_limits": "gpt-5", "name": "b"}, {"name": "b"}),
        (Policy(allowed_models=("gpt-4o",)), {}, {"model_limits_enabled": False, "name": "b"}, {"name": "b"}),
        (Policy(require_ips=True), {}, {"allow_ips": "", "name": "b"}, {"name": "b"}),
        (Policy(allow_unlimited=False), {}, {"unlimited_quota": True, "name": "b"}, {"name": "b"}),
        # a budget that was no one's idea is not taken away, nor an end drawn near
        (Policy(max_budget_usd=0.5), {}, {"remain_quota": 9_000_000, "name": "b"}, {"name": "b"}),
        (Policy(max_lifetime="10d"), {}, {"expired_time": -1, "name": "b"}, {"name": "b"}),
        # nothing, where no call is allowed that does more than leave the key as it is
        (Policy(max_budget_usd=1), {}, {"remain_quota": 9_000_000}, None),
        (Policy(max_budget_usd=1), {}, {"unlimited_quota": True}, None),
        (Policy(max_lifetime="90d"), {"created_time": NOW - 100 * DAYS}, {"add_budget_usd": 1}, None),
        (Policy(max_lifetime="90d"), {"created_time": NOW - 100 * DAYS}, {"expired_time": -1}, None),
        (
            Policy(max_lifetime="90d"),
            {"created_time": NOW - 100 * DAYS, "expired_time": NOW - 20 * DAYS},
            {"expired_time": NOW + DAYS},
            None,
        ),
        (Policy(max_lifetime="90d"), {"expired_time": -1}, {"add_budget_usd": 1}, None),
        (Policy(require_expiry=True), {"expired_time": -1}, {"add_budget_usd": 1, "expired_time": -1}, None),
        (NARROW, VIP_O3, {"add_budget_usd": 1}, None),
        (Policy(max_budget_usd=1), {"unlimited_quota": True, "status": 2}, {"status": "enabled"}, None),
        (
            Policy(max_budget_usd=1),
            {"used_quota": 500_000, "remain_quota": 0, "status": 4},
            {"status": "enabled", "add_budget_usd": 1},
            None,
        ),
        (Policy(name_prefix="agent-", only_own_prefix=True), {"name": "x"}, {"name": "y"}, None),
    ],
)
def test_the_nearest_change_moves_only_what_was_named_and_takes_nothing_from_a_key_in_use(
    policy: Policy, before: dict[str, Any], named: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    asked = change(key(**before), **named)
    said = refusal(policy, asked)
    assert offered(policy, asked) == (None if expected is None else {"id": 17, **expected})
    assert ("update_api_key {" in said) is (expected is not None)


@pytest.mark.parametrize(
    ("before", "named", "expected"),
    [
        ({}, {"remain_quota": 1_200_000}, {"remain_quota": 600_000}),
        ({}, {"add_budget_usd": 1}, {"add_budget_usd": 0.2}),
        ({"unlimited_quota": True}, {"unlimited_quota": False}, {"unlimited_quota": False, "remain_quota": 100_000}),
    ],
)
def test_the_nearest_change_takes_what_is_left_of_a_sum(
    before: dict[str, Any], named: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = key(**before)
    asked = {**named, "remain_quota": 500_000} if before else named
    assert offered(Policy(max_sum_usd_total=2), change(row, **asked), Spending(1, 900_000)) == {"id": 17, **expected}


def test_a_top_up_that_no_sum_has_room_for_is_answered_with_no_call() -> None:
    used_up = Spending(1, 1_000_000)
    said = refusal(Policy(max_sum_usd_total=2), change(key(), add_budget_usd=1), used_up)
    assert "{" not in said
    renamed = change(key(), add_budget_usd=1, name="b")
    assert offered(Policy(max_sum_usd_total=2), renamed, used_up) == {"id": 17, "name": "b"}
    assert "outside the policy as it is" not in said


def test_a_change_refused_for_what_the_key_is_says_what_may_still_be_done_with_it() -> None:
    said = refusal(NARROW, change(key(**VIP_O3), add_budget_usd=1))
    assert (
        "Key 17 is outside the policy as it is, so it may be narrowed, renamed, disabled and deleted, and neither "
        "widened nor enabled." in said
    )
    assert "as it is" not in refusal(Policy(max_lifetime="90d"), change(key(), expired_time=-1))


ROWS = st.tuples(BODIES, st.integers(0, 10**9)).map(
    lambda pair: key(**{**pair[0].model_dump(), "allow_ips": pair[0].allow_ips or ""}, used_quota=pair[1])
)
CALLS = st.tuples(BODIES, st.sets(st.sampled_from(FIELDS), max_size=4)).map(
    lambda pair: {name: getattr(pair[0], name) for name in pair[1]}
)


@given(POLICIES, ROWS, CALLS, st.sampled_from([None, "enabled", "disabled"]), st.integers(0, 10**9))
def test_whatever_call_is_offered_is_allowed_and_takes_nothing_where_more_was_asked_for(
    policy: Policy, row: Key, named: dict[str, Any], status: str | None, spent: int
) -> None:
    asked = change(row, **named, status=status)
    call = offered(policy, asked, Spending(1, spent))
    if call is None:
        return
    given = change(row, **{name: value for name, value in call.items() if name != "id"})
    assert set(call) - {"id", "status"} <= set(named)
    assert (given.wanted, given.status) != (row.spec, None)
    assert policy.check_change(row, given.wanted, given.status, NOW, UNITS, spending=Spending(1, spent)) == []
    if asked.wanted.expired_time == -1 and row.expired_time >= 0:
        assert not 0 <= given.wanted.expired_time < row.expired_time
    if not row.unlimited_quota and asked.wanted.remain_quota >= row.remain_quota:
        assert given.wanted.unlimited_quota or given.wanted.remain_quota >= row.remain_quota


# What a count or a sum says


@pytest.mark.parametrize(
    ("limit", "spending", "asked", "said"),
    [
        (Limit("r", HOUR, 0, "keys"), NOTHING, 1, "no key may be made."),
        (Limit("r", None, 0, "keys"), Spending(4, 0), 1, "no key may be made."),
        (
            Limit("r", None, 1, "keys"),
            Spending(1, 0),
            1,
            (
                "at most 1 key may be made in all, and 1 was. That counts every key in this journal, those from before "
                "the rule too; the person who runs the server can raise it."
            ),
        ),
        (
            Limit("r", DAY, 2, "keys"),
            Spending(2, 0, ((0.0, 1, 0), (7.0, 1, 0))),
            1,
            "at most 2 keys may be made per day, and 2 were. No key can be made before 1970-01-02T00:00:01Z.",
        ),
        (Limit("r", DAY, 0, "units"), NOTHING, 5, "no budget may be given, and $0.00001 is asked for."),
        (
            Limit("r", None, 500_000, "units"),
            NOTHING,
            5_000_000,
            "at most $1.00 of budget may be given in all, and $10.00 is asked for.",
        ),
        (
            Limit("r", None, 500_000, "units"),
            Spending(1, 250_000),
            500_000,
            (
                "at most $1.00 of budget may be given in all; $0.50 was given, so $0.50 is left, and $1.00 is asked "
                "for. That counts every budget in this journal, those from before the rule too; the person who runs "
                "the server can raise it."
            ),
        ),
        (
            Limit("r", DAY, 25_000_000, "units"),
            Spending(3, 0, ((0.0, 0, 0), (59.0, 1, 10**7), (119.0, 1, 10**7))),
            25_000_000,
            (
                "at most $50.00 of budget may be given per day; $40.00 was given, so $10.00 is left until "
                "1970-01-02T00:01Z, and $50.00 is asked for. There is room for that from 1970-01-02T00:02Z."
            ),
        ),
        (
            Limit("r", DAY, 25_000_000, "units"),
            Spending(3, 0, ((59.0, 1, 30_000_000),)),
            50_000_000,
            (
                "at most $50.00 of budget may be given per day; $60.00 was given, so nothing is left until "
                "1970-01-02T00:01Z, and $100.00 is asked for."
            ),
        ),
    ],
)
def test_a_limit_that_is_reached_says_what_was_given_what_is_left_and_until_when(
    limit: Limit, spending: Spending, asked: int, said: str
) -> None:
    assert limit.exceeded(spending, asked, 120.0, UNITS) == said


def test_a_group_that_is_not_allowed_is_told_in_a_sentence() -> None:
    policy = Policy(allowed_groups=("vip",))
    assert "allowed_groups: only groups vip are allowed; this key names no group." in refusal(policy, body(group=""))
    assert 'only groups vip are allowed, not "auto".' in refusal(policy, body(group="auto"))


def test_the_offered_call_is_compact_json_in_ascii() -> None:
    said = refusal(Policy(name_prefix="ключ "), change(key(name="ключ x"), name='b"\n'))
    start = said.index("update_api_key {") + len("update_api_key ")
    assert said[start:].isascii()
    assert json.loads(said[start : said.index("}", start) + 1]) == {"id": 17, "name": 'ключ b"\n'}
