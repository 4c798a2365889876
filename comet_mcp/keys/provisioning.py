"""Creating a key exactly once, although the API's create answers without an id and can fail after it committed.

    1. What could go wrong later is looked for now: the store, the journal, the reveal limit, the time.
    2. The intent and the newest key id go into the journal, on disk.
    3. One POST. It is repeated only where it provably never left, or was refused for its rate.
    4. The new row is found among those above that id, and claimed in the journal (finding, state.claims).
    5. Its value is read and stored (storing).

From 2 to 5 nothing can be cancelled: clients cancel calls, and close stdin, whenever they like (telling). How it can
end: created; not created (UnsentError, RefusedError); not known (CreateUnclearError), which later calls settle
(settling).
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractAsyncContextManager

import anyio
from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.pace import WRITE_CALLS
from comet_mcp.api.wire import CreateAnswer
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import (
    CreateUnclearError,
    JournalError,
    RateLimitedError,
    RefusedError,
    UnclearError,
    UnsentError,
)
from comet_mcp.keys.allowance import Allowance
from comet_mcp.keys.deadline import MARGIN, Deadline
from comet_mcp.keys.finding import KeyFinder
from comet_mcp.keys.flights import Crowd
from comet_mcp.keys.newest import NewestKeys
from comet_mcp.keys.settling import Settled, Settling
from comet_mcp.keys.storing import Created, Storing
from comet_mcp.keys.telling import Telling
from comet_mcp.keys.values import KeyValues
from comet_mcp.secret_store import Forgotten, KeyStore, Saved, Target
from comet_mcp.state.intents import Floor, Phase
from comet_mcp.state.journal import Journal
from comet_mcp.state.ledger import Check

_ATTEMPTS = 4


class KeyMaker:
    """Makes keys for one account, and settles what earlier calls, of any server, left unclear."""

    def __init__(
        self, api: CometAPI, journal: Journal, store: KeyStore, allowance: Allowance, gone: anyio.Event
    ) -> None:
        """`gone` is set once the client has closed its end (see Telling)."""
        self._api = api
        self._intents = journal.intents
        self._allowance = allowance
        self._guard = allowance.guard
        self._timeout = api.timeout
        self._creating = Crowd()
        self._finding = Crowd()
        self._newest = NewestKeys(api, self._creating)
        self._values = KeyValues(api, journal.reveals, self._finding)
        self._storing = Storing(self._values, journal.intents, store)
        self._finder = KeyFinder(api, journal, self._newest, self._storing.later)
        self._telling = Telling(journal.intents, gone)
        self._settling = Settling(journal, self._finder, self._storing, self._telling)

    async def create(self, body: KeySpec, rotation: int | None = None, *, deadline: Deadline | None = None) -> Created:
        """Make one key and store its value. A rotation's key is its alone, however equal another is.

        Raises:
            PolicyError: The key would be outside the policy, or one too many; nothing was sent.
            StoreError, JournalError, RateLimitedError: Something needed later is missing; nothing was sent.
            RefusedError, UnsentError: No key was made.
            CreateUnclearError: A key may have been made; the next list, or the next equal create, finds it.
        """
        deadline = deadline or Deadline(self._timeout)
        await self._allowance.require_new(body, rotation)
        await self._storing.check()
        if (earlier := await self._settling.earlier(body, rotation, deadline)) is not None:
            return earlier
        await self._storing.check_limit()
        floor = await self._newest.floor(deadline.left)
        deadline.require_time_to_write()
        with self._api.room(WRITE_CALLS, shared=WRITE_CALLS - 1):  # the POST is the only call that each makes alone
            with anyio.CancelScope(shield=True):
                intent = await self._intents.begin(body, floor, rotation, self._count_check(body, rotation))
            return await self._telling.to_the_end(intent, lambda: self._make(intent, body, floor, deadline))

    def telling(self) -> AbstractAsyncContextManager[list[int]]:
        """A context for a call whose answer tells of creates, which it puts into the list (see Telling.answer)."""
        return self._telling.answer()

    def _count_check(self, body: KeySpec, rotation: int | None) -> Check | None:
        """What refuses the key that is one too many. None where nothing is limited, which spares reading the counts."""
        if not self._guard.policy.limits(self._guard.units):
            return None
        return lambda spending: self._guard.require_new(body, spending, copied=rotation is not None)

    async def _make(self, intent: int, body: KeySpec, floor: Floor, deadline: Deadline) -> Created:
        """Send the create, find its key and store its value."""
        sent = self._api.clock.at_least()
        try:
            with self._finding:
                with self._creating:
                    answer = await self._post(intent, body, deadline)
                created = await self._finder.find(intent, body, floor, answer, deadline, sent=sent)
        except JournalError as error:
            raise CreateUnclearError(
                f"The create was sent, but then the journal failed: {error} Do not create the key again: call "
                f"list_api_keys once the journal works, which {self._storing.later}."
            ) from None
        return await self._storing.store(created, deadline)

    async def _post(self, intent: int, body: KeySpec, deadline: Deadline) -> CreateAnswer | None:
        """Send the create. Returns what the API said of the new key, None where its answer is unclear."""
        pause = 0.2
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # the rest of the time is for finding the row
                answer = await self._api.create_token(body, seconds=deadline.left * 0.6)
            except UnclearError:
                await self._note(intent, "unclear")
                return None
            except (UnsentError, RateLimitedError) as error:
                wait = error.retry_after if isinstance(error, RateLimitedError) else pause
                if wait is None or attempt == _ATTEMPTS or deadline.left < wait + 2 * MARGIN:
                    await self._not_made(intent)
                    raise
                await anyio.sleep(max(wait, pause))
                pause *= 2
            except RefusedError:
                await self._not_made(intent)
                raise
            else:
                await self._note(intent, "accepted")
                return answer
        raise AssertionError  # the last attempt returns or raises

    async def _not_made(self, intent: int) -> None:
        """Note that there is no key. Where the journal fails now, its count stays: one too few may then be made."""
        with contextlib.suppress(JournalError):
            await self._intents.not_made(intent)

    async def _note(self, intent: int, phase: Phase) -> None:
        """Note a phase after the POST. Where the journal fails now, the intent stays `sent`, to be settled later."""
        with contextlib.suppress(JournalError):
            await self._intents.set_phase(intent, phase)

    async def settle(self) -> Settled:
        """Look for the rows of creates whose answer was lost (see Settling.settle)."""
        return await self._settling.settle(Deadline(self._timeout))

    async def recognise(self, settled: Settled, rows: list[Key]) -> None:
        """Look for the rows of missing creates in a list that was made anyway (see Settling.recognise)."""
        await self._settling.recognise(settled, rows, Deadline(self._timeout))

    async def save(self, key_id: int, target: Target) -> tuple[Key, Saved]:
        """Store the value of a key that exists. Raises NotFoundError, PolicyError, StoreError or another APIError."""
        deadline = Deadline(self._timeout)
        await self._storing.check(target)
        row = await self._api.get_token(key_id)
        self._guard.require_own(row)
        return row, await self._storing.save(row, deadline, target)

    async def resume(self, row: Key, deadline: Deadline) -> Created:
        """A key that was made before, with its value stored now if it was not."""
        return await self._storing.store(Created(row), deadline)

    async def forget(self, key_id: int) -> Forgotten:
        """Remove the value of a key that was deleted from the store."""
        return await self._storing.forget(key_id)

    async def may_ask_usage(self) -> bool:
        """Whether a usage query may be made: it counts as a reveal call, and creates need those more."""
        try:
            return await self._values.spare()
        except JournalError:
            return False

    async def value_of(self, row: Key) -> SecretStr:
        """The value of a key: from the store where it has it, which spares a reveal call, else from the API."""
        return await self._storing.value_of(row, Deadline(self._timeout).left)
