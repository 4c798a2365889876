from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comet_mcp.domain.money import MAX_QUOTA_NEWER, Units
from tests.e2e.life import (
    CHANGES,
    FIELDS,
    FULL,
    LATER,
    after_each_write,
    before_each_write,
    before_read,
    body_of,
    connected,
    full_key,
    spend,
    spend_before_writes,
)
from tests.support import Home, data_of, error_of, text_of

OTHER: dict[str, Any] = {
    "name": "another name",
    "expired_time": LATER + 86_400,
    "remain_quota": 1_000_000,
    "unlimited_quota": True,
    "model_limits_enabled": False,
    "model_limits": "gpt-5",
    "allow_ips": "198.51.100.0/24",
    "group": "auto",
    "cross_group_retry": False,
}
SAID: dict[str, tuple[str, str]] = {
    "name": ("name", '"blog" -> "another name"'),
    "expired_time": ("ends", "2030-03-17T17:46:40Z -> 2030-03-18T17:46:40Z"),
    "remain_quota": ("budget", "$5.00 left -> $2.00 left"),
    "unlimited_quota": ("budget", "$5.00 left -> unlimited"),
    "model_limits_enabled": (
        "models",
        "gpt-4.1-mini, gpt-4o -> any; a list that is switched off: gpt-4.1-mini, gpt-4o",
    ),
    "model_limits": ("models", "gpt-4.1-mini, gpt-4o -> gpt-5"),
    "allow_ips": ("addresses", "192.0.2.1, 2001:db8::/32 -> 198.51.100.0/24"),
    "group": ("group", "none -> auto"),
    "cross_group_retry": ("cross_group_retry", "yes -> no"),
}
"""What is said of a key of FULL when a field becomes that of OTHER: the word, and the change."""
DIALECTS = ("documented", "gateway", "gateway-2026-03")
PAST = 1_600_000_000
usd = Units().usd


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("field", FIELDS)
async def test_one_field_changes_and_the_other_eight_survive(
    field: str, dialect: str, make_home: Callable[..., Home]
) -> None:
    home = make_home(dialect=dialect)
    # a group whose keys keep cross_group_retry cannot be left in every release: that is another test
    row = full_key(home.sandbox, group="" if field == "group" else "auto", cross_group_retry=field != "group")
    before = body_of(row)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, field: OTHER[field]}))
    assert body_of(row) == {**before, field: OTHER[field]}
    assert answer["changed"] == dict([SAID[field]])
    assert not {"expired_time", "remain_quota", "unlimited_quota", "raw"} & answer.keys()
    assert row.status == 1
    assert home.sandbox.count("update") == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("word", "number"), [("disabled", 2), ("enabled", 1)])
async def test_the_status_alone_changes_in_every_dialect_and_all_nine_fields_survive(
    dialect: str, word: str, number: int, make_home: Callable[..., Home]
) -> None:
    home = make_home(dialect=dialect)
    row = full_key(home.sandbox, status=3 - number)
    before = body_of(row)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "status": word}))
    assert (row.status, body_of(row)) == (number, before)
    assert answer["changed"] == {"state": "works -> disabled" if word == "disabled" else "disabled -> works"}
    assert answer["state"] == ("disabled" if word == "disabled" else "works")


