"""The system's keychain: macOS Keychain, Windows Credential Locker, Secret Service. Extra `cometapi-mcp[keyring]`."""

from __future__ import annotations

import secrets
from typing import Any

from pydantic import SecretStr

from comet_mcp.domain.key import with_prefix
from comet_mcp.errors import StoreError
from comet_mcp.journal.base import Place
from comet_mcp.secret_store.base import DEFAULT, NOWHERE, Forgotten, Saved, Target, no_target, run_line


class KeychainStore:
    """One entry per key: service `cometapi-mcp:<host>`, user name the key's id."""

    needs_value = True
    keeps = True
    later = "finds the key and stores its value"
    title = "The keychain"
    hangs = (
        "It may be asking for a password on the screen: answer there and try again, or set COMETAPI_MCP_SECRETS=file."
    )

    def __init__(self, host: str) -> None:
        self._service = f"cometapi-mcp:{host}"

    def note(self, saved: Saved) -> str:  # noqa: ARG002 - the interface
        """Its place says it all."""
        return ""

    def check(self, target: Target = DEFAULT) -> None:
        """Write and remove an entry. Raises StoreError with what is wrong."""
        no_target(target, "keyring")
        ring = self._ring()
        try:
            name = f"check-{secrets.token_hex(8)}"  # a name of its own, for other calls check at the same moment
            ring.set_password(self._service, name, "made to see whether keys can be stored")
            ring.delete_password(self._service, name)
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            raise _refused(error) from None

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:  # noqa: ARG002 - the interface
        """Write the entry, in place of one that the key had before. Raises StoreError."""
        no_target(target, "keyring")
        ring = self._ring()
        try:
            ring.set_password(self._service, str(key_id), with_prefix(key).get_secret_value())
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            raise _refused(error) from None
        return Saved(
            "keyring",
            path=f"{self._service}/{key_id}",
            load=run_line(key_id),
        )

    def place(self, target: Target) -> Place | None:  # noqa: ARG002 - the interface
        """There are no files."""
        return None

    def find(self, key_id: int) -> SecretStr | None:
        """The entry's value, None where there is none."""
        try:
            value = self._ring().get_password(self._service, str(key_id))
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            raise _refused(error) from None
        return SecretStr(value) if value else None

    def forget(self, key_id: int) -> Forgotten:
        """Remove the key's entry."""
        if self.find(key_id) is None:
            return NOWHERE
        try:
            self._ring().delete_password(self._service, str(key_id))
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            raise _refused(error) from None
        return Forgotten([f"{self._service}/{key_id}"], [])

    def _ring(self) -> Any:
        try:
            import keyring  # noqa: PLC0415 - an extra
        except ImportError:
            raise StoreError(
                'The keychain needs the extra: install "cometapi-mcp[keyring]". Nothing was created.'
            ) from None
        return keyring


def _refused(error: Exception) -> StoreError:
    # the type alone: what backends put into their messages is not ours to repeat
    return StoreError(
        f"The system's keychain refused ({type(error).__name__}). Unlock it, or set COMETAPI_MCP_SECRETS=file."
    )
