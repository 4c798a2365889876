from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.cli.policy import VERBS
from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.domain.change import NEW, KeyChange, KeyHistory
from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.domain.money import Units
from comet_mcp.errors import PolicyError
from comet_mcp.policy.enforcer import PolicyEnforcer
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.rule import _compiled
from comet_mcp.policy.rules import CLOCKS_DIFFER, RULES, MaxLifetime
from comet_mcp.policy.windows import DAY, HOUR, NOTHING, Held, Limit, Spending
from comet_mcp.server import TOOLS
from comet_mcp.settings import SETTINGS, load, understood
from comet_mcp.text import quoted
from tests.any_text import any_text
from tests.e2e.steps import served
from tests.support import DOCUMENTED, Home, data_of, in_process

NOW = 1_795_000_000.0
DAYS = 86_400
UNITS = Units()
SOUND: dict[str, Any] = {
    "name": "agent-blog",
    "remain_quota": 500_000,
    "expired_time": int(NOW) + DAYS,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "192.0.2.1",
    "group": "vip",
}
ANY = "any key of the account."
ENDING = "change, deletion and rotation"
UNASKED = "a client that can't ask needs no answer (mcp.confirm_fallback = allow)."
STRICT = Policy(
    max_budget_usd=5,
    max_lifetime="30d",
    require_expiry=True,
    allow_unlimited=False,
    allowed_models=("gpt-4*",),
    allowed_groups=("vip",),
    require_ips=True,
    name_prefix="agent-",
)


def body(**changes: Any) -> KeySpec:
    return KeySpec.model_validate({**SOUND, **changes})


def token(**changes: Any) -> Key:
    return Key.model_validate({"id": 7, "status": 1, "created_time": int(NOW) - DAYS, **SOUND, **changes})


def broken(policy: Policy, wanted: KeySpec, history: KeyHistory = NEW, spending: Spending = NOTHING) -> list[str]:
    found = policy.check(wanted, NOW, UNITS, history, spending)
    return [entry.rule for entry in found]


def changed(policy: Policy, before: Key, status: Status | None = None, **changes: Any) -> list[str]:
    wanted = body(**{name: getattr(before, name) for name in KeySpec.model_fields} | changes)
    return [entry.rule for entry in policy.check_change(KeyChange(before, wanted, status), NOW, UNITS)]


def test_the_default_policy_lets_the_documented_example_body_through_and_everything_else() -> None:
    assert Policy() == load({"COMETAPI_ACCESS_TOKEN": "t"}).policy
    assert broken(Policy(), KeySpec.model_validate(DOCUMENTED)) == []
    assert broken(Policy(), KeySpec(name="", unlimited_quota=True)) == []
    assert Policy().words(UNITS) == []
    assert Policy().limits(UNITS) == []


def test_a_sound_key_keeps_every_rule() -> None:
    assert broken(STRICT, body()) == []


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("max_budget_usd", {"remain_quota": 2_500_001}),
        ("max_lifetime", {"expired_time": int(NOW) + 30 * DAYS + CLOCKS_DIFFER + 1}),
        ("allowed_models", {"model_limits": "gpt-4o,gpt-5"}),
        ("allowed_models", {"model_limits": "GPT-4o"}),
        ("allowed_models", {"model_limits_enabled": False}),
        ("allowed_models", {"model_limits_enabled": False, "model_limits": ""}),
        ("allowed_groups", {"group": ""}),
        ("allowed_groups", {"group": "auto"}),
        ("require_ips", {"allow_ips": None}),
        ("require_ips", {"allow_ips": ""}),
        ("require_ips", {"allow_ips": "0.0.0.0/0"}),
        ("require_ips", {"allow_ips": "192.0.2.1\n0.0.0.0/1\n128.0.0.0/1"}),
        ("require_ips", {"allow_ips": "::ffff:0:0/96"}),
        ("require_ips", {"allow_ips": "::/0"}),
        ("require_ips", {"allow_ips": "10.0.0.0/7"}),
        ("require_ips", {"allow_ips": "10.0.0.0/8\n192.0.2.1"}),
        ("require_ips", {"allow_ips": "\n".join(f"{part}.0.0.0/8" for part in range(0, 256, 2))}),
        ("require_ips", {"allow_ips": "192.0.2.1\n10.0.0.5/7"}),
        ("require_ips", {"allow_ips": "2001::/15"}),
        ("require_ips", {"allow_ips": "2001::/16\n2002::1"}),
        ("require_ips", {"allow_ips": "192.0.2.1\n0.0.0.0/0,"}),
        ("require_ips", {"allow_ips": "192.0.2.1\n0.0.0.0 /0"}),
        ("require_ips", {"allow_ips": ","}),
        ("require_ips", {"allow_ips": " ,\n"}),
        ("require_ips", {"allow_ips": "abc"}),
        ("name_prefix", {"name": "Agent-blog"}),
    ],
)
def test_each_rule_alone_is_broken_by_what_it_forbids_and_named(rule: str, changes: dict[str, Any]) -> None:
    assert broken(STRICT, body(**changes)) == [rule]


