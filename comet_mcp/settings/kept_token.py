"""The access token where `cometapi-mcp login --keychain` keeps it. The config file says that it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from comet_mcp import keychain
from comet_mcp.policy.rule import WrongValueError
from comet_mcp.settings import values
from comet_mcp.threads import LateError, run_blocking

_T = TypeVar("_T")
_SERVICE = "cometapi-mcp:access-token"
_WITHIN = 5.0
"""Seconds. A client waits some thirty for a server's start, and one that asks a person may take for ever."""


def kept_token(config: Path, profile: str) -> SecretStr:
    """The token of a config file's account.

    Raises:
        WrongValueError: There is none, or the keychain can't be used; in words that follow its name.
    """
    found = _in_time(lambda: keychain.entry(_SERVICE, _user(config, profile)))
    if found is None:
        raise WrongValueError("has no access token of this account")
    return values.access_token(found.get_secret_value())


def keep_token(config: Path, profile: str, token: SecretStr) -> None:
    """Keep the token in the keychain. Raises WrongValueError as `kept_token`."""
    _in_time(lambda: keychain.keep(_SERVICE, _user(config, profile), token))


def forget_token(config: Path, profile: str) -> bool:
    """Remove it; whether there was one. Raises WrongValueError as `kept_token`."""
    user = _user(config, profile)
    is_there = _in_time(lambda: keychain.entry(_SERVICE, user)) is not None
    if is_there:
        _in_time(lambda: keychain.forget(_SERVICE, user))
    return is_there


def _user(config: Path, profile: str) -> str:
    """What tells accounts apart: their place in a config file."""
    return f"{config.absolute()}#{profile}"


def _in_time(work: Callable[[], _T]) -> _T:
    try:
        return run_blocking(work, _WITHIN)
    except LateError:
        raise WrongValueError(
            f"has not answered in {_WITHIN:.0f} s; it may be asking for a password on the screen"
        ) from None
    except keychain.KeychainError as error:
        raise WrongValueError(str(error)) from None
