from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from tests.support import Home


class Memory(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.refuses = False

    def _check(self) -> None:
        if self.refuses:
            raise keyring.errors.KeyringLocked("made-up-secret-of-the-keychain")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.entries[service, username]


@pytest.fixture
def keychain() -> Iterator[Memory]:
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """An empty home beside an account on a sandbox."""
    return make_home()


@pytest.fixture
def bare(home: Home) -> dict[str, str]:
    """The environment of somebody who has set nothing."""
    return {name: text for name, text in home.environment.items() if not name.startswith("COMETAPI")}


@pytest.fixture
def config(home: Home) -> Path:
    """Where the config file is, or will be."""
    return home.directory / ".config" / "cometapi" / "config.toml"
