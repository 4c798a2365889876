from __future__ import annotations

from typing import Any

import pytest

from comet_mcp.domain.change import KeyChange, KeyHistory, added_units, expands_access, expansion_warnings
from comet_mcp.domain.key import Key, KeySpec, Status

NOW = 1_795_000_000
DAYS = 86_400
SOUND: dict[str, Any] = {
    "name": "agent-blog",
    "remain_quota": 500_000,
    "expired_time": NOW + DAYS,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "192.0.2.1",
    "group": "vip",
}


def body(**changes: Any) -> KeySpec:
    return KeySpec.model_validate({**SOUND, **changes})


def token(**changes: Any) -> Key:
    return Key.model_validate({"id": 7, "status": 1, "created_time": NOW - DAYS, **SOUND, **changes})


@pytest.mark.parametrize(
    ("before", "after", "wider"),
    [
        ({}, {}, False),
        ({}, {"remain_quota": 500_001}, True),
        ({"remain_quota": -7}, {"remain_quota": 0}, False),
        ({"unlimited_quota": True}, {"unlimited_quota": False, "remain_quota": 10**12}, False),
        ({}, {"unlimited_quota": True}, True),
        ({}, {"expired_time": NOW + DAYS + 1}, True),
        ({}, {"expired_time": -1}, True),
        ({}, {"expired_time": -5}, True),
        ({"expired_time": 0}, {"expired_time": NOW}, True),
        ({"expired_time": -1}, {"expired_time": NOW}, False),
        ({}, {"model_limits": ""}, False),
        ({}, {"model_limits_enabled": False}, True),
        ({"model_limits_enabled": False}, {"model_limits_enabled": True, "model_limits": "o3"}, False),
        ({}, {"allow_ips": None}, True),
        ({"allow_ips": ""}, {"allow_ips": "0.0.0.0/0"}, False),
        ({}, {"allow_ips": "192.0.2.1\n192.0.2.2"}, True),
        ({"allow_ips": "192.0.2.0/24"}, {"allow_ips": "192.0.2.0/25\n192.0.2.200"}, False),
        ({}, {"allow_ips": ","}, True),
        ({}, {"allow_ips": "abc"}, True),
        ({"allow_ips": "abc"}, {"allow_ips": "192.0.2.1"}, True),
        ({"allow_ips": "abc"}, {"allow_ips": "abc"}, False),
        ({"allow_ips": "192.0.2.0/255.255.255.0"}, {"allow_ips": "192.0.2.1"}, True),
        ({"allow_ips": " ,"}, {"allow_ips": "192.0.2.1"}, False),
        ({}, {"group": ""}, True),
        ({"cross_group_retry": True}, {"cross_group_retry": False}, False),
        ({}, {"name": "other"}, False),
    ],
)
def test_wider_is_whatever_lets_a_key_do_what_it_could_not(
    before: dict[str, Any], after: dict[str, Any], wider: bool
) -> None:
    old, wanted = token(**before), body(**{**before, **after})
    assert expands_access(old, wanted) is wider
    assert len(expansion_warnings(old, wanted)) == wider


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"remain_quota": 500_001}, "spend more"),
        ({"unlimited_quota": True}, "spend the account's whole balance"),
        ({"expired_time": -1}, "be used longer"),
        ({"model_limits": "o3"}, "call other models"),
        ({"model_limits_enabled": False}, "call every model"),
        ({"group": ""}, "use the account's own group, for it loses its group"),
        ({"group": "default"}, "use another group"),
        ({"cross_group_retry": True}, "go on in another group"),
        ({"allow_ips": "192.0.2.9"}, "be used from other addresses"),
        ({"allow_ips": ""}, "be used from every address"),
        (
            {"allow_ips": "", "group": ""},
            "use the account's own group, for it loses its group, be used from every address",
        ),
    ],
)
def test_a_change_that_lets_a_key_do_more_is_warned_of_with_all_that(after: dict[str, Any], said: str) -> None:
    (warning,) = expansion_warnings(token(), body(**after))
    assert warning == f"This change lets the key do what it could not before: {said}."


def test_added_is_what_a_key_may_spend_more_and_all_of_it_where_it_had_no_budget() -> None:
    assert added_units(token(), body(remain_quota=500_005)) == 5
    assert added_units(token(), body(remain_quota=1)) == 0
    assert added_units(token(remain_quota=-7), body(remain_quota=3)) == 10
    assert added_units(token(remain_quota=-7), body(remain_quota=0)) == 0  # what the API keeps of it is not added
    assert added_units(token(unlimited_quota=True), body(remain_quota=9)) == 9
    assert added_units(token(), body(unlimited_quota=True, remain_quota=10**9)) == 0


@pytest.mark.parametrize(("left", "wanted", "moved"), [(5, 5, 0), (5, 8, 3), (5, 0, -5), (-7, 0, 0), (-7, 3, 10)])
def test_a_change_keeps_what_a_key_has_overspent_unless_it_gives_it_something(
    left: int, wanted: int, moved: int
) -> None:
    assert KeyChange(token(remain_quota=left), body(remain_quota=wanted)).moved == moved


def test_the_record_after_a_change_has_what_was_asked_for_and_the_rest_of_the_old_one() -> None:
    before = token(status=2, used_quota=9, key="a" * 48, next_release="kept")
    after = KeyChange(before, body(name="new", allow_ips=None), Status.ENABLED).after
    assert (after.name, after.allow_ips, after.status) == ("new", "", Status.ENABLED)
    assert (after.id, after.used_quota, after.key, after.extra) == (7, 9, before.key, {"next_release": "kept"})
    assert KeyChange(before, body()).after == before


def test_the_history_of_a_key_is_what_it_spent_and_when_it_was_made() -> None:
    assert KeyHistory.of(token(used_quota=9)) == KeyHistory(9, NOW - DAYS)