@pytest.mark.parametrize(
    "changes",
    [
        {"remain_quota": 2_500_000},
        {"remain_quota": 0},
        {"expired_time": int(NOW) + 30 * DAYS},
        {"expired_time": 5},
        {"model_limits": ""},
        {"allow_ips": "10.0.0.0/8\n2001:db8::/32"},
        {"allow_ips": "10.0.0.0/9\n10.128.0.0/10\n10.0.0.1\n172.16.0.0/12\n2001::/16"},
        {"allow_ips": "192.0.2.1,\nabc"},
        {"name": "agent-"},
    ],
)
def test_what_is_just_inside_each_rule_is_allowed(changes: dict[str, Any]) -> None:
    assert broken(STRICT, body(**changes)) == []


def test_a_key_without_a_budget_breaks_each_rule_on_budgets() -> None:
    endless = body(unlimited_quota=True, remain_quota=0)
    assert broken(STRICT, endless) == ["max_budget_usd", "allow_unlimited"]
    assert broken(Policy(max_sum_usd_per_day=5), endless) == ["max_sum_usd_per_day"]
    assert broken(Policy(max_keys_total=1), endless) == []


@pytest.mark.parametrize("never", [-1, 0])
def test_a_key_without_an_end_breaks_both_rules_on_ends(never: int) -> None:
    assert broken(STRICT, body(expired_time=never)) == ["max_lifetime", "require_expiry"]


def test_none_stands_for_a_key_without_a_group() -> None:
    assert broken(Policy(allowed_groups=("none", "v*")), body(group="")) == []
    assert broken(Policy(allowed_groups=("none",)), body(group="vip")) == ["allowed_groups"]


def test_a_budget_counts_with_what_is_spent_and_a_lifetime_from_creation() -> None:
    past = KeyHistory(used=2_000_000, created=int(NOW) - 20 * DAYS)
    assert broken(STRICT, body(remain_quota=500_000), past) == []
    assert broken(STRICT, body(remain_quota=500_001), past) == ["max_budget_usd"]
    assert broken(STRICT, body(expired_time=int(NOW) + 10 * DAYS), past) == []
    assert broken(STRICT, body(expired_time=int(NOW) + 11 * DAYS), past) == ["max_lifetime"]


@pytest.mark.parametrize("created", [-(10**12), 0, 10**13])
def test_a_record_with_an_absurd_time_of_creation_gives_no_longer_life(created: int) -> None:
    for lifetime in ("30d", "6 months", "100 years"):
        rule = MaxLifetime(lifetime)
        assert rule.latest_end(created, NOW) <= rule.latest_end(None, NOW) + CLOCKS_DIFFER + 2 * DAYS


@pytest.mark.parametrize("created", [None, int(NOW), int(NOW) + 300])
@pytest.mark.parametrize(("limit", "seconds", "slack"), [("1 min", 60, 0), ("1 h", 3600, CLOCKS_DIFFER)])
def test_a_lifetime_exceeds_a_short_limit_by_nothing_and_a_long_one_by_no_more_than_clocks_differ(
    limit: str, seconds: int, slack: int, created: int | None
) -> None:
    policy, history = Policy(max_lifetime=limit), KeyHistory(0, created)
    assert broken(policy, body(expired_time=int(NOW) + seconds + slack), history) == []
    assert broken(policy, body(expired_time=int(NOW) + seconds + slack + 1), history) == ["max_lifetime"]


def test_a_lifetime_counts_by_the_clock_of_the_api() -> None:
    clock = Clock(wall=lambda: NOW - 7 * 3600)
    hour = PolicyEnforcer(Policy(max_lifetime="1h"), UNITS, clock)
    assert [entry.rule for entry in hour.check_new(body(expired_time=int(NOW) + 3600))] == ["max_lifetime"]
    clock.hear(formatdate(NOW, usegmt=True))
    assert hour.check_new(body(expired_time=int(NOW) + 3600)) == []


def test_months_are_those_of_the_calendar() -> None:
    assert Policy(max_lifetime="1 month").latest_end(1_772_323_200, NOW) == 1_775_001_600  # 1 March to 1 April 2026


# What exists already


@pytest.mark.parametrize("status", [None, Status.DISABLED, Status.ENABLED])
@pytest.mark.parametrize("was", [1, 2, 3, 4])
def test_a_change_is_judged_by_the_key_it_leaves_whatever_its_status_is(was: int, status: Status | None) -> None:
    assert changed(STRICT, token(status=was), status, remain_quota=9_000_000) == ["max_budget_usd"]
    assert changed(STRICT, token(status=was), status, model_limits_enabled=False) == ["allowed_models"]
    assert changed(STRICT, token(status=was), status, remain_quota=600_000) == []


