"""A key's value: read within the API's limit, put where the person's programs find it, forgotten.

Measured: revealing a key and asking its usage share 20 calls in 20 minutes. The journal counts them for all servers of
the user, so that a create is refused while the new key's value could not be read. Who asks at the same moment shares a
call, which reads up to 100 keys at once where the release can.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import SecretStr

from comet_mcp.concurrency import Deadline, Pending, SingleFlight
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import (
    ArgumentError,
    CometError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    SlowStoreError,
    StoreError,
    UnclearError,
    UnwrittenError,
)
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.writes import AddReveals
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store import NOWHERE, Forgotten, KeyStore, Saved, Target
from comet_mcp.secret_store.base import DEFAULT
from comet_mcp.secret_store.env_files import EnvFiles
from comet_mcp.services.core import Core
from comet_mcp.services.elsewhere import ElsewherePlaces
from comet_mcp.services.places import Places, fits, listed
from comet_mcp.threads import LateError, Threads

_T = TypeVar("_T")

REVEALS = 20
"""Calls of the API that reveal values, in `REVEAL_WINDOW` seconds; those that ask for usage count too (measured)."""

REVEAL_WINDOW = 20 * 60.0
_BATCH = 100
_MAX_WAIT = 1.5
_LEAST = 0.5
"""Seconds that the store gets in any case: a key that exists is better stored late than not."""
_MOST_LEFT = 8
"""Calls of the store that may hang; each could be a question on the person's screen."""


