"""The system's keychain: macOS Keychain, Windows Credential Locker, Secret Service. Extra `cometapi-mcp[keyring]`.

It may wait for a person, for ever: nobody calls these on the event loop, or without a bound (`threads`).
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr


class KeychainError(Exception):
    """Why the keychain can't be used, in words that follow "the keychain"."""


def entry(service: str, user: str) -> SecretStr | None:
    """What is kept for a user of a service, None for nothing. Raises KeychainError."""
    value = _done("get_password", service, user)
    return SecretStr(value) if value else None


def keep(service: str, user: str, value: SecretStr) -> None:
    """Keep a value, in place of one that is there. Raises KeychainError."""
    _done("set_password", service, user, value.get_secret_value())


def forget(service: str, user: str) -> None:
    """Remove an entry that is there. Raises KeychainError."""
    _done("delete_password", service, user)


def _done(call: str, *arguments: str) -> Any:
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        raise KeychainError('needs the extra: install "cometapi-mcp[keyring]"') from None
    try:
        return getattr(keyring, call)(*arguments)
    except Exception as error:  # noqa: BLE001 - backends raise what they like
        # the type alone: what backends put into their messages is not ours to repeat
        kind = type(error).__name__
        said = "is missing on this machine" if kind == "NoKeyringError" else "refused, unlock it"
        raise KeychainError(f"{said} ({kind})") from None