WILD: dict[str, Any] = {"name": "theirs", "unlimited_quota": True, "expired_time": -1, "allow_ips": "", "group": "x"}


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (Status.DISABLED, {}),
        (None, {"name": "still theirs"}),
        (None, {"expired_time": int(NOW) + 400 * DAYS}),
        (None, {"unlimited_quota": False, "remain_quota": 10**9}),
        (None, {"allow_ips": "192.0.2.0/24"}),
        (None, {"model_limits": ""}),
    ],
)
def test_a_key_that_was_outside_before_may_be_narrowed_renamed_and_disabled(
    status: Status | None, changes: dict[str, Any]
) -> None:
    assert changed(STRICT, token(**WILD), status, **changes) == []


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (Status.ENABLED, {}),
        (Status.ENABLED, {"name": "renamed"}),
        (None, {"model_limits": "gpt-4o,gpt-4.1"}),
        (None, {"model_limits_enabled": False}),
        (None, {"group": "auto"}),
        (None, {"cross_group_retry": True}),
    ],
)
def test_a_key_that_was_outside_before_is_neither_enabled_nor_widened(
    status: Status | None, changes: dict[str, Any]
) -> None:
    found = changed(STRICT, token(status=2, **WILD), status, **changes)
    assert {"allow_unlimited", "max_budget_usd", "max_lifetime", "name_prefix"} <= set(found)


def test_a_change_that_narrows_one_thing_and_breaks_another_rule_is_refused_for_that_one() -> None:
    outside = token(expired_time=-1)
    assert changed(STRICT, outside, None, remain_quota=400_000, name="other") == ["name_prefix"]


def test_only_keys_of_the_own_prefix_are_touched_when_that_is_demanded() -> None:
    policy = Policy(name_prefix="agent-", only_own_prefix=True)
    assert policy.check_own(token()) == []
    assert [entry.rule for entry in policy.check_own(token(name="agent"))] == ["only_own_prefix"]
    assert "only_own_prefix" in changed(policy, token(name="theirs"), Status.DISABLED)
    assert "only_own_prefix" in changed(policy, token(name="theirs"), None, name="agent-mine")
    assert Policy(name_prefix="agent-").check_own(token(name="theirs")) == []


# Counts and sums


@pytest.mark.parametrize(
    ("rule", "room", "full"),
    [
        ("max_keys_per_hour", Spending(9, 0, ((NOW - HOUR, 5, 0), (NOW - 5, 1, 0))), ((NOW - 5, 2, 0),)),
        ("max_keys_per_day", Spending(9, 0, ((NOW - DAY, 5, 0), (NOW - 5, 1, 0))), ((NOW - HOUR - 5, 2, 0),)),
        ("max_keys_total", Spending(1, 0), ()),
    ],
)
def test_the_number_of_keys_is_limited_in_each_window(rule: str, room: Spending, full: tuple[Any, ...]) -> None:
    limit: dict[str, Any] = {rule: 2}
    policy = Policy(**limit)
    assert broken(policy, body(), spending=room) == []
    assert broken(policy, body(), spending=Spending(2, 0, full)) == [rule]


@pytest.mark.parametrize("rule", ["max_sum_usd_per_hour", "max_sum_usd_per_day", "max_sum_usd_total"])
def test_the_sum_of_budgets_is_limited_in_each_window_to_the_unit(rule: str) -> None:
    limit: dict[str, Any] = {rule: 2}
    policy = Policy(**limit)
    for spent in (0, 500_000, 999_999):
        spending = Spending(1, spent, ((NOW - 5, 1, spent),))
        assert broken(policy, body(remain_quota=1_000_000 - spent), spending=spending) == []
        assert broken(policy, body(remain_quota=1_000_001 - spent), spending=spending) == [rule]


@pytest.mark.parametrize(
    ("held", "counts"),
    [
        (Held(NOW - 1, 7, 300_000, is_lost=True), True),
        (Held(NOW - 1, 7, 300_000, is_lost=False), False),  # it is written at this moment
        (Held(NOW - 6, 7, 300_000, is_lost=False), True),  # its server was killed
        (Held(NOW - 2 * DAY, 7, 300_000, is_lost=True), False),
    ],
)
def test_what_a_lost_change_may_give_again_counts_for_as_long_as_the_window(held: Held, *, counts: bool) -> None:
    policy, spending = Policy(max_sum_usd_per_day=1), Spending(1, 200_000, ((NOW - 5, 1, 200_000),), (held,))
    assert broken(policy, body(remain_quota=1), spending=spending) == (["max_sum_usd_per_day"] if counts else [])
    said = Limit("max_sum_usd_per_day", DAY, 500_000, "units").exceeded(spending, 300_001, NOW, UNITS)
    assert ("$0.60 of that is held back: the answer to a change of key 7 was lost" in said) is counts
    assert Limit("max_keys_per_day", DAY, 1, "keys").spent(spending, NOW) == 1


def test_a_full_window_says_when_there_is_room_again() -> None:
    limit = Limit("max_keys_per_hour", HOUR, 2, "keys")
    spending = Spending(2, 0, ((NOW - 3000, 1, 0), (NOW - 10, 1, 0)))
    said = limit.exceeded(spending, 1, NOW, UNITS)
    assert said.endswith("per hour, and 2 were. No key can be made before 2026-11-18T11:16:41Z.")
    assert "before" not in limit.exceeded(spending, 3, NOW, UNITS)
    assert limit.exceeded(spending, 0, NOW, UNITS) == ""


def test_only_a_new_key_is_judged_by_the_counts_for_an_old_one_is_counted_already() -> None:
    policy = Policy(max_keys_total=0, max_sum_usd_total=0)
    assert broken(policy, body()) == ["max_sum_usd_total", "max_keys_total"]
    assert broken(policy, body(), KeyHistory(0, int(NOW))) == []


