"""What an agent is told to send instead of a body that was refused, and what limit holds for a change."""

from __future__ import annotations

import json
from time import time
from typing import Any

import pytest

from comet_mcp.clock import Clock
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.money import Units
from comet_mcp.errors import PolicyError
from comet_mcp.policy.enforcer import PolicyEnforcer
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.windows import DAY, HOUR, NOTHING, Limit, Spending

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


def change(before: Key, **fields: Any) -> KeyChange:
    return KeyChange(before, before.spec.model_copy(update=fields))


def refusal(policy: Policy, asked: KeyChange | KeySpec, spending: Spending = NOTHING, **options: Any) -> str:
    judge = PolicyEnforcer(policy, UNITS, Clock(wall=lambda: NOW))
    require: Any = judge.require_change if isinstance(asked, KeyChange) else judge.require_new
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
        (Policy(allow_unlimited=False), {"unlimited_quota": True, "remain_quota": 5}, {"unlimited_quota": False}),
    ],
)
def test_the_nearest_body_differs_in_what_a_rule_forbids_and_in_nothing_else(
    policy: Policy, wanted: dict[str, Any], moved: dict[str, Any]
) -> None:
    asked = body(**{"remain_quota": 500_000, **wanted})
    near = policy.nearest_new(asked, NOW, UNITS)
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
    assert policy.nearest_new(body(remain_quota=5_000_000), NOW, UNITS, spending) is None
    said = refusal(policy, body(remain_quota=5_000_000), spending)
    assert "nearest" not in said
    assert "{" not in said


def test_what_is_left_of_a_sum_is_offered_and_a_key_that_asks_for_nothing_needs_nothing_left() -> None:
    policy = Policy(max_sum_usd_total=2)
    near = policy.nearest_new(body(unlimited_quota=True, remain_quota=0), NOW, UNITS, Spending(1, 900_000))
    assert near == body(unlimited_quota=False, remain_quota=100_000)
    both = Policy(max_sum_usd_total=2, allow_unlimited=False, max_budget_usd=9)
    assert both.nearest_new(body(unlimited_quota=True, remain_quota=0), NOW, UNITS, Spending(1, 900_000)) == near
    empty = body(name="x", remain_quota=0)
    assert policy.nearest_new(empty, NOW, UNITS, Spending(1, 1_000_000)) == empty


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


NARROW = Policy(allowed_models=("gpt-4o",), allowed_groups=("none",), max_budget_usd=5)


@pytest.mark.parametrize(
    ("policy", "asked", "limit"),
    [
        (Policy(max_budget_usd=5), {"remain_quota": 9_000_000}, "so remain_quota may be 2500000 at most;"),
        (Policy(max_lifetime="90d"), {"expired_time": -1}, f"(expired_time {NOW + 89 * DAYS})."),
        (Policy(name_prefix="agent-"), {"name": "b"}, 'the name must begin with "agent-".'),
        (Policy(allowed_models=("gpt-4*",)), {"model_limits": "gpt-4,o3"}, "only models gpt-4* are allowed, not o3."),
        (Policy(allowed_groups=("none",)), {"group": "auto"}, "a key must have no group;"),
        (Policy(max_sum_usd_total=2), {"remain_quota": 9_000_000}, "so $0.20 is left, and $17.00 is asked for."),
    ],
    ids=["budget", "lifetime", "name", "models", "group", "sum"],
)
def test_a_refused_change_is_told_the_limit_and_offered_no_call(
    policy: Policy, asked: dict[str, Any], limit: str
) -> None:
    before = key(group="") if "group" in asked else key()
    said = refusal(policy, change(before, **asked), Spending(1, 900_000))
    assert limit in said
    assert "{" not in said
    assert "as it is" not in said


def test_a_change_refused_for_what_the_key_is_says_what_may_still_be_done_with_it() -> None:
    said = refusal(NARROW, change(key(model_limits="o3"), remain_quota=600_000))
    assert (
        "Key 17 is outside the policy as it is, so it may be narrowed, renamed, disabled and deleted, and neither "
        "widened nor enabled." in said
    )


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
                "1970-01-02T00:01:00Z, and $50.00 is asked for. There is room for that from 1970-01-02T00:02:00Z."
            ),
        ),
        (
            Limit("r", DAY, 12_500_000, "units"),
            Spending(3, 0, ((59.0, 1, 9_502_000),)),
            3_000_000,
            (
                "at most $25.00 of budget may be given per day; $19.004 was given, so $5.996 is left until "
                "1970-01-02T00:01:00Z, and $6.00 is asked for. There is room for that from 1970-01-02T00:01:00Z."
            ),
        ),
        (
            Limit("r", DAY, 25_000_000, "units"),
            Spending(3, 0, ((59.0, 1, 30_000_000),)),
            50_000_000,
            (
                "at most $50.00 of budget may be given per day; $60.00 was given, so nothing is left until "
                "1970-01-02T00:01:00Z, and $100.00 is asked for."
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


def test_the_offered_body_is_compact_json_in_ascii() -> None:
    said = refusal(Policy(name_prefix="ключ "), body(name='b"\n'))
    offered = said[said.index("{") : said.index("}") + 1]
    assert offered.isascii()
    assert json.loads(offered)["name"] == 'ключ b"\n'