_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50),
        "expired_time": st.one_of(st.just(-1), st.integers(LATER, LATER + 10**8)),
        "remain_quota": st.integers(1, MAX_QUOTA_NEWER),
        "unlimited_quota": st.booleans(),
        "model_limits_enabled": st.booleans(),
        "model_limits": st.lists(st.sampled_from(["gpt-5", "gpt-4o", "o3"]), unique=True).map(",".join),
        "allow_ips": st.lists(st.ip_addresses().map(str), unique=True, max_size=3).map("\n".join),
        "group": st.just("auto"),
        "cross_group_retry": st.booleans(),
        "status": st.sampled_from(["enabled", "disabled"]),
    },
).filter(lambda changes: changes and not (changes.get("model_limits") and changes.get("model_limits_enabled") is False))


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=_CHANGES, others=st.sets(st.sampled_from(FIELDS)))
async def test_any_set_of_fields_and_the_status_gives_exactly_that_change(
    dialect: str, make_home: Callable[..., Home], changes: dict[str, Any], others: set[str]
) -> None:
    home = _kept(make_home, dialect)
    row = full_key(home.sandbox)
    before = body_of(row)
    nulls = dict.fromkeys(others - changes.keys())
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, **changes, **nulls}))
    fields = {name: value for name, value in changes.items() if name != "status"}
    assert body_of(row) == {**before, **fields}
    assert row.status == (2 if changes.get("status") == "disabled" else 1)
    assert answer["changed"].keys() - {"state"} == {
        SAID[name][0] for name, value in fields.items() if value != before[name]
    }


_homes: dict[Any, Home] = {}


def _kept(make_home: Callable[..., Home], dialect: str) -> Home:
    """One home for all examples of a test, each with a key of its own."""
    if make_home not in _homes:
        _homes.clear()
        _homes[make_home] = make_home(dialect=dialect)
    return _homes[make_home]


@pytest.mark.parametrize("field", ["model_limits", "allow_ips", "group"])
async def test_null_leaves_a_text_as_it_is_and_an_empty_one_clears_it(field: str, home: Home) -> None:
    row = full_key(home.sandbox, cross_group_retry=False)
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, field: None, "name": "renamed"}))
        assert body_of(row) == {**FULL, "cross_group_retry": False, "name": "renamed"}
        data_of(await client.call_tool("update_api_key", {"id": row.id, field: ""}))
    assert body_of(row) == {**FULL, "cross_group_retry": False, "name": "renamed", field: ""}


@pytest.mark.parametrize("arguments", [{}, {"name": None, "status": None, "add_budget_usd": None}])
async def test_a_change_that_names_nothing_is_refused_before_anything_is_sent(
    arguments: dict[str, None], home: Home
) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, **arguments}))
    assert "Give at least one field beside id" in said
    assert home.sandbox.requests == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("expired_time", 0, "1970"),
        ("expired_time", LATER * 1000, "milliseconds"),
        ("name", "", "name is empty"),
        ("name", "x" * 51, "51 bytes"),
        ("allow_ips", "192.0.2.1, 192.0.2.2", "line breaks"),
        ("model_limits", "gpt-4o gpt-5", "no model id"),
        ("status", "expired", "one of"),
        ("status", 2, "one of"),
        ("remain_quota", -1, "at least 0"),
        ("budget_usd", -1, "at least 0"),
        ("budgets", 5, "There is no argument"),
        ("lifetime", "03/09/2029", "can mean"),
        ("lifetime", "2 weeks ago", "not understood"),
    ],
)
async def test_a_wrong_value_is_refused_with_the_right_form_and_nothing_is_written(
    field: str, value: Any, said: str, make_home: Callable[..., Home]
) -> None:
    home = make_home()
    row = full_key(home.sandbox)
    async with connected(home) as client:
        assert said in error_of(await client.call_tool("update_api_key", {"id": row.id, field: value}))
    assert body_of(row) == FULL
    assert home.sandbox.count("update") == 0


async def test_a_top_up_of_nothing_is_refused(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0}))
    assert "add_budget_usd must not be 0" in said
    assert home.sandbox.count("update") == 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "change", [{"name": "renamed"}, {"status": "disabled"}, {"name": "both", "status": "disabled"}]
)
async def test_quota_spent_between_the_read_and_the_write_is_not_given_back(
    dialect: str, change: dict[str, str], make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect=dialect)
    row = full_key(home.sandbox, used_quota=7)
    spend_before_writes(monkeypatch, home.sandbox, row, 1_000, 300, 20)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    spent = row.used_quota - 7
    assert spent >= 1_000
    assert row.remain_quota == FULL["remain_quota"] - spent
    assert answer["budget"] == f"{usd(row.remain_quota)} of {usd(row.remain_quota + row.used_quota)} left"
    assert "warnings" not in answer