# What is refused


def enforcer(policy: Policy) -> PolicyEnforcer:
    return PolicyEnforcer(policy, UNITS, SYSTEM)


def soon(**changes: Any) -> KeySpec:
    """A body for the clock of this machine."""
    return body(expired_time=int(time()) + DAYS, **changes)


def test_a_refusal_names_every_rule_its_limit_and_the_nearest_body() -> None:
    with pytest.raises(PolicyError) as refused:
        enforcer(STRICT).require_new(
            soon(name="blog", remain_quota=50_000_000, group="auto", model_limits="gpt-5,gpt-4o"), NOTHING
        )
    text = str(refused.value)
    assert text.startswith("[policy] The policy of this server does not allow that.")
    for said in ("max_budget_usd: a key may spend at most $5.00", "$100.00", "name_prefix: ", "allowed_groups: "):
        assert said in text
    nearest = json.loads(text[text.index("{") : text.index("}") + 1])
    wanted = {"name": "agent-blog", "remain_quota": 2_500_000, "group": "vip", "model_limits": "gpt-4o"}
    assert {name: nearest[name] for name in wanted} == wanted
    assert enforcer(STRICT).check_new(KeySpec.model_validate(nearest)) == []


def test_where_nobody_can_guess_the_refusal_says_which_rule_is_left() -> None:
    with pytest.raises(PolicyError) as refused:
        enforcer(STRICT).require_new(soon(remain_quota=50_000_000, allow_ips=None), NOTHING)
    assert "The nearest body keeps every rule but require_ips: {" in str(refused.value)
    with pytest.raises(PolicyError) as refused:
        enforcer(STRICT).require_new(soon(allow_ips=None), NOTHING)
    assert "nearest" not in str(refused.value)


def test_a_key_too_old_to_be_extended_is_told_to_make_way_for_a_new_one() -> None:
    old = token(created_time=int(time()) - 60 * DAYS, expired_time=int(time()) - 30 * DAYS)
    with pytest.raises(PolicyError) as refused:
        enforcer(STRICT).require_change(KeyChange(old, soon()), NOTHING)
    assert "That time is over: make a new key." in str(refused.value)


def test_a_sum_that_is_nearly_used_up_leaves_what_is_left_and_a_used_up_one_nothing() -> None:
    limited = enforcer(Policy(max_sum_usd_total=2))
    nearest = limited.nearest_new(soon(remain_quota=900_000), Spending(3, 400_000))
    assert nearest is not None
    assert nearest.remain_quota == 600_000
    assert limited.nearest_new(soon(), Spending(3, 1_000_000)) is None
    before = token(expired_time=soon().expired_time)
    asked = KeyChange(before, soon(remain_quota=1_200_000))
    with pytest.raises(PolicyError) as refused:
        limited.require_change(asked, Spending(3, 900_000))
    assert "so $0.20 is left, and $1.40 is asked for." in str(refused.value)


BODIES = st.builds(
    KeySpec,
    name=any_text(min_size=1, max_size=50),
    expired_time=st.one_of(st.just(-1), st.integers(-5, int(time()) + 10**9)),
    remain_quota=st.integers(0, 10**9),
    unlimited_quota=st.booleans(),
    model_limits_enabled=st.booleans(),
    model_limits=st.lists(st.sampled_from(["gpt-5", "gpt-4o", "o3"])).map(",".join),
    allow_ips=st.one_of(st.none(), st.sampled_from(["", "192.0.2.1", "0.0.0.0/0"])),
    group=st.sampled_from(["", "auto", "vip"]),
)
POLICIES = st.builds(
    Policy,
    max_budget_usd=st.one_of(st.none(), st.floats(0.01, 100)),
    max_lifetime=st.sampled_from(["", "1d", "6 months"]),
    require_expiry=st.booleans(),
    allow_unlimited=st.booleans(),
    allowed_models=st.sampled_from([(), ("gpt-4o",), ("gpt-*", "o3")]),
    allowed_groups=st.sampled_from([(), ("none",), ("v*", "auto")]),
    require_ips=st.booleans(),
    name_prefix=st.sampled_from(["", "agent-", "ключ "]),
    max_sum_usd_total=st.one_of(st.none(), st.floats(0.01, 100)),
    max_keys_total=st.one_of(st.none(), st.integers(1, 9)),
)


@given(POLICIES, BODIES)
def test_the_nearest_body_is_allowed_but_for_what_nobody_can_guess_and_allowed_bodies_stay_as_they_are(
    policy: Policy, wanted: KeySpec
) -> None:
    judge = enforcer(policy)
    nearest = judge.nearest_new(wanted)
    assert nearest is not None
    assert {entry.rule for entry in judge.check_new(nearest)} <= {"require_ips", "allowed_models"}
    if not judge.check_new(wanted):
        assert nearest == wanted


# How it is written


def written(config: Any = None, **variables: str) -> Policy:
    environment = {f"COMETAPI_MCP_POLICY_{name.upper()}": text for name, text in variables.items()}
    return understood(environment, config or {}).policy


