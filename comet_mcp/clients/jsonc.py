"""One member of a JSON object put in, replaced or taken out, with every other byte as it was.

Comments, trailing commas, line ends and indentation survive: the text is cut at the offsets that a small reader of
JSON with comments finds, and is never written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<comment>//[^\r\n]*|/\*.*?\*/)|(?P<mark>[{}\[\]:,])"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<word>[-+.\w]+)',
    re.DOTALL,
)
_ON_THE_LINE = re.compile(r"[ \t]*(?:/\*[^\r\n]*?\*/[ \t]*)*(?://[^\r\n]*)?")
_DEEPEST = 200


Extra = Literal["comments", "trailing commas", "a byte order mark"]
"""What some clients read in their JSON, and others stumble over."""
BOM: Extra = "a byte order mark"


class NotJSONError(ValueError):
    """The text is no JSON with comments. Its message names the line."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text that means something: not white space, no comment."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    start: int
    end: int
    value: Any
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object. `comma` is the offset of the comma behind it, None where there is none."""

    name: str
    start: int
    node: Node
    comma: int | None


def read(text: str) -> Node:
    """The value that `text` is, with the offsets of what is in it. Raises NotJSONError."""
    reader = _Reader(text)
    node = reader.value(0)
    if reader.now is not None:
        raise reader.wrong()
    return node


def has_comments(text: str) -> bool:
    """Whether there is something in `text` that strict JSON does not have: a comment, a trailing comma."""
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def extras(text: str) -> set[Extra]:
    """What `text` has that strict JSON has not. Raises NotJSONError."""
    read(text)
    found: set[Extra] = set()
    before = ""
    for piece in _TOKEN.finditer(text):
        if piece.lastgroup == "comment":
            found.add("comments")
        elif piece.lastgroup != "space":
            if before == "," and piece[0] in ("}", "]"):
                found.add("trailing commas")
            before = piece[0]
    return found


def with_member(text: str, path: Sequence[str], name: str, value: Any) -> str:
    """`text` with `value` as the member `name` of the object at `path`; objects on the way that are missing are made.

    Raises:
        NotJSONError: `text` is no JSON with comments, or something on the way is no object.
    """
    if not text.strip():
        return json.dumps(_nested([*path, name], value), indent=2, ensure_ascii=False) + "\n"
    node = read(text)
    way = [*path, name]
    for depth, step in enumerate(way):
        if not isinstance(node.value, dict):
            where = '", "'.join(way[:depth])
            raise NotJSONError(f'"{where}" is no object' if where else "it holds no object")
        found = next((member for member in reversed(node.members) if member.name == step), None)
        if found is None:
            return _inserted(text, node, step, _nested(way[depth + 1 :], value))
        node = found.node
    return _replaced(text, node, value)


def without_member(text: str, path: Sequence[str], name: str) -> str:
    """`text` without the member `name` of the object at `path`; as it is where there is none. Raises NotJSONError."""
    if not text.strip():
        return text
    node = read(text)
    for step in path:
        found = next((member for member in reversed(node.members) if member.name == step), None)
        if found is None:
            return text
        node = found.node
    at = next((number for number, member in enumerate(node.members) if member.name == name), None)
    return text if at is None else _removed(text, node, at)


def _nested(way: Sequence[str], value: Any) -> Any:
    for step in reversed(way):
        value = {step: value}
    return value


def _inserted(text: str, node: Node, name: str, value: Any) -> str:
    if not node.members:
        return _inserted_first(text, node, name, value)
    last = node.members[-1]
    at, before, after = (last.node.end, ",", "") if last.comma is None else (last.comma + 1, "", ",")
    if "\n" not in text[node.start : node.members[0].start]:
        return f"{text[:at]}{before} {_member(name, value)}{after}{text[at:]}"
    behind = _rest_of_line(text, at)
    indent = _indent_of(text, node.members[0].start)
    new = f"{_end_of_line(text)}{indent}{_member(name, value, indent, text)}{after}"
    return f"{text[:at]}{before}{text[at:behind]}{new}{text[behind:]}"


def _inserted_first(text: str, node: Node, name: str, value: Any) -> str:
    outer = _indent_of(text, node.start)
    indent, eol = outer + _unit(text), _end_of_line(text)
    behind = _rest_of_line(text, node.start + 1)
    closes = text[behind] == "}"
    kept, end = ("", f"{eol}{outer}") if closes else (text[node.start + 1 : behind], "")
    return f"{text[: node.start + 1]}{kept}{eol}{indent}{_member(name, value, indent, text)}{end}{text[behind:]}"


def _replaced(text: str, node: Node, value: Any) -> str:
    start_of_line = text.rfind("\n", 0, node.start) + 1
    is_inline = "\n" not in text[node.start : node.end] and node.value not in ({}, [])
    found = re.match(r"[ \t]*", text[start_of_line:])
    indent = found[0] if found else ""
    new = json.dumps(value, ensure_ascii=False) if is_inline else _dumped(value, indent, text)
    return f"{text[: node.start]}{new}{text[node.end :]}"


def _removed(text: str, node: Node, at: int) -> str:
    member = node.members[at]
    start, end = _start_with_indent(text, member.start), member.node.end
    if member.comma is not None:
        between = text[end : member.comma]
        return f"{text[:start]}{between if between.strip() else ''}{text[member.comma + 1 :]}"
    if at == 0:
        before, behind = text[node.start + 1 : start], text[end : node.end - 1]
        inside = before + behind if (before + behind).strip() else ""
        return f"{text[: node.start + 1]}{inside}{text[node.end - 1 :]}"
    comma = node.members[at - 1].comma
    assert comma is not None  # noqa: S101 - there is one between two members
    return f"{text[:comma]}{text[comma + 1 : start]}{text[end:]}"


def _start_with_indent(text: str, at: int) -> int:
    """Where the white space before an offset begins, with the line end where nothing else stands on the line."""
    line = text.rfind("\n", 0, at)
    if line < 0 or text[line:at].strip():
        return len(text[:at].rstrip(" \t"))
    return line - 1 if text[line - 1 : line] == "\r" else line


def _rest_of_line(text: str, at: int) -> int:
    """Where the comments behind an offset end that stand on its line."""
    found = _ON_THE_LINE.match(text, at)
    return found.end() if found else at


def _member(name: str, value: Any, indent: str | None = None, text: str = "") -> str:
    shown = json.dumps(value, ensure_ascii=False) if indent is None else _dumped(value, indent, text)
    return f"{json.dumps(name, ensure_ascii=False)}: {shown}"


def _dumped(value: Any, indent: str, text: str) -> str:
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return f"{_end_of_line(text)}{indent}".join(lines)


def _end_of_line(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent_of(text: str, at: int) -> str:
    """The white space that the line of an offset begins with."""
    found = re.match(r"[ \t]*", text[text.rfind("\n", 0, at) + 1 : at])
    return found[0] if found else ""


def _unit(text: str) -> str:
    """What one level is indented by: that of the first line that is indented."""
    found = re.search(r"\n([ \t]+)[^\s/*]", text)
    return found[1] if found else "  "


class _Reader:
    """A reader of JSON with comments and trailing commas, which keeps the offsets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self.now: Token | None = None
        self._step()

    def _scan(self) -> Iterator[Token]:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self._wrong_at(at)
            at = found.end()
            if found.lastgroup not in ("space", "comment"):
                yield Token(found.lastgroup or "", found[0], found.start())

    def _step(self) -> None:
        self.now = next(self._tokens, None)

    def _wrong_at(self, at: int) -> NotJSONError:
        return NotJSONError(f"it is no JSON at line {self._text.count(chr(10), 0, at) + 1}")

    def wrong(self) -> NotJSONError:
        return self._wrong_at(self.now.start if self.now else len(self._text))

    def _took(self, mark: str) -> Token | None:
        token = self.now
        if token is None or token.kind != "mark" or token.text != mark:
            return None
        self._step()
        return token

    def value(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise self.wrong()
        if opened := self._took("{"):
            return self._object(opened, depth)
        if opened := self._took("["):
            return self._array(opened, depth)
        token = self.now
        if token is None or token.kind == "mark":
            raise self.wrong()
        try:
            value = json.loads(token.text)
        except (ValueError, RecursionError):
            raise self.wrong() from None
        self._step()
        return Node(token.start, token.end, value)

    def _object(self, opened: Token, depth: int) -> Node:
        members: list[Member] = []
        while (closed := self._took("}")) is None:
            name = self.now
            if name is None or name.kind != "string" or (members and members[-1].comma is None):
                raise self.wrong()
            self._step()
            if self._took(":") is None:
                raise self.wrong()
            node = self.value(depth + 1)
            comma = self._took(",")
            members.append(Member(json.loads(name.text), name.start, node, comma.start if comma else None))
        value = {member.name: member.node.value for member in members}
        return Node(opened.start, closed.end, value, tuple(members))

    def _array(self, opened: Token, depth: int) -> Node:
        values: list[Any] = []
        separated = True
        while (closed := self._took("]")) is None:
            if not separated:
                raise self.wrong()
            values.append(self.value(depth + 1).value)
            separated = self._took(",") is not None
        return Node(opened.start, closed.end, values)
