"""The forms that clients keep their servers in: how an entry is read, put in and taken out of each.

Each edits the text of the whole file, and leaves all but the entry as it was. It raises ValueError, with the reason,
where the file is not in that form or can't be edited.
"""

from __future__ import annotations

from typing import Any, Protocol

from comet_mcp.clients import jsonc
from comet_mcp.clients.table import Client


class Form(Protocol):
    """A form of file, for the entries under one key."""

    def entry(self, text: str, key: str, name: str) -> Any:
        """The entry of that name, None where there is none."""

    def put(self, text: str, key: str, name: str, entry: dict[str, Any]) -> str:
        """The text with the entry."""

    def take(self, text: str, key: str, name: str) -> str:
        """The text without the entry."""


def form_of(client: Client) -> Form:
    """The form of a client's file. The libraries for TOML and YAML are loaded for the clients that have it."""
    if client.form == "json":
        return _JSON()
    if client.form.startswith("toml"):
        return _TOML(is_array=client.form == "toml array")
    return _YAML(is_list=client.form == "yaml list")


class _JSON:
    def entry(self, text: str, key: str, name: str) -> Any:
        servers = jsonc.read(text).value if text.strip() else {}
        found = servers.get(key) if isinstance(servers, dict) else None
        return found.get(name) if isinstance(found, dict) else None

    def put(self, text: str, key: str, name: str, entry: dict[str, Any]) -> str:
        return jsonc.with_member(text, [key], name, entry)

    def take(self, text: str, key: str, name: str) -> str:
        return jsonc.without_member(text, [key], name)


class _TOML:
    def __init__(self, *, is_array: bool) -> None:
        from comet_mcp.clients import toml_file  # noqa: PLC0415 - see form_of

        self._file = toml_file
        self._is_array = is_array

    def entry(self, text: str, key: str, name: str) -> Any:
        return _named(self._file.read(text).get(key), name)

    def put(self, text: str, key: str, name: str, entry: dict[str, Any]) -> str:
        put = self._file.with_item if self._is_array else self._file.with_table
        return put(text, [key], name, entry)

    def take(self, text: str, key: str, name: str) -> str:
        take = self._file.without_item if self._is_array else self._file.without_table
        return take(text, [key], name)


class _YAML:
    def __init__(self, *, is_list: bool) -> None:
        from comet_mcp.clients import yaml_file  # noqa: PLC0415 - see form_of

        self._file = yaml_file
        self._is_list = is_list

    def entry(self, text: str, key: str, name: str) -> Any:
        return _named(self._file.read(text).get(key), name)

    def put(self, text: str, key: str, name: str, entry: dict[str, Any]) -> str:
        return self._file.with_entry(text, key, name, entry, in_list=self._is_list)

    def take(self, text: str, key: str, name: str) -> str:
        return self._file.without_entry(text, key, name, in_list=self._is_list)


def _named(servers: Any, name: str) -> Any:
    """The entry of a name in a mapping, or in a list of entries that have a `name`."""
    if isinstance(servers, dict):
        return servers.get(name)
    named = [one for one in servers or [] if isinstance(one, dict) and one.get("name") == name]
    return {key: value for key, value in named[0].items() if key != "name"} if named else None