def test_every_rule_can_be_written_in_the_environment_and_in_the_file() -> None:
    texts = {
        "max_budget_usd": "5",
        "max_lifetime": "90d",
        "require_expiry": "1",
        "allow_unlimited": "0",
        "allowed_models": "gpt-4*, o3",
        "allowed_groups": "none,vip",
        "require_ips": "true",
        "name_prefix": "agent-",
        "only_own_prefix": "yes",
        "max_keys_per_hour": "3",
        "max_keys_per_day": "4",
        "max_keys_total": "5",
        "max_sum_usd_per_hour": "0.1",
        "max_sum_usd_per_day": "2",
        "max_sum_usd_total": "3.5",
    }
    expected = Policy(
        max_budget_usd=5,
        max_lifetime="90d",
        require_expiry=True,
        allow_unlimited=False,
        allowed_models=("gpt-4*", "o3"),
        allowed_groups=("none", "vip"),
        require_ips=True,
        name_prefix="agent-",
        only_own_prefix=True,
        max_keys_per_hour=3,
        max_keys_per_day=4,
        max_keys_total=5,
        max_sum_usd_per_hour=0.1,
        max_sum_usd_per_day=2,
        max_sum_usd_total=3.5,
    )
    assert set(texts) == {rule.name for rule in RULES} == set(expected.values)
    assert written(**texts) == expected
    table: dict[str, Any] = {
        **texts,
        "max_budget_usd": 5,
        "require_expiry": True,
        "allow_unlimited": False,
        "allowed_models": ["gpt-4*", "o3"],
        "max_keys_total": 5,
        "max_sum_usd_per_hour": 0.1,
    }
    assert written({"policy": table}) == expected
    assert len(expected.words(UNITS)) == len(RULES)


@pytest.mark.parametrize(
    ("allowed", "said", "refused"),
    [
        (("none",), "keys have no group", 'a key must have no group; this one has "free".'),
        (("vip",), "only groups vip are allowed", 'only groups vip are allowed, not "free".'),
        (
            ("none", "vip"),
            "only groups vip and keys without a group are allowed",
            'only groups vip and keys without a group are allowed, not "free".',
        ),
    ],
)
def test_no_group_is_told_in_words(allowed: tuple[str, ...], said: str, refused: str) -> None:
    policy = Policy(allowed_groups=allowed)
    assert policy.words(UNITS) == [("allowed_groups", said)]
    assert [entry.limit for entry in policy.check(body(group="free"), NOW, UNITS)] == [refused]


def test_the_environment_wins_rule_by_rule() -> None:
    policy = written({"policy": {"max_budget_usd": 5, "max_keys_total": 2}}, max_budget_usd="9", max_keys_total="")
    assert (policy.values, policy.problems) == ({"max_budget_usd": 9, "max_keys_total": 2}, ())


WRONG: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({}, {"max_buget_usd": "5"}, "Did you mean COMETAPI_MCP_POLICY_MAX_BUDGET_USD?"),
    ({}, {"budget": "5"}, '"COMETAPI_MCP_POLICY_BUDGET" is no setting'),
    ({}, {"max_budget_usd": "five"}, "US dollars"),
    ({}, {"max_budget_usd": "-1"}, "US dollars"),
    ({}, {"max_budget_usd": "nan"}, "US dollars"),
    ({}, {"max_sum_usd_total": "inf"}, "US dollars"),
    ({}, {"max_keys_total": "1.5"}, "whole number"),
    ({}, {"max_lifetime": "never"}, "span of time"),
    ({}, {"max_lifetime": "2027-01-01"}, "span of time"),
    ({}, {"max_lifetime": "200 years"}, "span of time"),
    ({}, {"require_expiry": "perhaps"}, "must be 1 or 0"),
    ({}, {"allowed_models": "a,,b"}, "patterns"),
    ({}, {"allowed_models": "gpt 4"}, "patterns"),
    ({}, {"name_prefix": "x" * 31}, "1 to 30"),
    ({}, {"only_own_prefix": "1"}, "no name_prefix"),
    ({}, {"max_budget_usd": "${input:budget}"}, "placeholder that was not filled in"),
    ({"policy": {"max_budget": 5}}, {}, '"max_budget" in the [policy] table of the config file is no setting. Did you'),
    ({"policy": {"max-budget-usd": 5}}, {}, "Did you mean max_budget_usd?"),
    ({"policy": {"colour": 5}}, {}, "The settings there are max_budget_usd, max_sum_usd_per_hour"),
    ({"policy": {"max_budget_usd": True}}, {}, "US dollars"),
    ({"policy": {"max_budget_usd": ""}}, {}, "US dollars"),
    ({"policy": {"max_keys_total": [1]}}, {}, "list of texts"),
    ({"policy": {"allowed_models": []}}, {}, "allowed_models in the config file is empty"),
    ({"policy": {"allowed_models": {"a": 1}}}, {}, "list of texts"),
    ({"policy": {"name_prefix": ""}}, {}, "1 to 30"),
    ({"policy": 5}, {}, "must be a table"),
    ({"Policy": {}}, {}, "written [policy]"),
    ({"policies": {"max_budget_usd": 5}}, {}, "Did you mean [policy]?"),
    (
        {"mcp": {"policy": {"max_budget_usd": 5}}},
        {},
        "[mcp.policy] of the config file is not read. Did you mean [policy]",
    ),
    (
        {"mcp": {"max_budget_usd": 5}},
        {},
        "max_budget_usd belongs in the [policy] table of the config file, not in [mcp]",
    ),
    ({"mcp": {"max_budget": 5}}, {}, "Did you mean max_budget_usd, which belongs in the [policy] table"),
    ({"max_budget_usd": 5}, {}, "max_budget_usd belongs in the [policy] table of the config file, not at its top"),
    ({"max_buget_usd": 5}, {}, "Did you mean max_budget_usd, which belongs in the [policy] table"),
]


