"""One entry of a YAML file put in, replaced or taken out, with every other byte as it was.

The text is cut at the offsets that ruamel.yaml's composer gives. An entry is a member of a mapping, or an item of a
list with a `name`. It is written in block style with JSON's scalars, which are YAML's too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode


class NotYAMLError(ValueError):
    """The text is no YAML, or could not be edited without touching what else is in it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The collection that holds the entries, and the entry where it is there."""

    parent: CollectionNode | None
    key: Node | None
    start: int = -1
    node: Node | None = None


def with_entry(text: str, key: str, name: str, value: dict[str, Any], *, in_list: bool) -> str:
    """`text` with `value` as the entry of that name under the top-level `key`. Raises NotYAMLError."""
    before = read(text)
    place = _found(text, key, name, in_list=in_list)
    cleared = _without(text, place) if place.node is not None else text
    place = _found(cleared, key, name, in_list=in_list)
    new = _with(cleared, place, key, name, value, in_list=in_list)
    return _checked(new, _meant(before, key, name, value, in_list=in_list))


def without_entry(text: str, key: str, name: str, *, in_list: bool) -> str:
    """`text` without the entry of that name under `key`; as it is where there is none. Raises NotYAMLError."""
    before = read(text)
    place = _found(text, key, name, in_list=in_list)
    if place.node is None:
        return text
    return _checked(_without(text, place), _meant(before, key, name, None, in_list=in_list))


def read(text: str) -> dict[str, Any]:
    """What the text means. Raises NotYAMLError."""
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise NotYAMLError(f"it is no YAML: {str(error).splitlines()[0]}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise NotYAMLError("it holds no mapping")
    return found


def _found(text: str, key: str, name: str, *, in_list: bool) -> _Place:
    root = YAML(pure=True).compose(text)
    if root is None:
        return _Place(None, None)
    pair = next((pair for pair in root.value if pair[0].value == key), None)
    if pair is None:
        return _Place(None, None)
    holder, kind = pair[1], SequenceNode if in_list else MappingNode
    if not isinstance(holder, kind):
        if holder.value not in ("", "null", "~"):
            raise NotYAMLError(f'"{key}" is no {"list" if in_list else "mapping"}')
        return _Place(None, pair[0])
    for item in holder.value:
        if in_list and _is_named(item, name):
            return _Place(holder, pair[0], item.start_mark.index, item)
        if not in_list and item[0].value == name:
            return _Place(holder, pair[0], item[0].start_mark.index, item[1])
    return _Place(holder, pair[0])


def _is_named(item: Node, name: str) -> bool:
    pairs = item.value if isinstance(item, MappingNode) else []
    return any((key.value, value.value) == ("name", name) for key, value in pairs)


def _with(text: str, place: _Place, key: str, name: str, value: dict[str, Any], *, in_list: bool) -> str:
    eol = "\r\n" if "\r\n" in text else "\n"
    holder = place.parent
    if holder is not None and holder.flow_style:
        return _in_flow(text, holder, name, value, in_list=in_list, eol=eol)
    if holder is None and place.key is None:
        gap = "" if not text or text.endswith("\n") else eol
        return f"{text}{gap}{key}:{eol}{_block(name, value, '  ', eol, in_list=in_list)}"
    if holder is None:
        return _under_empty_key(text, place, _block(name, value, "  ", eol, in_list=in_list), eol)
    last = holder.value[-1]
    at = text.find("\n", _last_offset(last if in_list else last[1]))
    indent = " " * holder.start_mark.column
    if at < 0:
        return f"{text}{eol}{_block(name, value, indent, eol, in_list=in_list)}"
    return f"{text[: at + 1]}{_block(name, value, indent, eol, in_list=in_list)}{text[at + 1 :]}"


def _under_empty_key(text: str, place: _Place, block: str, eol: str) -> str:
    """The key's value is nothing, "null" or "~"; a comment beside it stays there."""
    assert place.key is not None  # noqa: S101 - a missing key is made elsewhere
    colon = text.index(":", place.key.end_mark.index)
    at = text.find("\n", colon)
    line, rest = (text[colon + 1 :], "") if at < 0 else (text[colon + 1 : at], text[at + 1 :])
    beside = line.strip().removeprefix("null").removeprefix("~").strip()
    return f"{text[: colon + 1]}{' ' if beside else ''}{beside}{eol}{block}{rest}"


def _in_flow(text: str, holder: CollectionNode, name: str, value: dict[str, Any], *, in_list: bool, eol: str) -> str:
    start, end = holder.start_mark.index, holder.end_mark.index
    if not holder.value:
        before = text[:start].rstrip(" ")
        return f"{before}{eol}{_block(name, value, '  ', eol, in_list=in_list).rstrip()}{text[end:]}"
    new = json.dumps({"name": name, **value}) if in_list else f"{json.dumps(name)}: {json.dumps(value)}"
    inner = text[start : end - 1].rstrip()
    return f"{text[:start]}{inner}{'' if inner.endswith(',') else ','} {new}{text[end - 1 :]}"


def _without(text: str, place: _Place) -> str:
    holder, node = place.parent, place.node
    assert holder is not None  # noqa: S101 - what was found stands in something
    assert node is not None  # noqa: S101
    if holder.flow_style:
        raise NotYAMLError("its entries stand on one line, where they can't be edited safely")
    start = text.rfind("\n", 0, place.start) + 1
    end = text.find("\n", _last_offset(node))
    end = len(text) if end < 0 else end + 1
    if len(holder.value) > 1:
        return text[:start] + text[end:]
    empty = " []" if isinstance(holder, SequenceNode) else " {}"
    assert place.key is not None  # noqa: S101
    behind = text.index(":", place.key.end_mark.index) + 1
    if all(line.lstrip().startswith("#") or not line.strip() for line in text[behind:start].splitlines()):
        return text[:behind] + empty + text[behind:start] + text[end:]
    raise NotYAMLError("the entry can't be taken out without touching what stands around it")


def _last_offset(node: Node) -> int:
    """Where the last scalar of a node ends; a block's own end lies behind the comments that follow it."""
    while isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    return int(node.end_mark.index)


def _block(name: str, value: dict[str, Any], indent: str, eol: str, *, in_list: bool) -> str:
    if not in_list:
        return f"{indent}{name}:{eol}{_lines(value, indent + '  ', eol)}"
    lines = _lines({"name": name, **value}, indent + "  ", eol)
    return f"{indent}- {lines[len(indent) + 2 :]}"


def _lines(value: dict[str, Any], indent: str, eol: str) -> str:
    made = []
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            made.append(f"{indent}{key}:{eol}{_lines(inner, indent + '  ', eol)}")
        else:
            made.append(f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}{eol}")
    return "".join(made)


def _meant(
    before: dict[str, Any], key: str, name: str, value: dict[str, Any] | None, *, in_list: bool
) -> dict[str, Any]:
    if in_list:
        others = [item for item in before.get(key) or [] if not (isinstance(item, dict) and item.get("name") == name)]
        return before | {key: [*others, {"name": name, **value}] if value is not None else others}
    kept = {other: inner for other, inner in (before.get(key) or {}).items() if other != name}
    return before | {key: kept | ({name: value} if value is not None else {})}


def _checked(new: str, meant: dict[str, Any]) -> str:
    if read(new) != meant:
        raise NotYAMLError("it can't be edited without changing what else is in it")
    return new
