from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.errors import ArgumentError
from comet_mcp.tools.arguments import arguments_model, parse_arguments
from comet_mcp.tools.create_api_key import create_api_key
from comet_mcp.tools.get_api_key import get_api_key
from comet_mcp.tools.list_api_keys import list_api_keys
from comet_mcp.tools.plan_api_key import plan_api_key
from comet_mcp.tools.update_api_key import update_api_key
from tests.any_text import any_text
from tests.support import DOCUMENTED

CREATE = arguments_model(create_api_key)
LIST = arguments_model(list_api_keys)
GET = arguments_model(get_api_key)
UPDATE = arguments_model(update_api_key)
PLAN = arguments_model(plan_api_key)


def refusal(model: Any, **arguments: Any) -> str:
    with pytest.raises(ArgumentError) as refused:
        parse_arguments(model, arguments)
    return str(refused.value).removeprefix("[invalid_argument] ")


def test_what_is_left_out_or_null_has_the_apis_default() -> None:
    defaults = {**DOCUMENTED, "name": "x", "remain_quota": 0}
    assert parse_arguments(CREATE, {"name": "x"}) == defaults
    assert parse_arguments(CREATE, dict.fromkeys(defaults) | {"name": "x"}) == defaults


def test_an_unknown_argument_is_refused_by_name_with_those_there_are() -> None:
    text = refusal(CREATE, name="x", budget_usd=5)
    assert 'There is no argument "budget_usd".' in text
    assert "create_api_key takes name, expired_time, remain_quota," in text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", None, "is needed"),
        ("name", 5, "must be a string, not a number"),
        ("name", "", "must be at least one character long"),
        ("name", "x" * 501, "must be at most 500 characters long"),
        ("unlimited_quota", "yes", "must be true or false, not a string"),
        ("unlimited_quota", 1, "must be true or false, not a number"),
        ("remain_quota", True, "must be a whole number, not true or false"),
        ("remain_quota", "100,000", "must be a whole number, not a string"),
        ("remain_quota", "1.5", "must be a whole number, not a string"),
        ("remain_quota", "4e1", "must be a whole number, not a string"),
        ("remain_quota", "007", "must be a whole number, not a string"),
        ("remain_quota", "true", "must be a whole number, not a string"),
        ("remain_quota", "٤١", "must be a whole number, not a string"),
        ("remain_quota", "9223372036854775808", "must be at most"),
        ("unlimited_quota", "1", "must be true or false, not a string"),
        ("remain_quota", 1.5, "must be a whole number, not a number with a fraction"),
        ("remain_quota", -1, "must be at least 0"),
        ("remain_quota", 500_000_000_000_001, "must be at most 500000000000000"),
        ("remain_quota", 2**70, "must be at most"),
        ("remain_quota", 1e300, "must be at most 500000000000000"),
        ("remain_quota", float("inf"), "must be a whole number, not Infinity or NaN"),
        ("remain_quota", float("nan"), "must be a whole number, not Infinity or NaN"),
        ("expired_time", 10**30, "must be at most 9223372036854775807."),
        ("expired_time", -2, "must be at least -1"),
        ("model_limits", ["gpt-4o"], "must be a string, not a list"),
        ("allow_ips", {"ip": 1}, "must be a string, not an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_plain_words(field: str, value: Any, said: str) -> None:
    text = refusal(CREATE, **{"name": "x", field: value})
    assert text.startswith(f'The argument "{field}" {said}')


def test_every_wrong_argument_is_named_at_once() -> None:
    text = refusal(CREATE, name="x", remain_quota="five", unlimited_quota="no", colour="red")
    assert all(f'"{field}"' in text for field in ("remain_quota", "unlimited_quota", "colour"))


def test_an_integer_that_is_written_with_a_point_is_an_integer() -> None:
    assert parse_arguments(CREATE, {"name": "x", "remain_quota": 100000.0})["remain_quota"] == 100000


def test_what_can_mean_one_thing_only_is_taken_for_it() -> None:
    written = {"name": "41", "remain_quota": "41", "expired_time": "-1", "unlimited_quota": "true"}
    meant = {"name": "41", "remain_quota": 41, "expired_time": -1, "unlimited_quota": True}
    assert parse_arguments(CREATE, written).items() >= meant.items()
    assert (
        parse_arguments(UPDATE, {"id": "7", "add_budget_usd": "0.50", "cross_group_retry": "False"}).items()
        >= {
            "id": 7,
            "add_budget_usd": 0.5,
            "cross_group_retry": False,
        }.items()
    )
    assert parse_arguments(UPDATE, {"id": 7, "name": "true", "group": "41"}).items() >= {"name": "true"}.items()


def test_what_a_known_client_adds_to_every_call_is_ignored_and_anything_else_is_not() -> None:
    added = {"toolCallId": "call_1", "sessionId": "s", "action": "sendMessage", "chatInput": "make a key"}
    assert parse_arguments(GET, {"id": 1, **added}) == {"id": 1, "key_name": ""}
    assert refusal(GET, id=1, **added, tool="x").startswith('There is no argument "tool".')


@pytest.mark.parametrize("page_size", [0, 101])
def test_a_page_has_one_to_a_hundred_keys(page_size: int) -> None:
    assert '"page_size" must be at' in refusal(LIST, page_size=page_size)


@pytest.mark.parametrize("key_id", [2**63, 10**30, 1e300])
def test_an_id_that_the_api_cannot_count_to_is_refused_with_the_largest_there_is(key_id: float) -> None:
    assert refusal(GET, id=key_id) == 'The argument "id" must be at most 9223372036854775807.'


def test_the_largest_id_is_taken() -> None:
    assert parse_arguments(GET, {"id": 2**63 - 1})["id"] == 2**63 - 1


@pytest.mark.parametrize(("model", "name"), [(CREATE, "expired_time"), (CREATE, "lifetime"), (UPDATE, "expired_time")])
def test_a_lifetime_in_words_is_sent_to_the_plan(model: Any, name: str) -> None:
    text = refusal(model, **{"id" if model is UPDATE else "name": 1 if model is UPDATE else "x", name: "45d"})
    assert "plan_api_key turns a lifetime" in text
    assert "45d" not in text


def test_a_large_limit_is_written_out() -> None:
    text = refusal(PLAN, name="blog", budget_usd=2e9, lifetime="30d")
    assert text == 'The argument "budget_usd" must be at most 1,000,000,000.'


@pytest.mark.parametrize("name", ["models", "ips"])
def test_one_text_for_a_list_is_refused_with_the_form_of_a_list(name: str) -> None:
    text = refusal(PLAN, name="blog", budget_usd=5, lifetime="30d", **{name: "secret-text"})
    assert text.startswith(f'The argument "{name}" must be a list, not a string')
    assert text.endswith('Send ["..."], with each entry between quotes of its own.')
    assert "secret-text" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(list(CREATE.model_fields)) | any_text(), JSON, max_size=6))
