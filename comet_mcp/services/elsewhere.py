"""The places for programs elsewhere that have a key's value, which only the operator's list allows.

Nobody can read a value there. So a place is noted for one key alone once that key's value is in it, and for the one
before too until then: whoever goes on after a kill in between puts the value there once more.
"""

from __future__ import annotations

import logging

from pydantic import SecretStr

from comet_mcp.domain.elsewhere import Elsewhere
from comet_mcp.domain.key import Key, with_prefix
from comet_mcp.errors import CometError, UnwrittenError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.rows import Place
from comet_mcp.journal.writes import DropPlace, PutPlace, TakePlace
from comet_mcp.secret_store.elsewhere import Manager, manager_of
from comet_mcp.services.core import Core
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

NOT_LISTED = "place_not_listed"
"""The code of the error that tells of a place which the operator has not listed."""

_LEAST = 0.5
"""Seconds without which nothing is begun: what is ended in the middle may be there or not."""

log = logging.getLogger(__name__)


class ElsewherePlaces:
    """The places elsewhere of one account's keys."""

    def __init__(self, core: Core, settings: Settings) -> None:
        self._journal, self._identity = core.journal, core.identity
        self._settings = settings
        self._managers: dict[str, Manager] = {}

    def place(self, text: str) -> Place:
        """The place that a person names. Raises ArgumentError; UnwrittenError where it is not listed."""
        found = Elsewhere.parse(text)
        self._require_listed(found)
        return Place(str(found), "")

    async def would_replace(self, row: Key, place: Place, seconds: float) -> bool:
        """Whether something else than this key's own value is seen there. Raises StoreError."""
        step = Step(Reads(holders=place), lambda rows: Decision(rows.holders), durable=False)
        if await self._journal.exists() and await self._journal.run(step) == [(row.id, row.created_time)]:
            return False
        manager, where = self._manager(place)
        return await manager.has_value(where, seconds)

    async def put(self, row: Key, place: Place, value: SecretStr, seconds: float) -> None:
        """Note the place, put a key's value there, and note that no other's is there.

        Raises:
            UnwrittenError: It is not listed any more, or nothing was changed there.
            StoreError: What is there now is not known.
            JournalError: It could not be noted, before or after.
        """
        manager, where = self._manager(place)
        _require_time(seconds)
        of_key = (row.id, row.created_time, place)
        account = await self._identity.account()
        noting = Reads(account, places=(row.id, row.created_time))
        is_new = await self._journal.run(
            Step(noting, lambda rows: Decision(place not in rows.places, [PutPlace(*of_key)]))
        )
        try:
            await manager.put(where, with_prefix(value), seconds)
        except UnwrittenError:
            if is_new:
                await self._note(DropPlace(*of_key))
            raise
        await self._journal.run(Step(Reads(account), lambda _: Decision(None, [TakePlace(*of_key)])))

    async def clear(self, key_id: int, created: int, place: Place, seconds: float) -> bool | None:
        """Remove the value of a key that is gone. False where it may be there still.

        None where another key's value may have taken its place by now, which is left.

        Raises:
            StoreError: It could not be removed, or the place is not listed any more.
            JournalError: What else may be there is not known.
        """
        manager, where = self._manager(place)
        _require_time(seconds)
        holders = await self._journal.run(Step(Reads(holders=place), lambda rows: Decision(rows.holders)))
        is_alone = holders == [(key_id, created)]
        if is_alone and not await manager.clear(where, seconds):
            return False
        await self._note(DropPlace(key_id, created, place))
        return True if is_alone else None

    async def _note(self, drop: DropPlace) -> None:
        """Note that a place has not the value. Where the journal fails that is logged: it is then named in vain."""
        try:
            reads = Reads(await self._identity.account())
            await self._journal.run(Step(reads, lambda _: Decision(None, [drop]), durable=False))
        except CometError as error:
            log.warning("that key %s is in a place no more is not in the journal: %s", drop.key_id, error)

    def _manager(self, place: Place) -> tuple[Manager, str]:
        """What takes values for a place, and where it puts them. Raises UnwrittenError where it is not listed."""
        found = Elsewhere.parse(place.path)
        self._require_listed(found)
        if found.kind not in self._managers:
            self._managers[found.kind] = manager_of(found, self._settings)
        return self._managers[found.kind], found.where

    def _require_listed(self, found: Elsewhere) -> None:
        if not found.is_listed(self._settings.places):
            listed = self._settings.source("COMETAPI_MCP_PLACES")
            raise UnwrittenError(
                f"{quoted(str(found), 300)} is not among the places that the operator has listed. To allow it, add it "
                f"to {listed if self._settings.places else 'places under [mcp] in the config file'}.",
                code=NOT_LISTED,
            )


def _require_time(seconds: float) -> None:
    if seconds < _LEAST:
        raise UnwrittenError("Too little time was left in this call.")
