"""Several accounts in one config file: `[profiles.NAME]`, one of which is chosen by COMETAPI_PROFILE or `--profile`.

A profile is an account: its token, address and number stand in its own tables alone. Those at the top of the file and
in the environment are another account's, and never mixed with it. Of all other settings `[profiles.NAME.mcp]` and
`[profiles.NAME.policy]` say what differs from `[mcp]` and `[policy]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from comet_mcp.settings.names import PROFILES
from comet_mcp.text import quoted

VARIABLE = "COMETAPI_PROFILE"
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""The name of a profile, as a table of TOML has it without quotation marks."""
ACCOUNT = {
    "COMETAPI_ACCESS_TOKEN": "access_token",
    "COMETAPI_BASE_URL": "base_url",
    "COMETAPI_USER_ID": "user_id",
    "COMETAPI_MCP_ACCESS_TOKEN_IN": "mcp.access_token_in",
}
"""The settings that say which account it is, each with its key."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The environment and the config file as they are read with the profile of that name, "" for none."""

    name: str
    environ: Mapping[str, str]
    config: Mapping[str, Any]
    own: Mapping[str, Any]
    """The profile's own tables."""
    problem: str = ""
    """Why there is no such profile."""
    warnings: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The dotted name of the profile's table, "" for none."""
        return f"{PROFILES}.{self.name}" if self.name else ""

    def full_key(self, key: str) -> str:
        """Where a setting of this key really stands in the config file."""
        found: Any = self.own
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return key if found is None else f"{self.table}.{key}"


def names(config: Mapping[str, Any]) -> list[str]:
    """The profiles that a config file has."""
    found = config.get(PROFILES)
    return [name for name, table in found.items() if isinstance(table, dict)] if isinstance(found, dict) else []


def tables(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables that hold an account each: the whole file, and its profiles."""
    return [config, *(config[PROFILES][name] for name in names(config))]


def chosen(environ: Mapping[str, str], config: Mapping[str, Any]) -> Chosen:
    """What is to be read with the profile that the environment names."""
    name = environ.get(VARIABLE, "")
    if not name:
        return Chosen("", environ, config, {})
    own = config[PROFILES][name] if name in names(config) else {}
    inherited = {key: value for key, value in config.items() if key not in ACCOUNT.values()}
    merged = {**inherited, **{key: value for key, value in own.items() if not isinstance(value, dict)}}
    for table in ("mcp", "policy"):
        above, below = config.get(table, {}), own.get(table, {})
        if isinstance(above, dict) and isinstance(below, dict):
            merged[table] = {k: v for k, v in above.items() if f"{table}.{k}" not in ACCOUNT.values()} | below
    others = [variable for variable in ACCOUNT if environ.get(variable)]
    return Chosen(
        name,
        {variable: text for variable, text in environ.items() if variable not in ACCOUNT},
        merged,
        own,
        problem="" if name in names(config) else _unknown(name, config),
        warnings=tuple(f"{variable} is set and not read: the profile {quoted(name)} is chosen." for variable in others),
    )


def _unknown(name: str, config: Mapping[str, Any]) -> str:
    there = names(config)
    said = f"{VARIABLE} or --profile names {quoted(name)}, and the config file has no such profile."
    if not there:
        add = f" cometapi-mcp login --profile {name} adds it." if NAME.fullmatch(name) else ""
        return f"{said} It has none.{add}"
    near = get_close_matches(name.lower(), there, 1)
    meant = f" Did you mean {quoted(near[0])}?" if near else ""
    return f"{said}{meant} Those it has: {', '.join(map(quoted, there))}."