@pytest.mark.parametrize(("config", "variables", "said"), WRONG)
def test_a_policy_with_a_mistake_is_never_no_policy(
    config: dict[str, Any], variables: dict[str, str], said: str
) -> None:
    policy = written(config, **variables)
    assert said in " ".join(policy.problems)
    assert broken(policy, KeySpec.model_validate(DOCUMENTED)) == ["policy"]
    assert changed(policy, token(), Status.DISABLED) == ["policy"]
    assert [entry.rule for entry in policy.check_own(token())] == ["policy"]
    assert said in str(policy.refusal(policy.check_own(token())))


@pytest.mark.parametrize(
    "variable",
    [
        "cometapi_mcp_policy_max_budget_usd",
        "COMETAPI_POLICY_MAX_BUDGET_USD",
        "COMETAPI_MCP_POLICY",
        "COMETAPI_MCP_POLICYX",
    ],
)
def test_a_variable_that_is_nearly_one_of_the_policys_is_a_mistake_too(variable: str) -> None:
    assert f'"{variable}" is no setting' in " ".join(understood({variable: "5"}, {}).policy.problems)
    assert understood({variable: ""}, {}).policy == Policy()


def test_a_config_file_that_cannot_be_read_is_no_policy_without_rules(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[policy]\nmax_budget_usd = five", encoding="utf-8")
    settings = load({"COMETAPI_ACCESS_TOKEN": "t", "COMETAPI_MCP_CONFIG": str(path)})
    assert "not valid TOML" in " ".join(settings.policy.problems)


def test_a_wrong_policy_is_no_problem_of_the_settings_for_reading_goes_on() -> None:
    settings = load({"COMETAPI_ACCESS_TOKEN": "t", "COMETAPI_MCP_POLICY_X": "1"})
    assert settings.problems == ()
    assert settings.policy.problems


def test_a_policy_has_no_rule_that_nobody_knows_and_none_that_is_not_set() -> None:
    with pytest.raises(TypeError, match="max_budget"):
        Policy(max_budget=5)
    unset: dict[str, Any] = dict.fromkeys((rule.name for rule in RULES), None)
    assert Policy(**unset) == Policy(require_expiry=False, allow_unlimited=True, allowed_models=()) == Policy()
    assert Policy(max_keys_total=0).values == {"max_keys_total": 0}


def test_each_rule_is_one_setting_with_its_variable_and_its_key() -> None:
    listed = {setting.variable: setting.key for setting in SETTINGS}
    assert {rule.variable(): rule.key() for rule in RULES}.items() <= listed.items()


# The command


def command(home: Path, *arguments: str, stdin: str = "", **rules: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "USERPROFILE": str(home), **rules}
    return in_process("policy", *arguments, environment=environment, stdin=stdin)


def test_the_command_prints_the_policy_in_force_in_plain_words(tmp_path: Path) -> None:
    rules = {"COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "5", "COMETAPI_MCP_POLICY_MAX_KEYS_PER_DAY": "1"}
    rules["COMETAPI_ACCESS_TOKEN"] = "made-up"
    shown = command(tmp_path, **rules)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "- a key may spend at most $5.00 in all (max_budget_usd)\n- at most 1 key is made per day (max_keys_per_day)\n"
    )
    everything = command(tmp_path, "--all", **rules).stdout
    assert everything.startswith(f"{shown.stdout}Not set: max_sum_usd_per_hour, ")
    assert "--all" in command(tmp_path, "--help").stdout


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, [f"No rule is set: agents may make, change, delete, rotate and save {ANY}"]),
        ({"READ_ONLY": "1"}, ["Read-only: agents can change nothing (mcp.read_only)."]),
        (
            {"CONFIRM": "writes"},
            [
                "A person confirms every write (mcp.confirm = writes); a client that can't ask is refused.",
                f"No rule is set: with a person's yes agents may make, change, delete, rotate and save {ANY}",
            ],
        ),
        (
            {"CONFIRM": "destructive", "CONFIRM_FALLBACK": "allow", "DISABLE_TOOLS": "delete_api_key,list_models"},
            [
                f"A person confirms each {ENDING} of a key (mcp.confirm = destructive); {UNASKED}",
                "Tools left out: delete_api_key, list_models (mcp.disable_tools).",
                f"No rule is set: agents may make and save, and with a person's yes change and rotate, {ANY}",
            ],
        ),
        (
            {"DISABLE_TOOLS": "create_api_key,update_api_key,delete_api_key,rotate_api_key,save_api_key"},
            [
                "Agents can change nothing: every tool that does is left out (mcp.disable_tools).",
                (
                    "Tools left out: create_api_key, update_api_key, delete_api_key, rotate_api_key, save_api_key "
                    "(mcp.disable_tools)."
                ),
            ],
        ),
        (
            {"READ_ONLY": "1", "POLICY_ALLOWED_GROUPS": "none"},
            ["Read-only: agents can change nothing (mcp.read_only).", "- keys have no group (allowed_groups)"],
        ),
    ],
)
def test_the_command_says_what_agents_may_do_under_every_guard(
    settings: dict[str, str], said: list[str], tmp_path: Path
) -> None:
    variables = {f"COMETAPI_MCP_{name}": text for name, text in settings.items()}
    shown = command(tmp_path, **variables, COMETAPI_ACCESS_TOKEN="made-up")
    assert (shown.returncode, shown.stdout.splitlines(), shown.stderr) == (0, said, "")