async def test_a_top_up_adds_exactly_that_to_what_is_left_even_while_the_key_spends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, row, 250, 30)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 0.1}))
    assert row.remain_quota + row.used_quota == FULL["remain_quota"] + 50_000
    assert answer["budget"] == f"{usd(row.remain_quota)} of $5.10 left"
    assert answer["warnings"] == ["This change lets the key do what it could not before: spend more."]


async def test_a_named_quota_is_what_the_key_has_left_from_then_on_whatever_it_spent_before(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    before_each_write(monkeypatch, home.sandbox, lambda: spend(row, 999))
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "remain_quota": 40_000}))
    assert (row.remain_quota, answer["changed"]) == (40_000, {"budget": "$5.00 left -> $0.08 left"})
    assert home.sandbox.count("update") == 1


async def test_a_named_quota_is_not_refilled_when_the_status_is_written_after_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, row, 0, 700)  # the status is the second write
    arguments = {"id": row.id, "remain_quota": 40_000, "status": "disabled"}
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", arguments))
    assert (row.remain_quota, row.status) == (40_000 - 700, 2)


@pytest.mark.parametrize(
    ("amount", "fields", "said"),
    [
        (0.000001, {}, "less than one quota unit, $0.000002"),
        (1e9, {}, "more than the API allows"),
        (5, {"unlimited_quota": True}, "Send unlimited_quota false too"),
    ],
)
async def test_a_top_up_that_cannot_be_is_refused_and_nothing_is_written(
    amount: float, fields: dict[str, Any], said: str, home: Home
) -> None:
    row = full_key(home.sandbox, **fields)
    async with connected(home) as client:
        assert said in error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": amount}))
        both = {"id": row.id, "add_budget_usd": 1, "remain_quota": 5_000}
        assert "Give one of them" in error_of(await client.call_tool("update_api_key", both))
    assert home.sandbox.count("update") == 0


@pytest.mark.parametrize("left", [0, 700, -700])
async def test_a_key_without_a_budget_gets_one_in_one_call(left: int, home: Home) -> None:
    row = full_key(home.sandbox, unlimited_quota=True, remain_quota=left, used_quota=9)
    arguments = {"id": row.id, "unlimited_quota": False, "add_budget_usd": 2}
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", arguments))
    assert (row.unlimited_quota, row.remain_quota) == (False, 1_000_000)
    assert answer["changed"] == {"budget": "unlimited -> $2.00 left"}
    assert "warnings" not in answer


@pytest.mark.parametrize(("more", "left"), [({}, 699_000), ({"add_budget_usd": 2}, 1_000_000)])
async def test_what_a_key_without_a_budget_spends_meanwhile_comes_off_what_it_had_and_not_off_what_it_gets(
    more: dict[str, int], left: int, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox, unlimited_quota=True, remain_quota=700_000)
    spend_before_writes(monkeypatch, home.sandbox, row, 1_000)
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, "unlimited_quota": False, **more}))
    assert (row.unlimited_quota, row.remain_quota) == (False, left)


@pytest.mark.parametrize("more", [{}, {"name": "renamed"}, {"status": "disabled"}])
async def test_taking_away_unlimited_and_nothing_else_is_refused_instead_of_making_a_dead_key(
    more: dict[str, str], home: Home
) -> None:
    row = full_key(home.sandbox, unlimited_quota=True, remain_quota=0)
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "unlimited_quota": False, **more}))
    assert "Send remain_quota or add_budget_usd too." in said
    assert home.sandbox.count("update") == 0


