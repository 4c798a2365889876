"""Putting the value of a key where the person's programs find it, and what to say where nothing keeps it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.to_thread
from pydantic import SecretStr

from comet_mcp.domain.key import Key, is_masked
from comet_mcp.errors import APIError, JournalError, StoreError
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.values import KeyValues
from comet_mcp.secret_store import NOWHERE, Forgotten, KeyStore, Saved, Target, mask
from comet_mcp.secret_store.base import DEFAULT, NoStore, ResultStore
from comet_mcp.state.intents import Intents

_T = TypeVar("_T")


@dataclass(slots=True)
class Created:
    """A key that exists. `saved` is None where its value is not stored; `warnings` then say how to get it.

    `intent` is the create that made it, None where that was not looked up.
    """

    row: Key
    saved: Saved | None = None
    warnings: list[str] = field(default_factory=list)
    intent: int | None = None


class Storing:
    """Reads the values of keys, puts them into the store, and notes that they are there."""

    def __init__(self, values: KeyValues, intents: Intents, store: KeyStore) -> None:
        self._values = values
        self._intents = intents
        self._store = store
        self.keeps = not isinstance(store, ResultStore | NoStore)
        """Whether a value is stored for good, so that nobody has to read the answer that tells of it."""

    async def check(self, target: Target = DEFAULT) -> None:
        """Find out whether a value could be stored. Raises StoreError, ArgumentError for the target."""
        await _in_thread(lambda: self._store.check(target))

    async def check_limit(self) -> None:
        """Raise RateLimitedError where a value is needed and could not be read."""
        if self._store.needs_value:
            await self._values.check_limit()

    async def store(self, created: Created, deadline: Deadline) -> Created:
        """Read the key's value and store it; tried twice, and what fails is told, for the key exists."""
        row = created.row
        try:
            created.saved = await self.save(row, deadline)
        except (APIError, JournalError, StoreError) as error:
            created.warnings.append(
                f"The key exists (id {row.id}), but its value could not be stored: {error} "
                f"Call save_api_key with id {row.id} once that is mended. Do not create the key again."
            )
            with contextlib.suppress(JournalError):  # it then counts as one of a server that died: no harm
                await self._intents.unsaved(row.id)
        else:
            if isinstance(self._store, NoStore):
                created.warnings.append(f"Nothing was stored. A program gets it by: {created.saved.load}")
        return created

    async def save(self, row: Key, deadline: Deadline, target: Target = DEFAULT) -> Saved:
        """Store the value of a key. Raises StoreError, or what reading the value raises."""
        value = await self._values.of(row, deadline.left) if self._store.needs_value else row.key
        try:
            saved = await _in_thread(lambda: self._store.save(row.id, row.name, value, target))
        except StoreError:
            saved = await _in_thread(lambda: self._store.save(row.id, row.name, value, target))
        with contextlib.suppress(JournalError):  # it then says later that the value is not stored: no harm
            await self._intents.saved(row.id)
        return saved

    async def leave(self, key_id: int) -> str:
        """Note that a key was found for nobody who could take its value. Returns what to do, as a sentence."""
        if self._store.needs_value:
            await self._intents.unsaved(key_id)
            return f"Its value was not read: call save_api_key with id {key_id}."
        await self._intents.saved(key_id)  # nothing is left to do here
        return "Nothing was stored: take its value from the API's console."

    @property
    def later(self) -> str:
        """What a list does with a key that it finds, to go on a sentence: "finds the key"."""
        if self.keeps:
            return "finds the key and stores its value"
        return "finds the key, whose value save_api_key then gives" if self._store.needs_value else "finds the key"

    async def forget(self, key_id: int) -> Forgotten:
        """Remove the value of a key that was deleted from the store."""
        try:
            return await _in_thread(lambda: self._store.forget(key_id))
        except StoreError:
            return NOWHERE  # it is of no use to anybody any more

    async def value_of(self, row: Key, seconds: float) -> SecretStr:
        """The value of a key: from the store where it has it, which spares a reveal call, else from the API."""
        if not is_masked(row.key.get_secret_value()):
            return row.key
        try:
            known = await _in_thread(lambda: self._store.find(row.id))
        except StoreError:
            known = None  # a locked keychain: the API has it too
        if known is not None and mask(known) == mask(row.key):
            return known
        return await self._values.of(row, seconds)


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await anyio.to_thread.run_sync(work)
