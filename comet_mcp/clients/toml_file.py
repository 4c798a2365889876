"""One table of a TOML file put in, replaced or taken out; comments, order and line ends of the rest survive."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable


class NotTOMLError(ValueError):
    """The text is no TOML, or could not be edited without touching what else is in it."""


def with_table(text: str, path: Sequence[str], name: str, value: dict[str, Any]) -> str:
    """`text` with `value` as the table `[path.name]`. Raises NotTOMLError."""
    document, before = _parsed(text)
    parent: Any = document
    for step in path:
        if step not in parent:
            parent[step] = tomlkit.table(is_super_table=True)
        parent = parent[step]
        if not isinstance(parent, dict):
            raise NotTOMLError(f'"{step}" is no table')
    parent[name] = _table(value, inline=isinstance(parent, InlineTable))
    return _checked(text, tomlkit.dumps(document), _merged(before, path, name, value))


def without_table(text: str, path: Sequence[str], name: str) -> str:
    """`text` without the table `[path.name]`; as it is where there is none. Raises NotTOMLError."""
    document, after = _parsed(text)
    parent: Any = document
    plain: Any = after
    for step in path:
        if not isinstance(plain, dict) or step not in plain:
            return text
        parent, plain = parent[step], plain[step]
    if not isinstance(plain, dict) or name not in plain:
        return text
    del parent[name]
    del plain[name]
    return _checked(text, _without_gap(text, tomlkit.dumps(document)), after)


def with_values(text: str, path: Sequence[str], values: Mapping[str, Any]) -> str:
    """`text` with these values in the table `[path]`, or at its top; None takes one out. Raises NotTOMLError."""
    document, after = _parsed(text)
    parents, plain = [document], after
    for at, step in enumerate(path):
        if step not in plain:
            if all(value is None for value in values.values()):
                return text
            parents[-1][step] = tomlkit.table(is_super_table=at < len(path) - 1)
            plain[step] = {}
        parents.append(parents[-1][step])
        plain = plain[step]
        if not isinstance(plain, dict):
            raise NotTOMLError(f'"{step}" is no table')
    for key, value in values.items():
        if value is None and key in plain:
            del parents[-1][key], plain[key]
        elif value is not None and plain.get(key) != value:
            parents[-1][key] = plain[key] = value
    if path and not plain and not parents[-1].as_string().strip():
        del parents[-2][path[-1]]  # nothing is left in it, not even a comment
    return _checked(text, _without_gap(text, tomlkit.dumps(document)), after)


def with_item(text: str, path: Sequence[str], name: str, value: dict[str, Any]) -> str:
    """`text` with `value` as the table of that name in the array `[[path]]`. Raises NotTOMLError."""
    document, after = _parsed(text)
    (key,) = path
    item = {"name": name, **value}
    items = after.setdefault(key, [])
    if not isinstance(items, list):
        raise NotTOMLError(f'"{key}" is no array of tables')
    at = _position(items, name)
    if key not in document:
        document[key] = tomlkit.aot()
    array: Any = document[key]
    if at is None:
        items.append(item)
        array.append(_table(item))
    else:
        items[at] = item
        array[at] = _table(item)
    return _checked(text, tomlkit.dumps(document), after)


def without_item(text: str, path: Sequence[str], name: str) -> str:
    """`text` without the table of that name in the array `[[path]]`. Raises NotTOMLError."""
    document, after = _parsed(text)
    (key,) = path
    items = after.get(key)
    at = _position(items, name) if isinstance(items, list) else None
    if at is None or not isinstance(items, list):
        return text
    del items[at]
    array: Any = document[key]
    del array[at]
    if not items:
        del document[key]
        del after[key]
    return _checked(text, _without_gap(text, tomlkit.dumps(document)), after)


def read(text: str) -> dict[str, Any]:
    """What the text means. Raises NotTOMLError."""
    return _parsed(text)[1]


def _parsed(text: str) -> tuple[tomlkit.TOMLDocument, dict[str, Any]]:
    try:
        return tomlkit.parse(text), tomllib.loads(text)
    except (TOMLKitError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise NotTOMLError(f"it is no TOML: {str(error).splitlines()[0]}") from None


def _table(value: dict[str, Any], *, inline: bool = False) -> Any:
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for key, inner in value.items():
        table[key] = _table(inner, inline=inline) if isinstance(inner, dict) else inner
    return table


def _merged(before: dict[str, Any], path: Sequence[str], name: str, value: dict[str, Any]) -> dict[str, Any]:
    parent = before
    for step in path:
        parent = parent.setdefault(step, {})
    parent[name] = value
    return before


def _without_gap(old: str, new: str) -> str:
    """`new` without the empty line before what stood at the end of `old`."""
    gap = "\r\n\r\n" if new.endswith("\r\n\r\n") else "\n\n"
    return new[: -len(gap) // 2] if old.startswith(new) and new.endswith(gap) else new


def _checked(old: str, new: str, meant: dict[str, Any]) -> str:
    """`new` with the line ends of `old`, if it means what was meant."""
    if "\r\n" in old:
        new = _with_line_ends(old.splitlines(keepends=True), new.splitlines(keepends=True))
    try:
        found = tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        raise NotTOMLError("it can't be edited without changing what else is in it") from None
    if _pruned(found) != _pruned(meant):
        raise NotTOMLError("it can't be edited without changing what else is in it")
    return new


def _pruned(value: dict[str, Any]) -> dict[str, Any]:
    pruned = {key: _pruned(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    return {key: inner for key, inner in pruned.items() if inner != {}}


def _with_line_ends(old: list[str], new: list[str]) -> str:
    """The lines that were there before as they were; the new ones end as those do."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    own = [line.rstrip("\r\n") + "\r\n" * line.endswith("\n") for line in new[start : len(new) - end]]
    return "".join([*new[:start], *own, *new[len(new) - end :]])


def _position(items: list[Any], name: str) -> int | None:
    return next((at for at, item in enumerate(items) if isinstance(item, dict) and item.get("name") == name), None)