async def test_a_top_up_and_no_budget_at_all_contradict_each_other(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        arguments = {"id": row.id, "unlimited_quota": True, "add_budget_usd": 2}
        assert "nothing to add to" in error_of(await client.call_tool("update_api_key", arguments))
    assert body_of(row) == FULL


async def test_a_model_list_that_would_have_no_effect_is_refused_and_nothing_is_written(home: Home) -> None:
    row = full_key(home.sandbox, model_limits_enabled=False, model_limits="")
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-4.1"}))
    assert said.startswith("[invalid_argument] model_limits has no effect on this key")
    assert home.sandbox.count("update") == 0


async def test_an_end_in_the_past_ends_a_key_at_once_with_a_warning(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": PAST}))
    assert row.expired_time == PAST
    assert answer["state"] == "expired"
    assert "is refused from now on" in " ".join(answer["warnings"])


async def test_a_change_that_raced_with_another_is_told_field_by_field(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    after_each_write(monkeypatch, home.sandbox, lambda: setattr(row, "name", "theirs"))
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "allow_ips": ""}))
    said = " ".join(answer["warnings"])
    assert 'name is "theirs" now, though "blog" was written: somebody else' in said
    assert answer["name"] == "theirs"
    assert answer["changed"]["name"] == '"blog" -> "theirs"'


async def test_a_quota_that_somebody_else_set_at_the_same_moment_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for quota in (10, 9_000_000):
        row = full_key(home.sandbox)
        with monkeypatch.context() as patch:
            after_each_write(patch, home.sandbox, lambda row=row, quota=quota: setattr(row, "remain_quota", quota))  # type: ignore[misc]
            async with connected(home) as client:
                answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "mine"}))
        assert f"remain_quota is {quota} now, where 2500000 was to be expected" in " ".join(answer["warnings"])


async def test_what_a_release_changes_by_itself_is_told(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "group": "vip"}))
    assert (row.group, row.cross_group_retry) == ("vip", False)
    assert "cross_group_retry is false now, though true was written" in " ".join(answer["warnings"])


async def test_an_expired_key_is_extended_and_enabled_in_one_call(home: Home) -> None:
    row = full_key(home.sandbox, status=3, expired_time=PAST)
    async with connected(home) as client:
        arguments = {"id": row.id, "expired_time": LATER, "status": "enabled"}
        answer = data_of(await client.call_tool("update_api_key", arguments))
    assert (row.status, body_of(row)) == (1, FULL)
    assert answer["changed"] == {
        "ends": "2020-09-13T12:26:40Z -> 2030-03-17T17:46:40Z",
        "state": "expired -> works",
    }
    assert answer["warnings"] == ["This change lets the key do what it could not before: be used longer."]


async def test_extending_an_expired_key_alone_says_that_its_status_is_still_expired(home: Home) -> None:
    row = full_key(home.sandbox, status=3, expired_time=PAST)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "expired_time": LATER}))
    assert (row.status, row.expired_time) == (3, LATER)
    assert 'send status "enabled" too' in " ".join(answer["warnings"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": 3, "expired_time": PAST}, "a later end (lifetime)"),
        ({"status": 4, "remain_quota": 0}, "budget_usd"),
    ],
)
async def test_enabling_a_dead_key_is_refused_with_what_to_change(
    fields: dict[str, int], said: str, home: Home
) -> None:
    row = full_key(home.sandbox, **fields)
    async with connected(home) as client:
        text = error_of(await client.call_tool("update_api_key", {"id": row.id, "status": "enabled"}))
    assert said in text
    assert row.status == fields["status"]
    assert body_of(row) == {name: {**FULL, **fields}[name] for name in FIELDS}


async def test_a_refused_status_never_says_that_nothing_was_changed_when_a_field_was(home: Home) -> None:
    row = full_key(home.sandbox, status=3, expired_time=PAST)
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "name": "renamed", "status": "enabled"})
    assert row.name == "blog" or "Nothing was changed" not in text_of(result)


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"status": "disabled"}, {"remain_quota": 5_000}])
async def test_a_key_that_spent_more_than_it_had_can_still_be_changed(change: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, remain_quota=-7, used_quota=1_000)
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    assert row.name == change.get("name", "blog")
    assert row.status == (2 if "status" in change else 1)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", ["reset_after", "status_after", "garbage", "empty_after", "html_after"])
