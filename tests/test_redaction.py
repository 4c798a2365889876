"""What a process knows as a secret is in no text that leaves it, whole or cut; all else stays as it is."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from comet_mcp.redaction import Redactor

TOKEN = "Zk4+9Qx/7Lw2=Rt8vYb1Nc6Mj3Hs5Gd0"
VALUE = "madeUpKey" + "0123456789abcdef" * 2


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor([TOKEN])
    made.learn(SecretStr(f"sk-{VALUE}"))
    return made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TOKEN, "***"),
        (f"Bearer {TOKEN}", "Bearer ***"),
        (f"a{TOKEN}b{TOKEN}c", "a***b***c"),
        (f"no such key sk-{VALUE}.", "no such key sk-***."),
        ("Zk4%2B9Qx%2F7Lw2%3DRt8vYb1Nc6Mj3Hs5Gd0", "***"),
    ],
)
def test_a_whole_secret_is_hidden_wherever_it_stands(redactor: Redactor, text: str, shown: str) -> None:
    assert redactor.text(text) == shown


@given(st.integers(0, len(TOKEN)), st.integers(0, len(TOKEN)), st.text(max_size=9), st.text(max_size=9))
def test_no_piece_of_twelve_characters_is_left_anywhere(begin: int, end: int, before: str, after: str) -> None:
    shown = Redactor([TOKEN]).text(before + TOKEN[begin:end] + after)
    assert not any(TOKEN[at : at + 12] in shown for at in range(len(TOKEN) - 11))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"said: {TOKEN[:8]}", "said: ***"),
        (f"said: {TOKEN[:9]}… and more", "said: ***… and more"),
        (f"said: {TOKEN[:9]}... and more", "said: ***... and more"),
        (f"{TOKEN[-8:]} was said", "*** was said"),
        (f"it …{TOKEN[-11:]} was", "it …*** was"),
        (f'it said "{TOKEN[:8]}" (request id {TOKEN[:9]}).', 'it said "***" (request id ***).'),
    ],
)
def test_a_piece_of_eight_characters_is_hidden_where_the_text_was_cut(
    redactor: Redactor, text: str, shown: str
) -> None:
    assert redactor.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"said: {TOKEN[:7]}",
        f"{TOKEN[:8]} in the middle of a text",
        f"{VALUE[:4]}***{VALUE[-4:]}",
        "Call list_api_keys to see the ids.",
    ],
)
def test_what_could_be_anything_else_stays(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_a_short_secret_is_hidden_as_a_word_alone() -> None:
    redactor = Redactor(["hunter2", "abc", ""])
    assert redactor.text("hunter2: abc, hunter22, (hunter2)") == "***: abc, hunter22, (***)"


def test_a_secret_between_quotation_marks_is_known_by_its_escapes() -> None:
    assert Redactor(['pass"wo\\rd']).text(r'said "pass\"wo\\rd"') == 'said "***"'


def test_data_is_redacted_at_every_depth_but_for_what_is_meant_to_be_shown(redactor: Redactor) -> None:
    data = {"name": TOKEN, "items": [{"key": f"sk-{VALUE}", "id": 7}], "value": SecretStr(f"sk-{VALUE}"), "none": None}
    assert redactor.data(data) == {
        "name": "***",
        "items": [{"key": "sk-***", "id": 7}],
        "value": f"sk-{VALUE}",
        "none": None,
    }


def test_a_stream_shows_what_is_left(redactor: Redactor) -> None:
    out = io.StringIO()
    print("said", TOKEN, file=redactor.stream(out))
    assert out.getvalue() == "said ***\n"


def test_the_newest_thousand_values_are_hidden_and_the_token_always() -> None:
    redactor = Redactor([TOKEN])
    values = [f"{number:04}".join("aBcDeFgHiJ") for number in range(1001)]
    for value in values:
        redactor.learn(SecretStr(value))
    assert redactor.text(values[1]) == redactor.text(values[1000]) == redactor.text(TOKEN) == "***"
    assert redactor.text(values[0]) == values[0]
