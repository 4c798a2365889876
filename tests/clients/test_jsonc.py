"""JSON with comments, edited at offsets: what is not ours stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.clients.jsonc import NotJSONError, has_comments, read, with_member, without_member

OURS = {"command": "/opt/cometapi-mcp", "args": ["a"]}
SCALARS = st.sampled_from(["1", '"a{"', "true", "null", '"x\\"y"', "[1, 2]", '"//no"', "{}", "[\n]"])
COMMENTS = ("// open", '// "k": {', "// after }", "/* two\n lines */", "// last", "// head")


@st.composite
def documents(draw: st.DrawFn) -> str:
    """An object as a person may have written it."""
    unit, eol = draw(st.sampled_from(["  ", "    ", "\t"])), draw(st.sampled_from(["\n", "\r\n"]))
    trailing, inline = draw(st.booleans()), draw(st.integers(0, 4)) == 0

    def some(text: str) -> str:
        return text if draw(st.integers(0, 4)) == 0 else ""

    def value(depth: int, indent: str) -> str:
        count = draw(st.integers(0, 3)) if depth < 3 else 0
        if count == 0:
            return draw(SCALARS) if depth else "{}"
        if inline:
            return "{" + ", ".join(f'"k{at}": {value(depth + 1, indent)}' for at in range(count)) + "}"
        inner, made = indent + unit, "{" + some(" // open")
        for at in range(count):
            made += eol + some(f"{inner}/* two\n lines */{eol}") + some(f'{inner}// "k": {{{eol}')
            made += f'{inner}"k{at}": {value(depth + 1, inner)}'
            made += ("," if trailing or at < count - 1 else "") + some(" // after }")
        return made + eol + some(f"{inner}// last{eol}") + indent + "}"

    return some(f"// head{eol}") + value(0, "") + some(eol)


@given(documents(), st.sampled_from([["k0"], ["mcpServers"], ["k1", "k0"]]))
def test_an_entry_comes_and_goes_and_nothing_else_changes(text: str, path: list[str]) -> None:
    before = read(text).value
    try:
        after = with_member(text, path, "ours", OURS)
    except NotJSONError:
        return  # something on the way is no object
    wanted: dict[str, Any] = json.loads(json.dumps(before))
    parent = wanted
    for step in path:
        parent = parent.setdefault(step, {})
    was_empty = not parent
    parent["ours"] = OURS
    assert read(after).value == wanted
    assert [after.count(comment) for comment in COMMENTS] == [text.count(comment) for comment in COMMENTS]
    again = without_member(after, path, "ours")
    if was_empty:
        del parent["ours"]
        assert read(again).value == wanted
    else:
        assert again == text


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '{\n  "s": {\n    "ours": {\n      "a": 1\n    }\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "ours": {\n      "a": 1\n    }\n  }\n}'),
        ('{"s": {"o": 1}}', '{"s": {"o": 1, "ours": {"a": 1}}}'),
        (
            '{\n\t"s": {\n\t\t"o": 1 // c\n\t}\n}',
            '{\n\t"s": {\n\t\t"o": 1, // c\n\t\t"ours": {\n\t\t\t"a": 1\n\t\t}\n\t}\n}',
        ),
        ('{\r\n "s": {},\r\n}', '{\r\n "s": {\r\n  "ours": {\r\n   "a": 1\r\n  }\r\n },\r\n}'),
    ],
)
def test_an_entry_takes_the_style_of_what_stands_around_it(text: str, after: str) -> None:
    assert with_member(text, ["s"], "ours", {"a": 1}) == after


def test_an_entry_that_is_there_is_replaced_in_its_place() -> None:
    text = '{"s": {"a": 1, "ours": {"old": true}, "z": 2}} // end'
    assert with_member(text, ["s"], "ours", {"a": 1}) == '{"s": {"a": 1, "ours": {"a": 1}, "z": 2}} // end'


def test_of_two_members_with_one_name_the_last_holds_as_for_every_reader() -> None:
    text = '{"s": {"a": 1}, "s": {"b": 2}}'
    assert read(with_member(text, ["s"], "ours", {})).value == {"s": {"b": 2, "ours": {}}}


@pytest.mark.parametrize(
    "text", ["{", '{"a" 1}', '{"a": 1 "b": 2}', "[1", "{,}", '{"a": tru}', "{} {}", '{"a": \x01}', "'a'"]
)
def test_what_is_no_json_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(NotJSONError, match="line 1"):
        with_member(text, ["s"], "ours", {})


def test_a_path_through_a_list_is_refused() -> None:
    with pytest.raises(NotJSONError, match='"s" is no object'):
        with_member('{"s": []}', ["s"], "ours", {})
    with pytest.raises(NotJSONError, match="no object"):
        with_member("[]", ["s"], "ours", {})


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(NotJSONError):
        read("[" * 100_000)


@pytest.mark.parametrize(("text", "has"), [('{"a": "//"}', False), ("{} // c", True), ('{"a": 1,}', True)])
def test_comments_and_trailing_commas_are_noticed(text: str, has: bool) -> None:
    assert has_comments(text) is has