@pytest.mark.parametrize("wrong", [{"COMETAPI_MCP_READONLY": "1"}, {"COMETAPI_MCP_CONFIRM": "always"}])
def test_the_command_says_that_a_wrong_setting_stops_every_call_and_fails(
    wrong: dict[str, str], tmp_path: Path
) -> None:
    for arguments in ((), ("check", "-")):
        shown = command(tmp_path, *arguments, stdin=json.dumps(DOCUMENTED), **wrong)
        assert shown.returncode == 1
        assert shown.stdout.startswith("A setting is wrong, so the server refuses every call:\n- ")
        assert next(iter(wrong)) in shown.stdout
        assert "No rule is set" not in shown.stdout


def test_each_writing_tool_has_its_verb() -> None:
    assert list(VERBS) == [tool.name for tool in TOOLS if tool.writes]


def test_the_command_says_that_a_policy_cannot_be_used_and_fails(tmp_path: Path) -> None:
    shown = command(tmp_path, COMETAPI_MCP_POLICY_MAX_BUDGET_USD="five")
    assert shown.returncode == 1
    assert "COMETAPI_MCP_POLICY_MAX_BUDGET_USD must be a number of US dollars" in shown.stdout
    checked = command(tmp_path, "check", "-", stdin=json.dumps(DOCUMENTED), COMETAPI_MCP_POLICY_MAX_BUDGET_USD="five")
    assert checked.returncode == 1
    assert "must be a number" in checked.stdout


def test_the_command_judges_a_body_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(DOCUMENTED), encoding="utf-8")
    allowed = command(tmp_path, "check", str(file))
    assert (allowed.returncode, allowed.stdout, allowed.stderr) == (0, "Allowed.\n", "")
    refused = command(tmp_path, "check", "-", stdin=json.dumps(DOCUMENTED), COMETAPI_MCP_POLICY_MAX_BUDGET_USD="0.1")
    assert (refused.returncode, refused.stderr) == (1, "")
    assert "- max_budget_usd: a key may spend at most $0.10 in all" in refused.stdout
    nearest = json.loads(refused.stdout[refused.stdout.index("{") :])
    assert nearest == {**DOCUMENTED, "remain_quota": 50_000}


async def test_the_command_judges_with_what_the_journal_counted_for_the_account_where_it_knows_whose(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_PER_DAY="2")

    async def judged(**environment: str) -> tuple[int, str]:
        done = await anyio.to_thread.run_sync(
            lambda: command(home.directory, "check", "-", stdin='{"name": "x"}', **{**home.environment, **environment})
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    assert await judged() == (0, "Allowed.\nCounted so far: 0 keys were made and $0.00 of budget given, in all.\n")
    assert not home.state.exists()
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "one", "remain_quota": 500_000}))
        assert await judged() == (0, "Allowed.\nCounted so far: 1 key was made and $1.00 of budget given, in all.\n")
        data_of(await client.call_tool("create_api_key", {"name": "two"}))
    status, said = await judged()
    assert status == 1
    assert said.startswith("Refused:\n- max_keys_per_day: at most 2 keys may be made per day, and 2 were.")
    assert "nearest" not in said
    status, said = await judged(COMETAPI_ACCESS_TOKEN="another-account")
    assert (status, said.splitlines()[0]) == (3, "Allowed, but for counts and sums.")
    assert "judged as if no key had been made yet: the journal knows no account by this access token" in said
    status, said = await judged(COMETAPI_ACCESS_TOKEN="")
    assert status == 3
    assert "judged as if no key had been made yet: without an access token" in said


