"""Creating a key exactly once, although the API's create answers without an id and can fail after it committed.

    1. What could go wrong later is looked for now: the store, the journal, the reveal limit.
    2. The intent and the newest key id go into the journal, on disk.
    3. One POST. It is repeated only where it provably never left, or was refused for its rate.
    4. The new row is found among those above that id, and claimed in the journal (state.intents.Intents.claim).
    5. Its value is read and stored.

From 2 to 5 nothing can be cancelled: clients cancel calls, and close stdin, whenever they like. How it can end:
created; not created (UnsentError, RefusedError); not known (CreateUnclearError), which later calls settle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.pace import WRITE_CALLS
from comet_mcp.api.wire import CreateAnswer, Token, TokenBody, differences, is_masked
from comet_mcp.errors import (
    APIError,
    CometError,
    CreateUnclearError,
    JournalError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    StoreError,
    UnclearError,
    UnsentError,
)
from comet_mcp.keys.allowance import Allowance
from comet_mcp.keys.deadline import MARGIN, Deadline
from comet_mcp.keys.flights import Crowd
from comet_mcp.keys.newest import NewestKeys
from comet_mcp.keys.values import KeyValues
from comet_mcp.policy.guard import Guard
from comet_mcp.secret_store import NOWHERE, Forgotten, KeyStore, Saved, Target, mask
from comet_mcp.state.intents import Floor, Intent, Phase
from comet_mcp.state.journal import Journal
from comet_mcp.state.ledger import Check
from comet_mcp.text import quoted
from comet_mcp.units import when

_T = TypeVar("_T")

SETTLE_AFTER = 60.0
"""Seconds after which a create whose row never showed counts as not made."""

_LOOK_FOR = 6.0
_ATTEMPTS = 4


@dataclass(slots=True)
class Created:
    """A key that exists. `saved` is None where its value is not stored; `warnings` then say how to get it."""

    row: Token
    saved: Saved | None
    warnings: list[str] = field(default_factory=list)


class KeyMaker:
    """Makes keys for one account, and settles what earlier calls, of any server, left unclear."""

    def __init__(self, api: CometAPI, journal: Journal, store: KeyStore, guard: Guard, gone: anyio.Event) -> None:
        """`gone` is set once the client reads no answers any more."""
        self._api = api
        self._file = journal.file
        self._intents = journal.intents
        self._store = store
        self._guard = guard
        self._allowance = Allowance(api, journal, guard)
        self._timeout = api.timeout
        self._gone = gone
        self._creating = Crowd()
        self._finding = Crowd()
        self._newest = NewestKeys(api, self._creating)
        self._values = KeyValues(api, journal.reveals, self._finding)

    async def create(
        self, body: TokenBody, rotation: int | None = None, *, deadline: Deadline | None = None
    ) -> Created:
        """Make one key and store its value. A rotation's key is its alone, however equal another is.

        Raises:
            PolicyError: The key would be outside the policy, or one too many; nothing was sent.
            StoreError, JournalError, RateLimitedError: Something needed later is missing; nothing was sent.
            RefusedError, UnsentError: No key was made.
            CreateUnclearError: A key may have been made; the next list, or the next equal create, finds it.
        """
        deadline = deadline or Deadline(self._timeout)
        await self._allowance.require_new(body, rotation)
        await _in_thread(self._store.check)
        if (earlier := await self._settle_equal(body, rotation, deadline)) is not None:
            return earlier
        if self._store.needs_value:
            await self._values.check_limit()
        floor = await self._newest.floor(deadline.left)
        with self._api.room(WRITE_CALLS, shared=WRITE_CALLS - 1):  # the POST is the only call that each makes alone
            with anyio.CancelScope(shield=True):
                intent = await self._intents.begin(body, floor, rotation, self._count_check(body, rotation))
            return await _to_the_end(
                lambda: self._make(intent, body, floor, deadline), lambda: self._intents.give_up(intent), self._gone
            )

    def _count_check(self, body: TokenBody, rotation: int | None) -> Check | None:
        """What refuses the key that is one too many. None where nothing is limited, which spares reading the counts."""
        if not self._guard.policy.limits(self._guard.units):
            return None
        return lambda spending: self._guard.require_new(body, spending, copied=rotation is not None)

    async def _make(self, intent: int, body: TokenBody, floor: Floor, deadline: Deadline) -> Created:
        """Send the create, find its key and store its value."""
        try:
            with self._finding:
                with self._creating:
                    answer = await self._post(intent, body, deadline)
                created = await self._find(intent, body, floor, answer, deadline)
        except JournalError as error:
            raise CreateUnclearError(
                f"The create was sent, but then the journal failed: {error} Do not create the key again: call "
                "list_api_keys once the journal works, which finds the key and stores its value."
            ) from None
        return await self._store_value(created, deadline)

    async def settle(self) -> list[str]:
        """Look for the rows of creates whose answer was lost. Returns what became of them, as sentences.

        Never raises for the journal or the API: it rides on calls that have their own answer to give.
        """
        deadline = Deadline(self._timeout)
        if not self._file.path.exists():
            return []
        told: list[str] = []
        try:
            for intent in await self._intents.unsettled():
                with anyio.CancelScope(shield=True):
                    said = await self._settle_one(intent, deadline)
                told += [said] if said else []
        except CometError as error:
            told.append(f"Whether earlier creates made keys could not be settled: {error}")
        return told

    async def _settle_equal(self, body: TokenBody, rotation: int | None, deadline: Deadline) -> Created | None:
        """The key of an earlier equal create that nobody was told of; None where there is no such key."""
        for earlier in await self._intents.unsettled(body, rotation):
            intent = await self._wait_for(earlier, deadline)
            if intent.phase in ("saved", "closed"):
                continue  # another call has settled it
            with anyio.CancelScope(shield=True):
                found = await self._row_of(intent, deadline)
                if found is not None:
                    if intent.key_id is not None and not await self._intents.take_over(intent.id):
                        continue  # another call got it
                    found.warnings.append(
                        f"This key was made by an earlier call ({when(int(intent.begun))}) whose answer was lost. No "
                        "second key was made; to have one, call create_api_key again."
                    )
                    return await self._store_value(found, deadline)
            age = time() - intent.begun
            if intent.key_id is not None:
                await self._intents.close_key(intent.id)  # somebody deleted it
            elif age < SETTLE_AFTER:
                raise CreateUnclearError(
                    f"The same create was sent {age:.0f} seconds ago, and it is not known yet whether it made a key. "
                    f"Nothing was sent now. Try again in {SETTLE_AFTER - age:.0f} seconds: the call then finds that "
                    "key, or makes one."
                )
            else:
                await self._intents.close_unfound(intent.id)
        return None

    async def _wait_for(self, intent: Intent, deadline: Deadline) -> Intent:
        """The intent once no call is at work on it any more: its client gave up, the call goes on to its end."""
        while (current := await self._intents.get(intent.id)).in_flight:
            if deadline.passed:
                raise CreateUnclearError(
                    "The same create, which was given up, is still under way. Nothing was sent now. Try again in a few "
                    "seconds: the call then gets that key."
                )
            await anyio.sleep(0.1)
        return current

    async def _settle_one(self, intent: Intent, deadline: Deadline) -> str:
        """Settle one intent, and say in a sentence what came of it; "" where there is nothing to say."""
        name, sent = quoted(intent.body.name), when(int(intent.begun))
        if intent.in_flight:
            return ""
        found = await self._row_of(intent, deadline)
        if found is not None and intent.phase in ("claimed", "unsaved"):
            return (
                f"Key {intent.key_id} {name} was created at {sent}, but its value was not stored: call save_api_key "
                f"with id {intent.key_id}, or delete the key."
            )
        if found is not None:
            if intent.phase == "undelivered" and not await self._intents.take_over(intent.id):
                return ""
            stored = await self._store_value(found, deadline)
            place = f" Its value is in {stored.saved.path}." if stored.saved and stored.saved.path else ""
            text = f"Key {found.row.id} {name} is that of the create at {sent}, whose answer was lost.{place}"
            return " ".join([text, *stored.warnings])
        if intent.key_id is not None:
            await self._intents.close_key(intent.id)  # somebody deleted it
            return ""
        if time() - intent.begun < SETTLE_AFTER:
            return f"The create of {name} at {sent} is still unclear; list again in a minute."
        alike = _namesakes(intent.body, await self._newest.above(intent.floor, deadline.left))
        if not await self._intents.close_unfound(intent.id):
            return ""
        if alike:
            ids = ", ".join(str(row.id) for row in alike)
            return f"The create of {name} at {sent} may have made key {ids}, which has that name but other settings."
        if intent.phase == "unlisted":
            return f"The API said that the create of {name} at {sent} made a key, but it never listed one."
        return f"The create of {name} at {sent}, whose answer was lost, made no key."

    async def _row_of(self, intent: Intent, deadline: Deadline) -> Created | None:
        """The row of an intent, claimed; None where there is none (any more)."""
        if intent.key_id is not None:
            try:
                return Created(await self._api.get_token(intent.key_id, seconds=deadline.left), None)
            except NotFoundError:
                return None
        rows = await self._newest.above(intent.floor, deadline.left)
        return await self._take_equal(intent.id, intent.body, rows)

    async def _post(self, intent: int, body: TokenBody, deadline: Deadline) -> CreateAnswer | None:
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

    async def _find(
        self, intent: int, body: TokenBody, floor: Floor, answer: CreateAnswer | None, deadline: Deadline
    ) -> Created:
        """Claim the row that the POST made, looking for it until the deadline."""
        if answer is not None and answer.id is not None:
            return await self._named(intent, body, answer.id, answer.key, deadline)
        end = monotonic() + _LOOK_FOR
        pause = 0.05
        seen: Token | None = None
        while True:
            try:
                rows = await self._newest.above(floor, deadline.left)
            except APIError:
                rows = []  # asked again until the deadline
            if (found := await self._take_equal(intent, body, rows)) is not None:
                return found
            alike = _namesakes(body, rows)
            lookalike = alike[0] if len(alike) == 1 else None
            if (
                answer is not None
                and lookalike is not None
                and seen == lookalike
                and await self._intents.claim_one(intent, lookalike.id, lookalike.created_time)
            ):
                return Created(lookalike, None, differences(body, lookalike))
            seen = lookalike
            if deadline.passed or monotonic() > end:
                await self._note(intent, "lost" if answer is None else "unlisted")
                raise _not_found(body, alike, accepted=answer is not None)
            await anyio.sleep(min(pause, deadline.left))
            pause = min(pause * 2, 1.0)

    async def _named(
        self, intent: int, body: TokenBody, key_id: int, key: SecretStr | None, deadline: Deadline
    ) -> Created:
        """The row whose id the create's own answer gave."""
        try:
            row = await self._api.get_token(key_id, seconds=deadline.left)
        except APIError:
            row = Token(id=key_id, status=1, created_time=int(time()), **body.model_dump())
        if key is not None:
            row = row.model_copy(update={"key": key})
        await self._intents.claim_one(intent, row.id, row.created_time)
        return Created(row, None, differences(body, row))

    async def _take_equal(self, intent: int, body: TokenBody, rows: list[Token]) -> Created | None:
        equal = {row.id: row for row in rows if not differences(body, row, tolerated=True)}
        claim = await self._intents.claim(intent, {row.id: row.created_time for row in equal.values()})
        if claim.ambiguous:
            await self._intents.set_phase(intent, "closed")
            raise CreateUnclearError(
                "The key was created, but another program made an equal one at the same moment: the ids are "
                f"{', '.join(map(str, claim.ambiguous))}, and nothing tells which is whose. No value was stored. "
                "Delete the one that nobody uses, and give each key a name of its own.",
                code="create_ambiguous",
            )
        if claim.key_id is None:
            return None
        row = equal[claim.key_id]
        return Created(row, None, differences(body, row))

    async def _store_value(self, created: Created, deadline: Deadline) -> Created:
        """Read the key's value and store it; tried twice, and what fails is told, for the key exists."""
        row = created.row
        try:
            created.saved = await self._save(row, deadline)
        except (APIError, JournalError, StoreError) as error:
            created.warnings.append(
                f"The key exists (id {row.id}), but its value could not be stored: {error} "
                f"Call save_api_key with id {row.id} once that is mended. Do not create the key again."
            )
            with contextlib.suppress(JournalError):  # it then counts as one of a server that died: no harm
                await self._intents.unsaved(row.id)
        return created

    async def _save(self, row: Token, deadline: Deadline, target: Target = Target()) -> Saved:  # noqa: B008 - frozen
        value = await self._values.of(row, deadline.left) if self._store.needs_value else row.key
        try:
            saved = await _in_thread(lambda: self._store.save(row.id, row.name, value, target))
        except StoreError:
            saved = await _in_thread(lambda: self._store.save(row.id, row.name, value, target))
        with contextlib.suppress(JournalError):  # it then says later that the value is not stored: no harm
            await self._intents.saved(row.id)
        return saved

    async def save(self, key_id: int, target: Target) -> tuple[Token, Saved]:
        """Store the value of a key that exists. Raises NotFoundError, PolicyError, StoreError or another APIError."""
        deadline = Deadline(self._timeout)
        await _in_thread(lambda: self._store.check(target))
        row = await self._api.get_token(key_id)
        self._guard.require_own(row)
        return row, await self._save(row, deadline, target)

    async def resume(self, row: Token, deadline: Deadline) -> Created:
        """A key that was made before, with its value stored now if it was not."""
        return await self._store_value(Created(row, None), deadline)

    async def forget(self, key_id: int) -> Forgotten:
        """Remove the value of a key that was deleted from the store."""
        try:
            return await _in_thread(lambda: self._store.forget(key_id))
        except StoreError:
            return NOWHERE  # it is of no use to anybody any more

    async def may_ask_usage(self) -> bool:
        """Whether a usage query may be made: it counts as a reveal call, and creates need those more."""
        try:
            return await self._values.spare()
        except JournalError:
            return False

    async def value_of(self, row: Token) -> SecretStr:
        """The value of a key: from the store where it has it, which spares a reveal call, else from the API."""
        if not is_masked(row.key.get_secret_value()):
            return row.key
        try:
            known = await _in_thread(lambda: self._store.find(row.id))
        except StoreError:
            known = None  # a locked keychain: the API has it too
        if known is not None and mask(known) == mask(row.key):
            return known
        return await self._values.of(row, Deadline(self._timeout).left)


