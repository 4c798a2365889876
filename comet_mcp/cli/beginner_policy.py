"""The policies to begin with: what each writes into the config file, and how that is taken out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from comet_mcp.cli.config_file import ConfigFile
from comet_mcp.cli.policy import said_of
from comet_mcp.settings import load, understood

Name = Literal["personal", "team", "read-only"]
_Lines = Mapping[str, Mapping[str, Any]]

POLICIES: dict[Name, _Lines] = {
    "personal": {
        "policy": {"max_budget_usd": 20, "require_expiry": True, "allow_unlimited": False, "max_sum_usd_per_day": 50},
    },
    "team": {
        "mcp": {"confirm": "destructive", "audit": "required"},
        "policy": {
            "max_budget_usd": 5,
            "max_lifetime": "90d",
            "require_expiry": True,
            "allow_unlimited": False,
            "max_keys_per_day": 20,
            "max_sum_usd_per_day": 50,
        },
    },
    "read-only": {"mcp": {"read_only": True}},
}
"""By table and setting. An agent meets the limits; whoever runs the server changes them in the file."""


def words(name: Name) -> list[str]:
    """What agents may do under it, as `cometapi-mcp policy` says it."""
    return list(said_of(understood({}, POLICIES[name])))


def chosen() -> Name | None:
    """Which of them the config file has, None for none. Raises SettingsError: it can't be read."""
    own = _file().own
    found = [
        name
        for name in POLICIES
        if all(_of(own, table).items() >= POLICIES[name][table].items() for table in POLICIES[name])
    ]
    return max(found, key=lambda name: len(POLICIES[name]), default=None)


def is_any() -> bool:
    """Whether the file has a policy, be it one of a person's own. Raises SettingsError: it can't be read."""
    return bool(_of(_file().own, "policy"))


def put(name: Name) -> list[str]:
    """Write it in place of another of them. Returns the lines of a person's own that differ and stay as they are.

    Raises:
        SettingsError: The file can't be read or written.
    """
    if chosen() == name:
        return []
    take_out()
    file = _file()
    stays = []
    for table, lines in POLICIES[name].items():
        there = _of(file.own, table)
        stays += [f"{table}.{key}" for key, value in lines.items() if there.get(key, value) != value]
        file.put({key: value for key, value in lines.items() if key not in there}, table)
    file.write()
    return stays


def take_out() -> Name | None:
    """Take out the one that the file has, and say which. Raises SettingsError likewise."""
    name = chosen()
    if name is not None:
        file = _file()
        for table, lines in POLICIES[name].items():
            file.put(dict.fromkeys(lines), table)
        file.write()
    return name


def _file() -> ConfigFile:
    settings = load()
    return ConfigFile(settings.config, settings.profile)


def _of(own: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = own.get(table)
    return found if isinstance(found, dict) else {}
