"""The config file, read: bounded in time, length and depth, and never more said of it than where it is wrong."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comet_mcp.policy.rule import WrongValueError
from comet_mcp.settings.profiles import tables
from comet_mcp.text import quoted
from comet_mcp.threads import LateError, run_blocking

_FILE_WITHIN = 3.0
_LONGEST_FILE = 65_536
"""Characters of a config file. It is the official cli's too, with tables of its own."""
_DEEPEST = 50
_LARGEST = 2**63 - 1
"""TOML's integers have 64 bits."""
_TOO_LARGE = "has a number that is too large to be read"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a config file says, and whether it could be read: "read", "not there", "can't be read"."""

    content: dict[str, Any]
    state: str


_NONE = ConfigFile({}, "not there")
_UNREADABLE = ConfigFile({}, "can't be read")


def read_config(path: Path, problems: list[str], *, named: bool) -> ConfigFile:
    """The parsed file, with nothing in it where there is none; what is wrong with it is added to `problems`."""
    if not named and not path.is_absolute():
        return _NONE
    shown = quoted(str(path), 300)
    try:
        text = run_blocking(lambda: _text_of(path), _FILE_WITHIN)
    except FileNotFoundError:
        if named:
            problems.append(
                f"COMETAPI_MCP_CONFIG names {quoted(str(path.absolute()), 300)}, and there is no such file."
            )
        return _NONE
    except LateError:
        problems.append(
            f"The config file {shown} has not answered in {_FILE_WITHIN:.0f} s; it may be on a network or a disk that "
            "hangs."
        )
        return _UNREADABLE
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"The config file {shown} can't be read ({type(error).__name__}).")
        return _UNREADABLE
    try:
        return ConfigFile(_toml(text), "read")
    except WrongValueError as wrong:
        problems.append(f"The config file {shown} {wrong}.")
        return _UNREADABLE


def _text_of(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        return file.read(_LONGEST_FILE + 1)


def _toml(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises WrongValueError, which quotes no value."""
    import tomllib  # noqa: PLC0415 - most servers have no file

    if len(text) > _LONGEST_FILE:
        raise WrongValueError(f"is longer than {_LONGEST_FILE} characters")
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its text holds a position and a character
        raise WrongValueError(f"is not valid TOML: {error}") from None
    except RecursionError:
        raise WrongValueError("is nested too deeply") from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise WrongValueError(_TOO_LARGE) from None
    _require_writable(config)
    return config


def _require_writable(config: dict[str, Any]) -> None:
    """Raise WrongValueError for what has no text: Python writes no number that it would not read, nor any depth."""
    left: list[tuple[Any, int]] = [(config, 0)]
    while left:
        value, depth = left.pop()
        if depth > _DEEPEST:
            raise WrongValueError("is nested too deeply")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise WrongValueError(_TOO_LARGE)
        if isinstance(value, dict | list):
            left += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]


def exposed(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """A warning where other users can read a file with an access token in it. Windows has no such modes."""
    if os.name != "posix" or not any(table.get("access_token") for table in tables(config)):
        return ()
    try:
        mode = path.stat().st_mode
    except OSError:
        return ()
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ()
    shown = quoted(str(path), 300)
    return (f"Other users of this machine can read {shown}, which holds the access token. Run: chmod 600 {shown}",)
