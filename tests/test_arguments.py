from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.errors import ArgumentError
from comet_mcp.protocol.arguments import arguments_model, parse_arguments
from comet_mcp.tools.keys import create_api_key, get_api_key, list_api_keys

CREATE = arguments_model(create_api_key)
LIST = arguments_model(list_api_keys)
GET = arguments_model(get_api_key)


def refusal(model: Any, **arguments: Any) -> str:
    with pytest.raises(ArgumentError) as refused:
        parse_arguments(model, arguments)
    return str(refused.value).removeprefix("[invalid_argument] ")


def test_what_is_left_out_or_null_has_the_apis_default() -> None:
    defaults = {
        "name": "x",
        "expired_time": -1,
        "remain_quota": 0,
        "unlimited_quota": False,
        "model_limits_enabled": False,
        "model_limits": "",
        "allow_ips": None,
        "group": "",
        "cross_group_retry": False,
    }
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
        ("name", 5, "must be a string, not an integer"),
        ("name", "", "must be at least one character long"),
        ("name", "x" * 51, "must be at most 50 characters long"),
        ("unlimited_quota", "yes", "must be true or false, not a string"),
        ("unlimited_quota", 1, "must be true or false, not an integer"),
        ("remain_quota", True, "must be an integer, not true or false"),
        ("remain_quota", "100000", "must be an integer, not a string"),
        ("remain_quota", 1.5, "must be an integer"),
        ("remain_quota", -1, "must be at least 0"),
        ("remain_quota", 500_000_000_000_001, "must be at most 500000000000000"),
        ("remain_quota", 2**70, "must be at most"),
        ("remain_quota", float("inf"), "must be an integer"),
        ("remain_quota", float("nan"), "must be an integer"),
        ("expired_time", -2, "must be at least -1"),
        ("model_limits", ["gpt-4o"], "must be a string, not a list"),
        ("allow_ips", {"ip": 1}, "must be a string, not an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_plain_words(field: str, value: Any, said: str) -> None:
    text = refusal(CREATE, **{"name": "x", field: value})
    assert text.startswith(f'The argument "{field}" {said}')


def test_every_wrong_argument_is_named_at_once() -> None:
    text = refusal(CREATE, name="x", remain_quota="5", unlimited_quota="no", colour="red")
    assert all(f'"{field}"' in text for field in ("remain_quota", "unlimited_quota", "colour"))


def test_an_integer_that_is_written_with_a_point_is_an_integer() -> None:
    assert parse_arguments(CREATE, {"name": "x", "remain_quota": 100000.0})["remain_quota"] == 100000


@pytest.mark.parametrize("page_size", [0, 101])
def test_a_page_has_one_to_a_hundred_keys(page_size: int) -> None:
    assert '"page_size" must be at' in refusal(LIST, page_size=page_size)


def test_a_missing_id_is_asked_for() -> None:
    assert refusal(GET) == 'The argument "id" is needed.'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(list(CREATE.model_fields)) | st.text(), JSON, max_size=6))
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
