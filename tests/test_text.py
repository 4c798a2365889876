from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.text import backend_text, escaped, printable, quoted


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\u001b[31mred"),
        ("nul\x00", r"nul\u0000"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("Schlüssel 鍵", "Schlüssel 鍵"),
    ],
)
def test_what_does_not_print_appears_as_an_escape(raw: str, shown: str) -> None:
    assert printable(raw) == shown
    assert quoted(raw) == f'"{shown}"'


@pytest.mark.parametrize(
    ("raw", "shown"), [('say "x"', r'"say \"x\""'), ("a\\b", r'"a\\b"'), ("\\", r'"\\"'), ("a\\n\n", r'"a\\n\n"')]
)
def test_quotation_marks_and_backslashes_inside_a_quotation_are_escaped(raw: str, shown: str) -> None:
    assert quoted(raw) == shown


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from('"\\'))), st.integers(min_value=1, max_value=300))
def test_any_text_between_quotation_marks_ends_at_the_last_one(raw: str, limit: int) -> None:
    shown = quoted(raw, limit)
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', shown)
    assert len(shown) <= limit + 2
    assert shown.isprintable()


@given(st.text(alphabet=st.characters()), st.integers(min_value=1, max_value=300))
def test_any_text_becomes_one_printable_line_of_bounded_length(raw: str, limit: int) -> None:
    shown = printable(raw, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    shown.encode()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", r"é 报 🌙 \u202e \n"),
        ("cp1252", r"é \u62a5 \ud83c\udf19 \u202e \n"),
        ("ascii", r"\u00e9 \u62a5 \ud83c\udf19 \u202e \n"),
    ],
)
def test_what_an_encoding_does_not_have_appears_as_an_escape_too(encoding: str, shown: str) -> None:
    text = escaped("é 报 🌙 \u202e \n", encoding)
    assert text == shown
    text.encode(encoding)


def test_tags_and_white_space_of_a_backend_go() -> None:
    assert backend_text("<html><b>Bad\n\n gateway</b>") == "Bad gateway"
