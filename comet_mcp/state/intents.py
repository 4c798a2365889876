"""Intents: each create is remembered before it is sent, so that a lost answer loses no key.

An *intent* is one create. Its phase tells how far it came:

    sent         on disk before the POST leaves
    accepted     the API said success; the key's row is being looked for
    unclear      the POST left and no usable answer came; a row is being looked for
    unlisted     the API said success, and the call ended before a row showed
    lost         no usable answer came, and the call ended before a row showed
    claimed      the key is known (key_id); its value is not stored yet
    unsaved      the key is known, and its value could not be stored; the client was told
    saved        done
    undelivered  done, but the client had given up the call: nobody read that there is a key
    closed       no key of ours: refused, never sent, given up, or told as ambiguous

A claim is the pair (key_id, key_created) of an intent, unique per account: two servers never hand out one key. The
creation time is part of it because a restarted sandbox counts its ids from 1 again. No secret is in this file.

An intent that stays `sent`, `accepted` or `unclear` longer than any call lasts belonged to a server that died, and so
did one whose process is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Any, Literal, NamedTuple

from comet_mcp.api.wire import Token, TokenBody
from comet_mcp.errors import CreateUnclearError
from comet_mcp.state.file import Database, StateFile
from comet_mcp.state.ledger import Check, Ledger
from comet_mcp.state.owner import is_dead, this_server

Phase = Literal[
    "sent", "accepted", "unclear", "unlisted", "lost", "claimed", "unsaved", "saved", "undelivered", "closed"
]

DEAD_AFTER = 30.0
"""Seconds after which an intent in flight has no server any more; every call ends within 15."""

UNDELIVERED_FOR = 3600.0
"""Seconds in which a repeated create finds the key of a cancelled one; later it is a new wish."""

COLUMNS = "id, body, newest_before, not_before, begun, phase, key_id, given_up, owner"


class Floor(NamedTuple):
    """What a create's row is above: rows with another id than those up to `id`, made at `since` or later.

    `since` is in Unix seconds by the API's clock; 0 where `id` alone is certain.
    """

    id: int
    since: int = 0

    def below(self, rows: list[Token]) -> list[Token]:
        """The rows that are above this floor."""
        # ids that begin anew (a restarted sandbox) leave every row below an old id; its time tells then
        anew = self.since and rows and max(row.id for row in rows) < self.id
        return [row for row in rows if row.created_time >= self.since and (anew or row.id > self.id)]


@dataclass(frozen=True, slots=True)
class Intent:
    """One create as the journal has it. `floor` is what its row is above."""

    id: int
    body: TokenBody
    floor: Floor
    begun: float
    phase: Phase
    key_id: int | None
    given_up: bool
    owner: str

    @property
    def in_flight(self) -> bool:
        """Whether a call is still at work on it, although its client has given up."""
        young = self.begun > time() - DEAD_AFTER
        return self.phase in ("sent", "accepted", "unclear", "claimed") and young and not is_dead(self.owner)


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the key that is ours now, or the rows among which nobody can tell ours."""

    key_id: int | None = None
    ambiguous: tuple[int, ...] = ()


