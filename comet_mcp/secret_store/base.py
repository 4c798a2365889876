"""What a store is, and the two that keep nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from pydantic import SecretStr

from comet_mcp.domain.key import with_prefix
from comet_mcp.errors import ArgumentError
from comet_mcp.journal.rows import Place

KEY_VARIABLE = "COMETAPI_KEY"
"""The variable that holds a model key, by the official cli's convention."""

Outcome = Literal["created", "changed", "kept"]
"""What became of a file of the person's programs."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a key's value. `value` is there only for the store that hands it to the model.

    `load` starts a program with it; `shells` has the lines that put it into a shell's environment, by shell;
    `outcome` tells whether a file of the person's programs was created, changed or kept.
    """

    stored_in: Literal["file", "keyring", "result", "none"]
    path: str | None = None
    variable: str | None = None
    load: str | None = None
    shells: Mapping[str, str] = field(default_factory=dict)
    value: SecretStr | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the caller wants a value: a file name below the key directory, and the name of the variable."""

    file: str = ""
    variable: str = KEY_VARIABLE


DEFAULT = Target()


class Forgotten(NamedTuple):
    """The places a key's value was removed from, and those where it still stands because they are not ours.

    `cleared` has the places into which it was put as a person chose and where it is no more; `put` the files where it
    may be still, each with its variable, and `elsewhere` the places of other machines. `doubt` is a sentence where it
    is not known whether it was removed.
    """

    removed: list[str]
    left: list[str]
    cleared: str = ""
    put: str = ""
    elsewhere: str = ""
    doubt: str = ""

    def __str__(self) -> str:
        """In sentences; "" where it was nowhere."""
        removed = f"Its value was removed from {', '.join(self.removed)}." if self.removed else ""
        left = f"It is still in {', '.join(self.left)}: remove the line there." if self.left else ""
        cleared = f"It was cleared from {self.cleared}." if self.cleared else ""
        put = f"It was put into {self.put}: remove the line there." if self.put else ""
        elsewhere = f"It may be in {self.elsewhere} still: remove it there." if self.elsewhere else ""
        return " ".join(filter(None, (removed, left, cleared, put, elsewhere, self.doubt)))

    @property
    def besides(self) -> str:
        """The same without the places that are ours."""
        return str(self._replace(removed=[]))


NOWHERE = Forgotten([], [])


class KeyStore(Protocol):
    """Takes the values of keys. All methods may block; `check` and `save` raise StoreError."""

    needs_value: bool
    """Whether it takes the value of a key, so that one has to be read."""
    keeps: bool
    """Whether a value is stored for good, so that nobody has to read the answer that tells of it."""
    later: str
    """What a list does with a key that it finds, to go on a sentence: "finds the key"."""
    title: str
    """Its name, to begin a sentence with."""
    hangs: str
    """Why it may not answer, and what to do then, in a sentence; "" where it always does."""

    def note(self, saved: Saved) -> str:
        """What is to be said of a new key beside the place of its value; "" where there is nothing."""

    def check(self, target: Target = DEFAULT) -> None:
        """Find out whether `save` can work, before there is a key to save. Raises ArgumentError for the target."""

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:
        """Put the value where the person's programs find it; saving the same key twice is one place."""

    def place(self, target: Target) -> Place | None:
        """The file of the caller's choice that `save` writes to, None for a place of the store's own."""

    def find(self, key_id: int) -> SecretStr | None:
        """The value of a key that was saved here before, None where it was not."""

    def forget(self, key_id: int) -> Forgotten:
        """Remove the value of a key that does not exist any more."""


def run_line(key_id: int) -> str:
    """The line that starts a program with a key in its environment, wherever its value is."""
    return f"cometapi-mcp run {key_id} -- PROGRAM"


def needed_base_url(variable: str | None, base_url: str) -> str | None:
    """The variable, with its value, that a program needs too when its key stands in one that others' libraries read."""
    return f"OPENAI_BASE_URL={base_url}/v1" if variable == "OPENAI_API_KEY" else None


def no_target(target: Target, store: str) -> None:
    """Refuse a file or variable name in a store that has none."""
    if target != DEFAULT:
        raise ArgumentError(f'file and variable need the store "file"; this server\'s store is "{store}".')


class ResultStore:
    """Hands the value to the model in the tool's result: only where the operator turned it on."""

    needs_value = True
    keeps = False
    later = "finds the key, whose value save_api_key then gives"
    title = "The result"
    hangs = ""

    def note(self, saved: Saved) -> str:  # noqa: ARG002 - the interface
        """The value is beside it."""
        return ""

    def check(self, target: Target = DEFAULT) -> None:
        """Nothing else can be wrong."""
        no_target(target, "result")

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:  # noqa: ARG002 - the interface
        """Return the value itself."""
        no_target(target, "result")
        return Saved("result", value=with_prefix(key))

    def place(self, target: Target) -> Place | None:  # noqa: ARG002 - the interface
        """There are no files."""
        return None

    def find(self, key_id: int) -> SecretStr | None:  # noqa: ARG002 - the interface
        """Nothing is kept."""
        return None

    def forget(self, key_id: int) -> Forgotten:  # noqa: ARG002 - the interface
        """Nothing is kept."""
        return NOWHERE


class NoStore:
    """Keeps nothing: the person takes the value from the API's own console."""

    needs_value = False
    keeps = False
    later = "finds the key"
    title = "The API's own console"
    hangs = ""

    def note(self, saved: Saved) -> str:
        """Where the value is instead."""
        return f"Nothing was stored. A program gets it by: {saved.load}"

    def check(self, target: Target = DEFAULT) -> None:
        """Nothing else can be wrong."""
        no_target(target, "none")

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:  # noqa: ARG002 - the interface
        """Say that nothing was kept, and how a program gets the value from the API."""
        no_target(target, "none")
        return Saved("none", load=run_line(key_id))

    def place(self, target: Target) -> Place | None:  # noqa: ARG002 - the interface
        """There are no files."""
        return None

    def find(self, key_id: int) -> SecretStr | None:  # noqa: ARG002 - the interface
        """Nothing is kept."""
        return None

    def forget(self, key_id: int) -> Forgotten:  # noqa: ARG002 - the interface
        """Nothing is kept."""
        return NOWHERE