def test_any_arguments_are_taken_or_refused_in_a_printable_sentence(arguments: dict[str, Any]) -> None:
    try:
        parsed = parse_arguments(CREATE, arguments)
    except ArgumentError as refused:
        assert str(refused).isprintable()
    else:
        assert isinstance(parsed["name"], str)
        assert not isinstance(parsed["remain_quota"], bool)


def test_a_value_is_never_repeated_in_the_complaint() -> None:
    assert "made-up-secret" not in refusal(CREATE, name="x", remain_quota="sk-made-up-secret")


def test_five_faults_are_named_and_the_others_counted() -> None:
    wrong: dict[str, Any] = {name: [] for name in list(CREATE.model_fields)[:7]}
    text = refusal(CREATE, **wrong, colour="red", size=1)
    assert text.count("must be") == 5
    assert text.endswith(" And 4 more.")
    assert "no argument" not in text


def test_five_arguments_that_do_not_exist_are_named_and_the_others_counted() -> None:
    text = refusal(GET, id=1, **{f"a{number}": 1 for number in range(1000)})
    assert text.startswith(
        'There are no arguments "a0" and "a1" and "a2" and "a3" and "a4". get_api_key takes id, key_name.'
    )
    assert text.endswith(" And 995 more.")


@pytest.mark.parametrize(("entry", "kind"), [(1, "a number"), ([], "a list"), (None, "null")])
def test_what_is_wrong_with_many_entries_is_said_once(entry: Any, kind: str) -> None:
    text = refusal(PLAN, name="blog", budget_usd=5, lifetime="30d", models=[entry] * 500)
    assert text == f'Each entry of "models" must be a string, not {kind} (Empty allows all).'


@pytest.mark.parametrize("name", ["models", "ips"])
def test_a_list_of_more_than_a_thousand_entries_is_refused(name: str) -> None:
    given = {"name": "blog", "budget_usd": 5, "lifetime": "30d"}
    assert parse_arguments(PLAN, {**given, name: ["a"] * 1000})[name] == ["a"] * 1000
    text = refusal(PLAN, **given, **{name: [1] * 1001})
    assert text == f'The argument "{name}" must be a list of at most 1000 entries.'


@pytest.mark.parametrize("name", ["model_limits", "allow_ips", "group"])
def test_a_text_that_the_api_could_not_keep_is_refused(name: str) -> None:
    assert parse_arguments(CREATE, {"name": "x", name: "a" * 65_535})[name] == "a" * 65_535
    text = refusal(CREATE, name="x", **{name: "a" * 65_536})
    assert text == f'The argument "{name}" must be at most 65535 characters long.'