class Intents:
    """The intents of one account."""

    def __init__(self, file: StateFile, account: str, ledger: Ledger) -> None:
        self._file = file
        self._account = account
        self._ledger = ledger

    async def begin(
        self, body: TokenBody, floor: Floor, rotation: int | None = None, check: Check | None = None
    ) -> int:
        """Note a create that is about to be sent, and count its key and budget; on disk when this returns.

        Counting and `check` are one transaction: two servers never pass one limit together. Returns the intent's id.

        Raises:
            CreateUnclearError: The rotation has its one create already, code `under_way`.
            CometError: What `check` raises of the spending before; nothing is noted then.
        """

        def work(db: Database) -> int:
            cursor = db.execute(
                "INSERT OR IGNORE INTO intent "
                "(account, body, newest_before, not_before, begun, phase, rotation, owner) "
                "VALUES (?, ?, ?, ?, ?, 'sent', ?, ?)",
                (self._account, _canonical(body), floor.id, floor.since, time(), rotation, this_server()),
            )
            if not cursor.rowcount or cursor.lastrowid is None:
                raise CreateUnclearError("Another call is making this key right now.", code="under_way")
            intent = cursor.lastrowid
            if check is not None:
                check(self._ledger.counted(db))
            self._ledger.count(db, 1, 0 if body.unlimited_quota else body.remain_quota, intent)
            return intent

        return await self._file.write(work)

    async def get(self, intent: int) -> Intent:
        """The intent as it is now."""
        query = f"SELECT {COLUMNS} FROM intent WHERE id = ?"  # noqa: S608 - a constant
        return await self._file.read(lambda db: intent_of(db.execute(query, (intent,)).fetchone()))

    async def not_made(self, intent: int) -> None:
        """Close an intent that provably made no key, and take back what was counted for it."""

        def work(db: Database) -> None:
            query = "UPDATE intent SET phase = 'closed' WHERE id = ? AND key_id IS NULL"
            if db.execute(query, (intent,)).rowcount:
                self._ledger.uncount(db, intent)

        await self._file.write(work)

    async def set_phase(self, intent: int, phase: Phase) -> None:
        """Note how far an intent came that has no key yet; one that has is left alone."""
        query = "UPDATE intent SET phase = ? WHERE id = ? AND key_id IS NULL"
        await self._file.write(lambda db: db.execute(query, (phase, intent)))

    async def close_unfound(self, intent: int) -> bool:
        """Give up an intent. False where another server has found its key meanwhile, or has closed it."""
        query = "UPDATE intent SET phase = 'closed' WHERE id = ? AND key_id IS NULL AND phase != 'closed'"
        return await self._file.write(lambda db: db.execute(query, (intent,)).rowcount == 1)

    async def close_key(self, intent: int) -> None:
        """Forget an intent whose key does not exist any more."""
        await self._file.write(lambda db: db.execute("UPDATE intent SET phase = 'closed' WHERE id = ?", (intent,)))

    async def give_up(self, intent: int) -> None:
        """Note that the client reads no answer: an equal create then gets this one's key."""

        def work(db: Database) -> None:
            db.execute("UPDATE intent SET given_up = 1 WHERE id = ?", (intent,))
            db.execute("UPDATE intent SET phase = 'undelivered' WHERE id = ? AND phase = 'saved'", (intent,))

        await self._file.write(work)

    async def take_over(self, intent: int) -> bool:
        """Make this call the one that tells of a key nobody was told of. False where another call is.

        The key counts as claimed until its value is stored (once more).
        """
        query = (
            "UPDATE intent SET phase = 'claimed', given_up = 0, begun = ?, owner = ? "
            "WHERE id = ? AND (phase IN ('undelivered', 'unsaved') "
            "OR (phase = 'claimed' AND (begun < ? OR owner != ?)))"
        )
        values = (time(), this_server(), intent, time() - DEAD_AFTER, this_server())
        return await self._file.write(lambda db: db.execute(query, values).rowcount == 1)

    async def claim(self, intent: int, rows: dict[int, int]) -> Claim:
        """Take one of `rows` (key id to creation time; all equal to the intent's body) that nobody has.

        Equal rows are interchangeable, so an accepted intent takes any. An unclear one waits until each equal intent
        that is surely owed a row has it. Where more rows are left than there are intents to own them, somebody else
        made equal keys at the same moment: then nothing is taken.
        """

        def work(db: Database) -> Claim:
            body, phase, key_id = db.execute(
                "SELECT body, phase, key_id FROM intent WHERE id = ?", (intent,)
            ).fetchone()
            if key_id is not None or phase == "closed":
                return Claim()  # another server has settled it
            left = [key_id for key_id, created in rows.items() if not self._is_taken(db, key_id, created)]
            others = db.execute(
                "SELECT phase, begun FROM intent WHERE account = ? AND body = ? AND id != ? AND key_id IS NULL "
                "AND phase IN ('sent', 'accepted', 'unclear', 'unlisted', 'lost')",
                (self._account, body, intent),
            ).fetchall()
            if len(left) > len(others) + 1:
                return Claim(ambiguous=tuple(sorted(left)))
            alive = time() - DEAD_AFTER
            owed = [other for other, begun in others if other in ("sent", "accepted") and begun > alive]
            owed += [other for other, _ in others if other == "unlisted"]
            if not left or (phase in ("unclear", "lost") and owed):
                return Claim()
            self._take(db, intent, min(left), rows[min(left)])
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

    async def unsettled(self, body: TokenBody | None = None, rotation: int | None = None) -> list[Intent]:
        """Intents, oldest first, of which no call is taking care: row not found, value not stored, answer not read.

        With `body`, only those for an equal key; with `rotation`, only those of it, else none of any.
        """
        wanted = None if body is None else _canonical(body)

        def work(db: Database) -> list[Intent]:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM intent WHERE account = ? AND "  # noqa: S608 - a constant
                "(phase IN ('lost', 'unlisted') OR (phase IN ('sent', 'accepted', 'unclear', 'claimed') AND "
                "(begun < ? OR given_up OR owner != ?)) "
                "OR (phase = 'unsaved' AND (? OR given_up)) "
                "OR (phase = 'undelivered' AND begun > ?)) AND (? OR rotation IS ?) ORDER BY id",
                (
                    self._account,
                    time() - DEAD_AFTER,
                    this_server(),
                    body is None,
                    time() - UNDELIVERED_FOR,
                    body is None,
                    rotation,
                ),
            ).fetchall()
            found = [intent_of(row) for row in rows if wanted is None or row[1] == wanted]
            # another server's call that is still at work is that server's to settle
            return [intent for intent in found if intent.given_up or not intent.in_flight]

        return await self._file.read(work)

    async def saved(self, key_id: int) -> None:
        """Note that the value of a key of ours is stored."""
        await self._file.write(
            lambda db: db.execute(
                "UPDATE intent SET phase = CASE WHEN given_up THEN 'undelivered' ELSE 'saved' END "
                "WHERE account = ? AND key_id = ? AND phase IN ('claimed', 'unsaved')",
                (self._account, key_id),
            )
        )

    async def unsaved(self, key_id: int) -> None:
        """Note that the value of a key of ours could not be stored."""
        query = "UPDATE intent SET phase = 'unsaved' WHERE account = ? AND key_id = ? AND phase = 'claimed'"
        await self._file.write(lambda db: db.execute(query, (self._account, key_id)))

    def _is_taken(self, db: Database, key_id: int, created: int) -> bool:
        query = "SELECT 1 FROM intent WHERE account = ? AND key_id = ? AND key_created = ?"
        return db.execute(query, (self._account, key_id, created)).fetchone() is not None

    def _take(self, db: Database, intent: int, key_id: int, created: int) -> None:
        db.execute(
            "UPDATE intent SET phase = 'claimed', key_id = ?, key_created = ? WHERE id = ?", (key_id, created, intent)
        )


def intent_of(row: tuple[Any, ...]) -> Intent:
    """The intent in a row of `COLUMNS`."""
    key, body, newest_before, not_before, begun, phase, key_id, given_up, owner = row
    floor = Floor(newest_before, not_before)
    return Intent(key, TokenBody.model_validate_json(body), floor, begun, phase, key_id, bool(given_up), owner)


def _canonical(body: TokenBody) -> str:
    """The body as text that is equal for equal keys: the API keeps no difference between null and "" IPs."""
    return body.model_copy(update={"allow_ips": body.allow_ips or ""}).model_dump_json()
