"""What a process knows as a secret is in no text that leaves it, whole or cut; all else stays as it is."""

from __future__ import annotations

import base64
import io
import random
import string
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from comet_mcp.redaction import Redactor
from tests.any_text import any_text

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


@pytest.mark.parametrize(
    "said",
    [
        TOKEN.upper(),
        TOKEN.lower(),
        quote(TOKEN),
        quote(TOKEN, safe="").replace("%2B", "%2b"),
        quote(quote(TOKEN, safe=""), safe=""),
        "".join(f"%{ord(sign):02X}" for sign in TOKEN),
        "".join(f"\\u{ord(sign):04x}" for sign in TOKEN),
        "".join(f"&#{ord(sign)};" for sign in TOKEN),
        TOKEN.replace("+", r"\u002b").replace("/", r"\/").replace("=", r"\u003D"),
        TOKEN.replace("+", "&#43;").replace("/", "&#x2F;").replace("=", "&equals;"),
        quote(TOKEN.replace("/", r"\/")),
        base64.b64encode(TOKEN.encode()).decode(),
        base64.urlsafe_b64encode(TOKEN.encode()).decode(),
        TOKEN.encode().hex(),
        TOKEN.encode().hex().upper(),
    ],
)
def test_a_whole_secret_is_hidden_in_every_form_that_a_reader_could_turn_back(redactor: Redactor, said: str) -> None:
    assert redactor.text(f"user {said} here") == "user *** here"
    assert redactor.text(said) == "***"


@pytest.mark.parametrize("user", ["", "a", "bc", "def"])
def test_a_secret_within_base64_is_hidden_wherever_in_three_bytes_it_begins(redactor: Redactor, user: str) -> None:
    shown = redactor.text(base64.b64encode(f"{user}:{TOKEN}!".encode()).decode())
    assert base64.b64decode(shown.partition("***")[0] + "==").decode().startswith(user)
    assert len(shown) <= len(user) * 4 / 3 + 12


def test_escapes_around_and_in_a_text_without_a_secret_stay_as_they_are(redactor: Redactor) -> None:
    text = r'100%25 of "a\/b" & c&amp;d \u00e9 %zz &nosuch; 50%'
    assert redactor.text(text) == text
    assert redactor.text(f"a%20b {TOKEN} c&amp;d") == "a%20b *** c&amp;d"


@pytest.mark.parametrize("secret", ["50%25-of-a-secret", r"back\\slash\u0041nd", "Tom&amp;Jerry&#43;", 'quo"te<&>%2b+'])
def test_a_secret_that_has_escapes_itself_is_hidden_as_it_is_and_encoded(secret: str) -> None:
    redactor = Redactor([secret])
    for said in (secret, quote(secret, safe=""), escape(secret), quote(quote(secret))):
        assert redactor.text(f"said {said} so") == "said *** so"


def test_no_run_of_eight_characters_of_any_token_is_left_wherever_it_is_echoed() -> None:
    chance = random.Random(1)  # noqa: S311 - the same tokens each time
    for _ in range(3_000):
        token = (
            "".join(chance.choices(string.ascii_letters + string.digits + "+/", k=chance.choice((24, 32, 43)))) + "="
        )
        redactor = Redactor([token])
        for text in (
            token,
            f"user {token} here",
            f"x{token}y",
            f"%2B{token}%2B",
            f"{token},{token}",
            f"{token}{token}",
        ):
            shown = redactor.text(text)
            assert not any(token[at : at + 8] in shown for at in range(len(token) - 7)), (token, shown)


def test_secrets_with_parts_in_common_do_not_hide_each_others_pieces() -> None:
    one, other = "commonPart0123-and-one-more-tail", "another-head-commonPart0123"
    for secrets in ([one, other], [other, one]):
        redactor = Redactor(secrets)
        assert redactor.text(f"first {one} then {other}.") == "first *** then ***."


@given(st.integers(0, len(TOKEN)), st.integers(0, len(TOKEN)), any_text(max_size=9), any_text(max_size=9))
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


def test_a_forgotten_value_takes_no_run_of_the_token_or_of_a_newer_value_along() -> None:
    shared = "sharedBeginning0"
    redactor = Redactor([f"{shared}-token-{shared}"])
    redactor.learn(SecretStr(f"{shared}{'A' * 20}"))
    for number in range(1000):
        redactor.learn(SecretStr(f"{number:04}".join("aBcDeFgHiJ")))
    assert redactor.text(f"x {shared} y") == "x *** y"
    assert redactor.text("x " + "A" * 20 + " y") == "x " + "A" * 20 + " y"


def test_a_text_that_was_clean_is_looked_at_again_once_a_value_is_known() -> None:
    redactor = Redactor()
    value = "Made0Up1Value2Of3A4Key5That6Was7Not8Known9Before"
    assert redactor.text(f"it is {value}") == f"it is {value}"
    assert redactor.text(f"it is {value}") == f"it is {value}"
    redactor.learn(SecretStr(value))
    assert value not in redactor.text(f"it is {value}")
