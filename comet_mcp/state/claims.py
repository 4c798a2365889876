"""Claims: which row of the API is which create's.

A claim is the pair (key_id, key_created) of an intent, unique per account: two servers never hand out one key. The
creation time is part of it because a restarted sandbox counts its ids from 1 again.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time

from comet_mcp.api.wire import differences, is_namesake
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.state.file import Database, StateFile
from comet_mcp.state.intents import DEAD_AFTER, MISSING_FOR, canonical
from comet_mcp.state.owner import this_server

_ROWLESS = (
    "account = ? AND id != ? AND key_id IS NULL AND "
    "(phase IN ('sent', 'accepted', 'unclear', 'unlisted', 'lost') OR (phase = 'missing' AND begun > ?))"
)
"""The other creates whose row is still looked for; takes the account, the own id, and since when one may be missing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the key that is ours now, or the rows among which nobody can tell ours."""

    key_id: int | None = None
    ambiguous: tuple[int, ...] = ()


class Claims:
    """The claims of one account's creates."""

    def __init__(self, file: StateFile, account: str) -> None:
        self._file = file
        self._account = account

    async def claim(self, intent: int, rows: dict[int, int], *, settling: bool = False) -> Claim:
        """Take one of `rows` (key id to creation time; all equal to the intent's body) that nobody has.

        Equal rows are interchangeable, so an accepted intent takes any. An unclear one waits until each equal intent
        that is surely owed a row has it. Where more rows are left than there are intents to own them, somebody else
        made equal keys at the same moment: then nothing is taken.

        With `settling` the intent is an earlier call's, and becomes this one's: it counts as begun now, and as read.
        """

        def work(db: Database) -> Claim:
            body, phase, key_id = db.execute(
                "SELECT body, phase, key_id FROM intent WHERE id = ?", (intent,)
            ).fetchone()
            if key_id is not None or phase == "closed":
                return Claim()  # another server has settled it
            left = [key_id for key_id, created in rows.items() if not self._is_taken(db, key_id, created)]
            query = f"SELECT phase, begun FROM intent WHERE {_ROWLESS} AND body = ?"  # noqa: S608 - a constant
            others = db.execute(query, (self._account, intent, time() - MISSING_FOR, body)).fetchall()
            if len(left) > len(others) + 1:
                return Claim(ambiguous=tuple(sorted(left)))
            alive = time() - DEAD_AFTER
            owed = [other for other, begun in others if other in ("sent", "accepted") and begun > alive]
            owed += [other for other, _ in others if other == "unlisted"]
            if not left or (phase in ("unclear", "lost") and owed):
                return Claim()
            self._take(db, intent, min(left), rows[min(left)])
            if settling:
                query = "UPDATE intent SET given_up = 0, begun = ?, owner = ? WHERE id = ?"
                db.execute(query, (time(), this_server(), intent))
            return Claim(min(left))

        return await self._file.write(work)

    async def claim_one(self, intent: int, key_id: int, created: int) -> bool:
        """Take this very row, unless somebody has it."""

        def work(db: Database) -> bool:
            if self._is_taken(db, key_id, created):
                return False
            self._take(db, intent, key_id, created)
            return True

        return await self._file.write(work)

    async def lookalikes(self, intent: int, body: KeySpec, rows: list[Key]) -> list[Key]:
        """Those of `rows` that have the body's name, that nobody has, and that are no likelier another create's."""
        alike = [row for row in rows if is_namesake(body, row)]
        if not alike:
            return []
        return await self._file.read(lambda db: [row for row in alike if self._may_be(db, intent, body, row)])

    async def claim_lookalike(self, intent: int, body: KeySpec, row: Key) -> bool:
        """Take a row that `lookalikes` gave, unless it is another's by now."""

        def work(db: Database) -> bool:
            if not self._may_be(db, intent, body, row):
                return False
            self._take(db, intent, row.id, row.created_time)
            return True

        return await self._file.write(work)

    def _is_taken(self, db: Database, key_id: int, created: int) -> bool:
        query = "SELECT 1 FROM intent WHERE account = ? AND key_id = ? AND key_created = ?"
        return db.execute(query, (self._account, key_id, created)).fetchone() is not None

    def _may_be(self, db: Database, intent: int, body: KeySpec, row: Key) -> bool:
        """Whether a row that is not equal to the body may be the intent's, by what else is being created."""
        if self._is_taken(db, row.id, row.created_time):
            return False
        query = f"SELECT DISTINCT body FROM intent WHERE {_ROWLESS} AND body != ?"  # noqa: S608 - a constant
        found = db.execute(query, (self._account, intent, time() - MISSING_FOR, canonical(body))).fetchall()
        others = [KeySpec.model_validate_json(other) for (other,) in found]
        mine = len(differences(body, row, tolerated=True))
        return not any(
            is_namesake(other, row) and len(differences(other, row, tolerated=True)) <= mine for other in others
        )

    def _take(self, db: Database, intent: int, key_id: int, created: int) -> None:
        db.execute(
            "UPDATE intent SET phase = 'claimed', key_id = ?, key_created = ? WHERE id = ?", (key_id, created, intent)
        )