class Secrets:
    """The values of one account's keys."""

    def __init__(
        self, core: Core, store: KeyStore, redactor: Redactor, files: EnvFiles, elsewhere: ElsewherePlaces
    ) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock = core.clock
        self.store = store
        self.places = Places(core, files, elsewhere)
        self._redactor = redactor
        self.finding = Pending()
        """The creates that look for their rows: a reveal waits for them, since calls are few."""
        self._values: SingleFlight[int, dict[int, SecretStr]] = SingleFlight(
            self._reveal, core.clock, pending=self.finding, max_wait=_MAX_WAIT
        )
        self._has_batch = True
        self._uncounted = 0
        self._threads = Threads(_MOST_LEFT)
        self._journal.add_rider(self._counting)

    async def check(self, deadline: Deadline, target: Target = DEFAULT) -> None:
        """Find out whether a value could be stored. Raises StoreError, ArgumentError for the target."""
        await self._ask_store(lambda: self.store.check(target), deadline.left)

    def require_reveal(self, reveals: Sequence[float], in_flight: int = 0) -> None:
        """Raise RateLimitedError where no value could be read now.

        Args:
            reveals: When values were revealed so far, in Unix seconds, as the journal has it.
            in_flight: Other servers that are about to reveal one.
        """
        counted = self._counted(reveals)
        if len(counted) + in_flight < REVEALS:
            return
        free = counted[max(len(counted) - REVEALS, 0)] + REVEAL_WINDOW if counted else self._clock.now()
        raise RateLimitedError(
            f"The API reveals key values in {REVEALS} calls per 20 minutes, and they are used up until "
            f"{when(int(free) + 1)}. Until then no value can be read, so no key is made either. Try again then.",
            retry_after=None,
        )

    async def save(self, row: Key, deadline: Deadline, target: Target = DEFAULT) -> Saved:
        """Store the value of a key; tried twice where that may help.

        Raises StoreError, ArgumentError for the target's names, or what reading the value raises.
        """
        value = await self.value_of(row, deadline) if self.store.needs_value else row.key
        name = self._redactor.text(row.name)
        place = self.store.place(target)
        is_new = place is not None and await self.places.note(row, place)
        try:
            return await self._ask_store(lambda: self.store.save(row.id, name, value, target), deadline.left)
        except SlowStoreError:
            raise
        except (ArgumentError, UnwrittenError):
            if place is not None and is_new:
                await self.places.withdraw(row, place)
            raise
        except StoreError:
            return await self._ask_store(lambda: self.store.save(row.id, name, value, target), deadline.left)

    async def stored(self, key_id: int, deadline: Deadline) -> SecretStr | None:
        """The value that the store has for a key, None for none; leaves time to ask the API. Raises StoreError."""
        return await self._ask_store(lambda: self.store.find(key_id), deadline.left / 2)

    async def value_of(self, row: Key, deadline: Deadline) -> SecretStr:
        """The value of a key: from its record or the store where they have it, which spares a reveal call.

        Raises:
            RateLimitedError: The limit of such calls is used up.
            APIError: The API could not be asked, or answered with another key's value.
        """
        value = await self._value_of(row, deadline)
        self._redactor.learn(value)
        return value

    async def _value_of(self, row: Key, deadline: Deadline) -> SecretStr:
        with contextlib.suppress(StoreError):  # a locked keychain: the API has it too
            if (known := await self.known_value_of(row, deadline)) is not None:
                return known
        values = await self._values.join(row.id, deadline.left)
        if row.id not in values:
            raise NotFoundError(f"The API reveals no key {row.id}. It may have been deleted just now.")
        if not fits(values[row.id], row):
            raise UnclearError(
                f"The API answered with the value of another key than {row.id}: it does not fit the key's mask. It was "
                "not stored. Try again; if it stays so, tell the API's support."
            )
        return values[row.id]

    async def known_value_of(self, row: Key, deadline: Deadline) -> SecretStr | None:
        """The value of a key as far as its record or the store has it, without a call of the API. Raises StoreError."""
        if not row.is_masked:
            return row.key
        known = await self.stored(row.id, deadline)
        return known if known is not None and fits(known, row) else None

    async def replace(self, row: Key, value: SecretStr, deadline: Deadline) -> None:
        """Store the value of a key in the place of another key's, of which nothing is left. Raises StoreError."""
        name = self._redactor.text(row.name)

        def store() -> None:
            self.store.forget(row.id)
            self.store.save(row.id, name, value, DEFAULT)

        await self._ask_store(store, deadline.left)

    async def note_reveals(self) -> None:
        """Count the reveals in the journal now: for who makes no other use of it. What fails is not counted."""
        if self._uncounted:
            with contextlib.suppress(CometError):
                await self._identity.account()  # as whose they are counted, with this step
                await self._journal.run(Step(Reads(), lambda _: Decision(None), durable=False))

    async def forget(self, key_id: int, created: int | None, deadline: Deadline, row: Key | None = None) -> Forgotten:
        """Remove the value of a key that is gone from the store, and from where else it was put.

        Args:
            key_id: Its id.
            created: When it was made, None where that is not known: then no other place is named.
            deadline: Of the call.
            row: Its last record; without one the other places are named, not cleared.
        """
        cleared, left = await self.places.clear(key_id, created, row, deadline) if created is not None else ([], [])
        try:
            forgotten = await self._ask_store(lambda: self.store.forget(key_id), deadline.left)
        except SlowStoreError as error:
            forgotten = Forgotten([], [], doubt=f"Whether its value was removed too is not known: {error.args[0]}")
        except StoreError:
            forgotten = NOWHERE  # it is of no use to anybody any more
        others = [place for place in left if place.path not in forgotten.left and not place.is_elsewhere]
        elsewhere = listed([place for place in left if place.is_elsewhere])
        return forgotten._replace(cleared=listed(cleared), put=listed(others), elsewhere=elsewhere)

    async def _ask_store(self, work: Callable[[], _T], seconds: float) -> _T:
        """What the store does, which may wait for a person or for a disk. Raises SlowStoreError if it is too slow."""
        try:
            return await self._threads.run(work, max(seconds, _LEAST))
        except LateError as late:
            raise SlowStoreError(
                f"{self.store.title} has not answered in {late.seconds:.0f} s. {self.store.hangs}".strip()
            ) from None

    async def _reveal(self, key_ids: list[int], seconds: float) -> dict[int, SecretStr]:
        wanted = list(dict.fromkeys(key_ids))
        values: dict[int, SecretStr] = {}
        if len(wanted) > 1 and self._has_batch:
            try:
                for start in range(0, len(wanted), _BATCH):
                    self._uncounted += 1
                    values |= await self._api.reveal_keys(wanted[start : start + _BATCH], seconds=seconds)
            except RefusedError as error:
                if error.code not in ("no_such_call", UnclearError.code):  # a 404, in JSON or as a page
                    raise
                self._has_batch = False  # a release between the first with a reveal call and the first with a batch
            else:
                return values
        for key_id in wanted:
            self._uncounted += 1
            values[key_id] = await self._api.reveal_key(key_id, seconds=seconds)
        return values

    def _counted(self, reveals: Sequence[float]) -> list[float]:
        """The calls that the API still counts, those that the journal does not have yet included."""
        now = self._clock.now()
        return [at for at in reveals if at > now - REVEAL_WINDOW] + [now] * self._uncounted

    def _counting(self) -> Step[None] | None:
        """Counts, with the journal's next step, the calls that were made since the last one."""
        account, calls = self._identity.cached, self._uncounted
        if not calls or account is None:
            return None

        def after(_: None) -> None:
            self._uncounted -= calls

        counted = Decision(None, [AddReveals(self._clock.now(), calls)])
        return Step(Reads(account), lambda _: counted, after=after)