async def test_a_change_whose_answer_was_lost_is_judged_by_what_is_there(
    fault: str, change: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", fault)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    more = ["This change lets the key do what it could not before: spend more."]
    assert answer.get("warnings", []) == (more if "add_budget_usd" in change else [])
    assert answer["changed"]
    assert home.sandbox.count("update") == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", ["reset_before", "status", "html", "refused"])
async def test_a_change_that_never_arrived_is_an_error_and_the_key_is_as_it_was(
    fault: str, change: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", fault)
    async with connected(home) as client:
        error_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    assert (body_of(row), row.status) == (FULL, 1)
    assert home.sandbox.count("update") == 1


async def test_a_lost_change_is_not_taken_for_made_because_the_key_spent_meanwhile(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("update", "reset_before")
    before_read(monkeypatch, home.sandbox, 2, lambda: spend(row, 100))
    async with connected(home) as client:
        result = await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1})
    assert row.remain_quota == FULL["remain_quota"] - 100
    assert "somebody else" not in error_of(result)


async def test_a_missing_key_sends_the_model_to_the_list_and_nothing_is_written(home: Home) -> None:
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": 99, "name": "x"}))
    assert said.startswith("[key_not_found]")
    assert home.sandbox.count("update") == 0


async def test_an_unknown_model_is_warned_about_with_the_nearest_name_and_written_all_the_same(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "model_limits": "gpt-4.1-mni"}))
    assert 'no model "gpt-4.1-mni"' in " ".join(answer["warnings"])
    assert '"gpt-4.1-mini"' in " ".join(answer["warnings"])
    assert row.model_limits == "gpt-4.1-mni"


async def test_a_change_of_something_else_does_not_ask_for_the_catalog(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", {"id": row.id, "name": "renamed"}))
    calls = [request.call for request in home.sandbox.requests if request.call not in ("list", "status")]
    assert calls == ["get", "update", "get"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"allow_ips": ""}, "be used from every address"),
        ({"group": ""}, "use the account's own group, for it loses its group"),
        ({"allow_ips": "0.0.0.0/0"}, "be used from every address"),
    ],
)
async def test_what_a_key_loses_of_its_limits_is_warned_of(change: dict[str, Any], said: str, home: Home) -> None:
    row = full_key(home.sandbox, group="vip", cross_group_retry=False)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    assert f"This change lets the key do what it could not before: {said}." in answer["warnings"]


OVERSPENT: dict[str, Any] = {"group": "", "cross_group_retry": False, "remain_quota": -948_211, "used_quota": 2_000_000}
"""A key that spent $1.90 more than it had: a call is charged when it has ended (measured)."""


@pytest.mark.parametrize("change", [{"status": "disabled"}, {"name": "renamed"}, {"name": "n", "status": "disabled"}])
async def test_a_change_of_a_key_that_is_overspent_blames_nobody_and_tells_what_becomes_of_its_budget(
    change: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox, **OVERSPENT)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    said = " ".join(answer.get("warnings", []))
    assert "somebody else" not in said
    assert "too high" not in said
    if home.sandbox.dialect.status_in_put or "name" in change:  # a full write, and the API takes no less than 0
        assert row.remain_quota == 0
        assert "The key had spent $1.89 more than its budget. The API takes no budget below 0" in said
    else:
        assert row.remain_quota == -948_211
        assert said == ""


@pytest.mark.parametrize("between", [[], [{"name": "renamed"}], [{"status": "disabled"}, {"status": "enabled"}]])
async def test_what_a_key_has_overspent_comes_off_what_is_added(between: list[dict[str, Any]], home: Home) -> None:
    row = full_key(home.sandbox, **OVERSPENT)
    async with connected(home) as client:
        for change in between:
            await client.call_tool("update_api_key", {"id": row.id, **change})
        if row.remain_quota < 0:
            said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 1}))
            assert "has spent $1.89 more than its budget, which comes off what is added" in said
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": 2}))
    assert row.remain_quota + row.used_quota == 2_000_000 - 948_211 + 1_000_000
    assert row.remain_quota == 51_789
    assert answer["changed"]["budget"].endswith("-> $0.103578 left")
    assert bool(between and answer["changed"]["budget"].startswith("$0.00 left")) == (
        "was made good" in " ".join(answer["warnings"])
    )