def _not_found(body: TokenBody, alike: list[Token], *, accepted: bool) -> CreateUnclearError:
    candidates = "".join(
        f" Key {row.id} has that name but differs: {' '.join(differences(body, row))}" for row in alike
    )
    if accepted:
        return CreateUnclearError(
            f"The API said that the key was created, but does not list it yet.{candidates} Do not create it again: "
            "call list_api_keys in a minute, which then finds the key and stores its value.",
            code="created_id_unknown",
        )
    return CreateUnclearError(
        f"The API's answer to the create was lost, and no new key is listed yet.{candidates} Do not create it again "
        "now: call list_api_keys in a minute, which says whether there is a key, and then stores its value."
    )


def _namesakes(body: TokenBody, rows: list[Token]) -> list[Token]:
    """The rows that have the body's name, give or take white space and case: what the API may have normalised."""
    return [row for row in rows if row.name.strip().casefold() == body.name.strip().casefold()]


async def _to_the_end(
    work: Callable[[], Awaitable[_T]], given_up: Callable[[], Awaitable[None]], gone: anyio.Event
) -> _T:
    """What `work` gives. A cancellation does not stop it.

    `given_up` is called once, as soon as a cancellation comes or the client is `gone`.
    """
    outcome: list[_T] = []
    failure: list[CometError] = []
    told = False

    async def tell() -> None:
        nonlocal told
        if not told:
            told = True
            with anyio.CancelScope(shield=True), contextlib.suppress(JournalError):
                await given_up()

    async def watch() -> None:
        try:
            await gone.wait()
        except anyio.get_cancelled_exc_class():
            if not (outcome or failure):
                await tell()
            raise
        await tell()

    try:
        async with anyio.create_task_group() as beside:
            beside.start_soon(watch)
            with anyio.CancelScope(shield=True):
                try:
                    outcome.append(await work())
                except CometError as error:
                    failure.append(error)  # raised below: a task group would wrap it
            beside.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
        if outcome and gone.is_set():
            await tell()
    except anyio.get_cancelled_exc_class():
        if outcome:
            await tell()
        raise
    if failure:
        raise failure[0]
    return outcome[0]


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await anyio.to_thread.run_sync(work)
