"""Finding the row that a create made, since its answer does not say which: among the new ones, and claimed.

A row is a create's if it is above its floor, equal to its body, and nobody's yet (comet_mcp.state.claims). Where none
is equal, the API may have changed a field without a word: a single new row of the same name that stays as it is.
"""

from __future__ import annotations

import contextlib
from time import monotonic, time

import anyio
from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.wire import CreateAnswer, differences
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import APIError, CreateUnclearError, JournalError, NotFoundError
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.newest import NewestKeys
from comet_mcp.keys.storing import Created
from comet_mcp.state.intents import Floor, Intent
from comet_mcp.state.journal import Journal

_LOOK_FOR = 6.0


class KeyFinder:
    """Finds the rows of creates, this call's and earlier ones'."""

    def __init__(self, api: CometAPI, journal: Journal, newest: NewestKeys, later: str) -> None:
        """`later` is what a list does with a key it finds, to go on a sentence."""
        self._api = api
        self._intents = journal.intents
        self._claims = journal.claims
        self._newest = newest
        self._later = later

    async def find(
        self,
        intent: int,
        body: KeySpec,
        floor: Floor,
        answer: CreateAnswer | None,
        deadline: Deadline,
        *,
        sent: int | None,
    ) -> Created:
        """Claim the row that a POST has just made, looking for it until the deadline.

        Args:
            intent: The create.
            body: What was sent.
            floor: What its row is above.
            answer: What the API said, None where its answer is unclear.
            deadline: When the call ends.
            sent: When it was sent, by the API's Date headers.

        Raises:
            CreateUnclearError: No row showed, or nothing tells which it is.
        """
        if answer is not None and answer.id is not None:
            return await self._named(intent, body, answer.id, answer.key, deadline)
        end = monotonic() + _LOOK_FOR
        pause = 0.05
        seen: Key | None = None
        while True:
            try:
                rows = await self._newest.above(floor, deadline.left)
            except APIError:
                rows = []  # asked again until the deadline
            if (found := await self.take_equal(intent, body, rows)) is not None:
                self._newest.compare_clocks(sent, found.row)
                return found
            alike = await self._claims.lookalikes(intent, body, rows)
            lookalike = alike[0] if len(alike) == 1 else None
            if (
                answer is not None
                and lookalike is not None
                and seen == lookalike
                and await self._claims.claim_lookalike(intent, body, lookalike)
            ):
                return Created(lookalike, warnings=differences(body, lookalike), intent=intent)
            seen = lookalike
            if deadline.passed or monotonic() > end:
                with contextlib.suppress(JournalError):  # it stays as it is, to be settled later
                    await self._intents.set_phase(intent, "lost" if answer is None else "unlisted")
                raise self._not_found(body, alike, accepted=answer is not None)
            await anyio.sleep(min(pause, deadline.left))
            pause = min(pause * 2, 1.0)

    async def row_of(self, intent: Intent, deadline: Deadline) -> Created | None:
        """The row of an earlier create, claimed for this call; None where there is none (any more)."""
        if intent.key_id is None:
            rows = await self._newest.above(intent.floor, deadline.left)
            return await self.take_equal(intent.id, intent.body, rows, settling=True)
        try:
            return Created(await self._api.get_token(intent.key_id, seconds=deadline.left), intent=intent.id)
        except NotFoundError:
            return None

    async def candidates(self, intent: Intent, deadline: Deadline) -> list[Key]:
        """The rows that may be an earlier create's, and may be somebody else's: by the id and the name alone.

        An equal one among them was hidden by its time, so the API's clocks differ.
        """
        rows = await self._newest.above(Floor(intent.floor.id), deadline.left)
        found = await self._claims.lookalikes(intent.id, intent.body, rows)
        if any(not differences(intent.body, row, tolerated=True) for row in found):
            self._newest.doubt_clocks()
        return found

    async def take_equal(
        self, intent: int, body: KeySpec, rows: list[Key], *, settling: bool = False
    ) -> Created | None:
        """Claim one of the rows that are equal to the body. Raises CreateUnclearError where one may be another's."""
        equal = {row.id: row for row in rows if not differences(body, row, tolerated=True)}
        if not equal:
            return None
        claim = await self._claims.claim(
            intent, {row.id: row.created_time for row in equal.values()}, settling=settling
        )
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
        return Created(row, warnings=differences(body, row), intent=intent)

    async def _named(
        self, intent: int, body: KeySpec, key_id: int, key: SecretStr | None, deadline: Deadline
    ) -> Created:
        """The row whose id the create's own answer gave."""
        try:
            row = await self._api.get_token(key_id, seconds=deadline.left)
        except APIError:
            row = Key(id=key_id, status=1, created_time=int(time()), **body.model_dump())
        if key is not None:
            row = row.model_copy(update={"key": key})
        await self._claims.claim_one(intent, row.id, row.created_time)
        return Created(row, warnings=differences(body, row), intent=intent)

    def _not_found(self, body: KeySpec, alike: list[Key], *, accepted: bool) -> CreateUnclearError:
        candidates = "".join(
            f" Key {row.id} has that name but differs: {' '.join(differences(body, row))}" for row in alike
        )
        if accepted:
            return CreateUnclearError(
                f"The API said that the key was created, but does not list it yet.{candidates} Do not create it "
                f"again: call list_api_keys in a minute, which then {self._later}.",
                code="created_id_unknown",
            )
        return CreateUnclearError(
            f"The API's answer to the create was lost, and no new key is listed yet.{candidates} Do not create it "
            f"again now: call list_api_keys in a minute, which says whether there is a key, and then {self._later}."
        )
