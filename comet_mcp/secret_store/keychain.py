"""The system's keychain as the store of key values."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from comet_mcp import keychain
from comet_mcp.domain.key import with_prefix
from comet_mcp.errors import StoreError
from comet_mcp.journal.rows import Place
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
        name = f"check-{secrets.token_hex(8)}"  # a name of its own, for other calls check at the same moment
        with _explained():
            keychain.keep(self._service, name, SecretStr("made to see whether keys can be stored"))
            keychain.forget(self._service, name)

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:  # noqa: ARG002 - the interface
        """Write the entry, in place of one that the key had before. Raises StoreError."""
        no_target(target, "keyring")
        with _explained():
            keychain.keep(self._service, str(key_id), with_prefix(key))
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
        with _explained():
            return keychain.entry(self._service, str(key_id))

    def forget(self, key_id: int) -> Forgotten:
        """Remove the key's entry."""
        if self.find(key_id) is None:
            return NOWHERE
        with _explained():
            keychain.forget(self._service, str(key_id))
        return Forgotten([f"{self._service}/{key_id}"], [])


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except keychain.KeychainError as error:
        raise StoreError(f"The system's keychain {error}. COMETAPI_MCP_SECRETS=file needs none.") from None