def test_the_command_cannot_judge_counts_in_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    state = tmp_path / "letter"
    state.write_text("not a journal", encoding="utf-8")
    rules = {"COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL": "5", "COMETAPI_ACCESS_TOKEN": "t", "COMETAPI_MCP_STATE": str(state)}
    shown = command(tmp_path, "check", "-", stdin='{"name": "x"}', **rules)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "is no journal" in shown.stderr


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ({"READ_ONLY": "1"}, "Refused: the server has no tool that makes a key (mcp.read_only).\n"),
        (
            {"DISABLE_TOOLS": "create_api_key"},
            "Refused: the server has no tool that makes a key (mcp.disable_tools).\n",
        ),
        ({"CONFIRM": "writes"}, "Allowed, once a person has confirmed it (mcp.confirm).\n"),
        ({"CONFIRM": "destructive"}, "Allowed.\n"),
    ],
)
def test_the_command_judges_a_body_by_every_guard(guards: dict[str, str], said: str, tmp_path: Path) -> None:
    variables = {f"COMETAPI_MCP_{name}": text for name, text in guards.items()}
    shown = command(tmp_path, "check", "-", stdin='{"name": "x"}', **variables)
    assert (shown.returncode, shown.stdout) == (int(said.startswith("Refused")), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"name": "x", "budget_usd": 5}', "There is no argument"),
        ('{"remain_quota": 5}', '"name" is needed'),
        ('{"name": "x", "remain_quota": true}', "whole number"),
        ('{"name": "x", "expired_time": 0}', "1970"),
        ('{"name": "\\ud800"}', "not valid JSON"),
    ],
)
def test_the_command_cannot_judge_what_is_no_body(text: str, said: str, tmp_path: Path) -> None:
    shown = command(tmp_path, "check", "-", stdin=text)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert said in shown.stderr


def test_the_command_names_a_file_that_is_not_there_and_explains_itself(tmp_path: Path) -> None:
    missing = command(tmp_path, "check", "missing.json")
    assert missing.returncode == 2
    assert "missing.json" in missing.stderr
    assert command(tmp_path, "--help").returncode == 0
    without = command(tmp_path, "check")
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.startswith(
        "cometapi-mcp policy check: It needs a file with the JSON arguments of create_api_key"
    )
    unknown = command(tmp_path, "chek", "x")
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (
        2,
        "cometapi-mcp policy: No such command 'chek'. Did you mean 'check'?",
    )


def test_the_command_says_that_a_server_without_a_token_refuses_every_call_and_fails(tmp_path: Path) -> None:
    shown = command(tmp_path)
    assert shown.returncode == 1
    assert "No access token is set here, and without one the server refuses every call" in shown.stdout
    assert "No access token" not in command(tmp_path, COMETAPI_ACCESS_TOKEN="made-up").stdout


def test_what_comes_from_standard_input_is_called_so(tmp_path: Path) -> None:
    shown = command(tmp_path, "check", "-", stdin="{")
    assert shown.stderr == "cometapi-mcp policy: standard input: it is not valid JSON.\n"


def test_the_policy_is_pure_and_imports_neither_the_environment_nor_the_journal() -> None:
    far = {"sqlite3", "httpx", "comet_mcp.state"}
    code = f"import sys, comet_mcp.policy.enforcer; print(sorted({far} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_a_name_that_the_terminal_cannot_show_ends_no_command(tmp_path: Path) -> None:
    environment = {
        "COMETAPI_MCP_POLICY_NAME_PREFIX": "報告-",
        "COMETAPI_ACCESS_TOKEN": "made-up",
        "HOME": str(tmp_path),
    }
    shown = in_process("policy", environment=environment, encoding="cp1252")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "u5831" in shown.stdout


def test_a_list_of_models_is_held_against_all_patterns_at_once() -> None:
    patterns = ",".join(f"family{number}-*" for number in range(1000))
    policy = understood({"COMETAPI_MCP_POLICY_ALLOWED_MODELS": patterns}, {}).policy
    assert policy.problems == ()
    compiled = _compiled.cache_info().misses
    models = ",".join(f"family{number}-large" for number in range(1000))
    assert broken(policy, body(model_limits_enabled=True, model_limits=models)) == []
    assert broken(policy, body(model_limits_enabled=True, model_limits=f"{models},other")) == ["allowed_models"]
    assert _compiled.cache_info().misses == compiled + 1


def test_more_patterns_than_are_held_against_a_list_are_a_problem_of_the_policy() -> None:
    patterns = ",".join(f"family{number}-*" for number in range(1001))
    (said,) = understood({"COMETAPI_MCP_POLICY_ALLOWED_MODELS": patterns}, {}).policy.problems
    assert "must have at most 1000 patterns" in said


@pytest.mark.parametrize("saves", [True, False])
def test_the_command_names_the_folders_whose_dotenv_files_may_be_written(saves: bool, tmp_path: Path) -> None:
    variables = {} if saves else {"COMETAPI_MCP_DISABLE_TOOLS": "save_api_key"}
    shown = command(tmp_path, COMETAPI_ACCESS_TOKEN="made-up", COMETAPI_MCP_ENV_DIRS=str(tmp_path), **variables)
    said = f"Key values may be put into dotenv files in and below {quoted(str(tmp_path), 300)} (mcp.env_dirs)."
    assert (said in shown.stdout.splitlines()) is saves


def test_the_command_names_the_places_elsewhere_into_which_a_rotation_may_put_a_value(tmp_path: Path) -> None:
    places = "github:me/shop/*, command:tee /a,b"
    shown = command(tmp_path, COMETAPI_ACCESS_TOKEN="made-up", COMETAPI_MCP_PLACES=places)
    said = 'had the old one: "github:me/shop/*", "command:tee /a,b" (mcp.places).'
    assert [line for line in shown.stdout.splitlines() if line.endswith(said)]