async def test_an_end_in_words_is_the_same_change_as_its_expired_time(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_TIMEZONE="Asia/Tokyo") as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "lifetime": "2029-12-31"}))
        assert row.expired_time == 1_893_423_600  # 24:00 in Tokyo
        assert answer["changed"] == {"ends": "2030-03-17T17:46:40Z -> 2029-12-31T15:00:00Z"}
        data_of(await client.call_tool("update_api_key", {"id": row.id, "lifetime": "never"}))
    assert row.expired_time == -1


async def test_dollars_that_a_key_may_still_spend_are_what_it_has_left(home: Home) -> None:
    row = full_key(home.sandbox, used_quota=500_000)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "budget_usd": 10.8}))
        assert (row.remain_quota, row.used_quota) == (5_400_000, 500_000)
        assert answer["changed"] == {"budget": "$5.00 left -> $10.80 left"}
        assert answer["budget"] == "$10.80 of $11.80 left"
        data_of(await client.call_tool("update_api_key", {"id": row.id, "budget_usd": 0}))
    assert row.remain_quota == 0


async def test_dollars_for_a_key_in_use_aim_at_a_total_so_what_it_spends_meanwhile_comes_off_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    spend_before_writes(monkeypatch, home.sandbox, row, 999)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "budget_usd": 1}))
    assert row.remain_quota + row.used_quota == 500_000
    assert not [warning for warning in answer.get("warnings", []) if "in use" in warning]


async def test_dollars_give_a_key_without_a_budget_one(home: Home) -> None:
    row = full_key(home.sandbox, unlimited_quota=True)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "budget_usd": 2}))
    assert (row.unlimited_quota, row.remain_quota) == (False, 1_000_000)
    assert answer["changed"] == {"budget": "unlimited -> $2.00 left"}


async def test_dollars_can_be_taken_off_but_no_more_than_are_left(home: Home) -> None:
    row = full_key(home.sandbox, used_quota=500_000)
    async with connected(home) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": -5.01}))
        assert "The key has $5.00 left, and add_budget_usd can take no more than that" in said
        answer = data_of(await client.call_tool("update_api_key", {"id": row.id, "add_budget_usd": -4.2}))
    assert (row.remain_quota, row.used_quota) == (400_000, 500_000)
    assert answer["changed"] == {"budget": "$5.00 left -> $0.80 left"}
    assert "warnings" not in answer


@pytest.mark.parametrize(
    "both",
    [
        {"lifetime": "2h", "expired_time": LATER},
        {"budget_usd": 1, "remain_quota": 5},
        {"budget_usd": 1, "add_budget_usd": 1},
        {"budget_usd": 1, "unlimited_quota": True},
    ],
)
async def test_one_thing_said_in_two_ways_is_refused(both: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        assert "Give one of them" in error_of(await client.call_tool("update_api_key", {"id": row.id, **both}))
    assert home.sandbox.requests == []


@pytest.mark.parametrize("change", [{"budget_usd": 9}, {"add_budget_usd": 4}, {"lifetime": "90 days"}])
async def test_the_policy_judges_dollars_and_words_as_the_fields_that_they_become(
    change: dict[str, Any], home: Home
) -> None:
    row = full_key(home.sandbox, expired_time=int(time()) + 86_400)
    before = body_of(row)
    rules = {"COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "8", "COMETAPI_MCP_POLICY_MAX_LIFETIME": "30d"}
    async with connected(home, **rules) as client:
        said = error_of(await client.call_tool("update_api_key", {"id": row.id, **change}))
    assert said.startswith("[policy")
    assert body_of(row) == before
