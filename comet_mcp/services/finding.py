"""Finding the row that a create made, and claiming it: the create's own answer does not say which one it is."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from comet_mcp.api.models import CreateAnswer
from comet_mcp.concurrency import Deadline, Pending
from comet_mcp.domain.key import Key
from comet_mcp.errors import (
    APIError,
    CreateUnclearError,
)
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import CLOSED, LEASE, Operation, State
from comet_mcp.journal.writes import Put
from comet_mcp.secret_store import Saved
from comet_mcp.services.core import Core
from comet_mcp.services.delivery import Told
from comet_mcp.services.listing import NewestKeys
from comet_mcp.services.matching import Match, differences, equal_rows, match, namesakes
from comet_mcp.services.progress import Progress
from comet_mcp.services.secrets import Secrets

_LOOK_FOR = 6.0
"""Seconds after which a call looks for its row no more."""


@dataclass(slots=True)
class Created:
    """A key that exists. `saved` is None where its value is not stored; `warnings` then say how to get it."""

    row: Key
    operation: str
    saved: Saved | None = None
    warnings: list[str] = field(default_factory=list)


class RowFinder:
    """Finds the rows of one account's creates."""

    def __init__(self, core: Core, secrets: Secrets, progress: Progress) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._secrets = secrets
        self._progress = progress
        self.creating = Pending()
        """The creates whose answer is awaited: a list waits for them, so that it shows their rows."""
        self.newest = NewestKeys(core.api, core.clock, self.creating)

    async def find(self, operation: Operation, rows: list[Key], told: Told) -> Created | None:
        """Claim the row that is the operation's, of those at hand.

        Where several may be it, that is in `told`: the operation is given up once a client has heard of it.

        Raises:
            CreateUnclearError: One of several may be another's; or another call has taken the operation up.
        """
        if not equal_rows(operation, rows):
            return None
        account = await self._identity.account()
        found = await self._journal.run(self._claiming(account, operation, rows))
        if found.ambiguous:
            told.ambiguous.append(operation.id)
            raise CreateUnclearError(
                "The key was created, but another program made an equal one at the same moment: the ids are "
                f"{', '.join(map(str, found.ambiguous))}, and nothing tells which is whose. No value was stored. "
                "Delete the one that nobody uses, and give each key a name of its own.",
                code="create_ambiguous",
            )
        if found.row is None:
            return None
        return Created(found.row, operation.id, warnings=differences(operation.spec, found.row))

    def _claiming(self, account: str, operation: Operation, rows: list[Key]) -> Step[Match]:
        """Claims the operation's row, judged by all the others that are open."""
        now = self._clock.now()
        claims = tuple((row.id, row.created_time) for row in equal_rows(operation, rows))

        def decide(found: Rows) -> Decision[Match]:
            mine = (one for one in found.operations if one.id == operation.id and one.holder == self._server)
            current = next(mine, None)  # one that was told of is not open any more
            if current is None or current.key_id is not None or current.state in CLOSED:
                raise CreateUnclearError(
                    "Another call has taken this create up, and tells of its key. Call list_api_keys.", code="under_way"
                )
            matched = match(operation, rows, found.claimed, found.operations, now)
            if matched.row is None:
                return Decision(matched)
            row = matched.row
            claimed = current.moved(
                State.MATCHED,
                key_id=row.id,
                key_created=row.created_time,
                lease_until=now + LEASE,
                acknowledged=False,
            )
            return Decision(matched, [Put(claimed)])

        return Step(Reads(account, operations="open", claims=claims), decide)

    async def look_for(
        self, operation: Operation, answer: CreateAnswer | None, deadline: Deadline, told: Told
    ) -> Created:
        """Claim the row that a POST has just made, looking for it until the deadline.

        Raises:
            CreateUnclearError: No row showed, or nothing tells which it is.
        """
        accepted = answer is not None
        operation = operation.moved(State.ACCEPTED if accepted else State.OUTCOME_UNKNOWN)
        end = self._clock.monotonic() + _LOOK_FOR
        pause = 0.05
        while True:
            rows = await self._rows(operation, answer, deadline)
            if (created := await self.find(operation, rows, told)) is not None:
                return created
            if deadline.passed or self._clock.monotonic() > end:
                break
            await self._clock.sleep(min(pause, deadline.left))
            pause = min(pause * 2, 1.0)
        await self._progress.note(operation, State.ACCEPTED_UNLISTED if accepted else State.OUTCOME_UNKNOWN)
        raise self._not_found(operation, namesakes(operation, rows, set()), accepted=accepted)

    async def _rows(self, operation: Operation, answer: CreateAnswer | None, deadline: Deadline) -> list[Key]:
        """The rows among which its is; the answer may name one, which has to fit like any other."""
        try:
            if answer is not None and answer.id is not None:
                with contextlib.suppress(APIError):  # the list has it too
                    named = [await self._api.get_token(answer.id, seconds=deadline.left)]
                    if equal_rows(operation, named):
                        return named
            return await self.newest.above(operation.watermark, deadline.left)
        except APIError:
            return []  # asked again until the deadline

    def _not_found(self, operation: Operation, alike: list[Key], *, accepted: bool) -> CreateUnclearError:
        candidates = "".join(
            f" Key {row.id} has that name"
            + (f" but differs: {' '.join(apart)}" if (apart := differences(operation.spec, row)) else " too.")
            for row in alike
        )
        later = self._secrets.store.later
        if accepted:
            return CreateUnclearError(
                f"The API said that the key was created, but does not list it yet.{candidates} Do not create it "
                f"again: call list_api_keys in a minute, which then {later}.",
                code="created_id_unknown",
            )
        return CreateUnclearError(
            f"The API's answer to the create was lost, and no new key is listed yet.{candidates} Do not create it "
            f"again now: call list_api_keys in a minute, which says whether there is a key, and then {later}."
        )
