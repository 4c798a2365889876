from __future__ import annotations

import io

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from comet_mcp.secret_store.dotenv import value_of, with_value

VALUE = "sk-" + "madeUpKey0123456789" * 2

_LINES = st.one_of(
    st.sampled_from(
        [
            "",
            "   ",
            "# a comment",
            "# COMETAPI_KEY=in a comment",
            "A=1",
            "export A=1",
            "export  B = 'two words' # why",
            'C="quoted # no comment"',
            "D='it\\'s'",
            'E="${A}"',
            "F",
            "G=",
            "OTHER_COMETAPI_KEY=x",
            "COMETAPI_KEY_2=x",
            "not a line 'at all",
            "ü=ö",
            '"',
            "=",
            "\tH=tab",
        ]
    ),
    st.builds(
        "{}={}".format, st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.from_regex(r"[ -~]{0,12}", fullmatch=True)
    ),
)
_ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def _texts(draw: st.DrawFn) -> str:
    """A dotenv file as somebody may have written it, with or without a last line end, without the variable."""
    end = draw(_ENDS)
    text = end.join(draw(st.lists(_LINES, max_size=8)))
    return text + draw(st.sampled_from(["", end]))


@given(_texts())
@example("")
@example("A=1")
@example("A=1\r\nB=2")
def test_a_variable_that_is_not_there_is_added_at_the_end_and_every_byte_before_it_stays(text: str) -> None:
    edited = with_value(text, "COMETAPI_KEY", VALUE)
    assert edited.startswith(text)
    added = edited[len(text) :]
    end = "\r\n" if "\r\n" in text else "\n"
    between = "" if not text or text.endswith("\n") else end
    assert added == f"{between}COMETAPI_KEY={VALUE}{end}"


@given(
    _texts(), _texts(), st.sampled_from(["COMETAPI_KEY=", "export COMETAPI_KEY=", "COMETAPI_KEY=''", 'COMETAPI_KEY=""'])
)
@example("A=1\n\n\n", "B=2", "COMETAPI_KEY=")
@example("", "", "export COMETAPI_KEY=")
@example("A='", "B = 'two words'", "COMETAPI_KEY=")
def test_an_empty_variable_gets_its_value_in_its_line_and_every_other_byte_stays(
    before: str, after: str, line: str
) -> None:
    above = f"{before}\n" if before and not before.endswith("\n") else before
    text = f"{above}{line}\n{after}"
    if value_of(text, "COMETAPI_KEY") is None:
        return  # a quotation that is open above swallows the line
    edited = with_value(text, "COMETAPI_KEY", VALUE)
    start = line[: line.index("=") + 1]
    assert edited == f"{above}{start}{VALUE}\n{after}"
    assert value_of(edited, "COMETAPI_KEY") == VALUE


@given(_texts())
def test_a_second_edit_changes_nothing(text: str) -> None:
    once = with_value(text, "COMETAPI_KEY", VALUE)
    assert with_value(once, "COMETAPI_KEY", VALUE) == once


@given(_texts())
def test_every_other_variable_keeps_its_value(text: str) -> None:
    before = dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False)
    edited = with_value(text, "COMETAPI_KEY", VALUE)
    after = dotenv_values(stream=io.StringIO(edited, newline=""), interpolate=False)
    assert {name: value for name, value in after.items() if name != "COMETAPI_KEY"} == before
    assert after["COMETAPI_KEY"] == VALUE


def test_of_two_lines_the_last_one_counts_and_is_edited() -> None:
    text = "COMETAPI_KEY=first\nA=1\nCOMETAPI_KEY=\n# end"
    assert value_of(text, "COMETAPI_KEY") == ""
    assert with_value(text, "COMETAPI_KEY", VALUE) == f"COMETAPI_KEY=first\nA=1\nCOMETAPI_KEY={VALUE}\n# end"


def test_a_comment_behind_an_empty_variable_stays() -> None:
    edited = with_value("COMETAPI_KEY='' # the blog's\nA=1\n", "COMETAPI_KEY", VALUE)
    assert "# the blog's" in edited
    assert value_of(edited, "COMETAPI_KEY") == VALUE


def test_a_value_of_several_lines_is_no_line_of_its_own() -> None:
    text = 'A="one\nCOMETAPI_KEY=\ntwo"\n'
    assert value_of(text, "COMETAPI_KEY") is None
    assert with_value(text, "COMETAPI_KEY", VALUE) == f"{text}COMETAPI_KEY={VALUE}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("COMETAPI_KEY", None),
        ("COMETAPI_KEY=", ""),
        ("COMETAPI_KEY=a", "a"),
        (" export COMETAPI_KEY = 'a b' # c", "a b"),
        ('COMETAPI_KEY="${HOME}"', "${HOME}"),
        ("#COMETAPI_KEY=a", None),
        ("COMETAPI_KEY2=a\nXCOMETAPI_KEY=b", None),
        ("COMETAPI_KEY=a\r\nCOMETAPI_KEY=b\r\n", "b"),
        ("cometapi_key=a", None),
    ],
)
def test_the_value_of_a_variable_is_read_as_it_stands(text: str, value: str | None) -> None:
    assert value_of(text, "COMETAPI_KEY") == value
