"""Intents: each create is remembered before it is sent, so that a lost answer loses no key.

An *intent* is one create. Its phase tells how far it came:

    sent         on disk before the POST leaves
    accepted     the API said success; the key's row is being looked for
    unclear      the POST left and no usable answer came; a row is being looked for
    unlisted     the API said success, and the call ended before a row showed
    lost         no usable answer came, and the call ended before a row showed
    missing      the API said success, and no row showed for a minute; it was told that one may still appear
    claimed      the key is known (key_id); its value is not stored yet
    unsaved      the key is known, and its value could not be stored; the client was told
    saved        done
    undelivered  done, but the client had given up the call: nobody read that there is a key
    closed       no key of ours: refused, never sent, given up, or told as ambiguous

Which row of the API is an intent's is in comet_mcp.state.claims. No secret is in this file.

An intent that stays `sent`, `accepted` or `unclear` longer than any call lasts belonged to a server that died, and so
did one whose process is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Any, Literal, NamedTuple

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import CreateUnclearError
from comet_mcp.state.file import Database, StateFile
from comet_mcp.state.ledger import Check, Ledger
from comet_mcp.state.owner import is_dead, this_server

Phase = Literal[
    "sent", "accepted", "unclear", "unlisted", "lost", "missing", "claimed", "unsaved", "saved", "undelivered", "closed"
]

DEAD_AFTER = 30.0
"""Seconds after which an intent in flight has no server any more; every call ends within 15."""

UNDELIVERED_FOR = 3600.0
"""Seconds in which a repeated create finds the key of a cancelled one; later it is a new wish."""

MISSING_FOR = 86_400.0
"""Seconds in which the row of a `missing` create is still known for what it is when it shows."""

COLUMNS = "id, body, newest_before, not_before, begun, phase, key_id, given_up, owner"


class Floor(NamedTuple):
    """What a create's row is above: rows with another id than those up to `id`, made at `since` or later.

    `since` is in Unix seconds by the API's clock; 0 where `id` alone is certain.
    """

    id: int
    since: int = 0

    def below(self, rows: list[Key]) -> list[Key]:
        """The rows that are above this floor."""
        # ids that begin anew (a restarted sandbox) leave every row below an old id; its time tells then
        anew = self.since and rows and max(row.id for row in rows) < self.id
        return [row for row in rows if row.created_time >= self.since and (anew or row.id > self.id)]


@dataclass(frozen=True, slots=True)
class Intent:
    """One create as the journal has it. `floor` is what its row is above."""

    id: int
    body: KeySpec
    floor: Floor
    begun: float
    phase: Phase
    key_id: int | None
    given_up: bool
    owner: str

    @property
    def accepted(self) -> bool:
        """Whether the API said that it made a key, whose row was not seen yet."""
        return self.phase in ("accepted", "unlisted")

    @property
    def in_flight(self) -> bool:
        """Whether a call is still at work on it, although its client has given up."""
        young = self.begun > time() - DEAD_AFTER
        return self.phase in ("sent", "accepted", "unclear", "claimed") and young and not is_dead(self.owner)


class Intents:
    """The intents of one account."""

    def __init__(self, file: StateFile, account: str, ledger: Ledger) -> None:
        self._file = file
        self._account = account
        self._ledger = ledger

    async def begin(self, body: KeySpec, floor: Floor, rotation: int | None = None, check: Check | None = None) -> int:
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
                (self._account, canonical(body), floor.id, floor.since, time(), rotation, this_server()),
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

    async def close_unfound(self, intent: int, phase: Literal["closed", "missing"] = "closed") -> bool:
        """Give up an intent. False where another server has found its key meanwhile, or has given it up.

        That of a rotation is never `missing`: the rotation goes on with another key.
        """
        query = (
            "UPDATE intent SET phase = CASE WHEN rotation IS NULL THEN ? ELSE 'closed' END "
            "WHERE id = ? AND key_id IS NULL AND phase NOT IN ('closed', 'missing')"
        )
        return await self._file.write(lambda db: db.execute(query, (phase, intent)).rowcount == 1)

    async def close_key(self, intent: int) -> None:
        """Forget an intent whose key does not exist any more."""
        await self._file.write(lambda db: db.execute("UPDATE intent SET phase = 'closed' WHERE id = ?", (intent,)))

    async def give_up(self, intent: int) -> None:
        """Note that the client may not read the answer: an equal create then gets this one's key."""

        def work(db: Database) -> None:
            # one that another server has taken over meanwhile is that one's to tell
            mine = (intent, this_server())
            db.execute("UPDATE intent SET given_up = 1 WHERE id = ? AND owner = ?", mine)
            db.execute("UPDATE intent SET phase = 'undelivered' WHERE id = ? AND owner = ? AND phase = 'saved'", mine)

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

    async def unsettled(self, body: KeySpec | None = None, rotation: int | None = None) -> list[Intent]:
        """Intents, oldest first, of which no call is taking care: row not found, value not stored, answer not read.

        With `body`, only those for an equal key; with `rotation`, only those of it, else none of any.
        """
        wanted = None if body is None else canonical(body)

        def work(db: Database) -> list[Intent]:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM intent WHERE account = ? AND "  # noqa: S608 - a constant
                "(phase IN ('lost', 'unlisted') OR (phase IN ('sent', 'accepted', 'unclear', 'claimed') AND "
                "(begun < ? OR given_up OR owner != ?)) "
                "OR (phase = 'unsaved' AND (? OR given_up)) "
                "OR (phase = 'undelivered' AND begun > ?) OR (phase = 'missing' AND begun > ?)) "
                "AND (? OR rotation IS ?) ORDER BY id",
                (
                    self._account,
                    time() - DEAD_AFTER,
                    this_server(),
                    body is None,
                    time() - UNDELIVERED_FOR,
                    time() - MISSING_FOR,
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


def intent_of(row: tuple[Any, ...]) -> Intent:
    """The intent in a row of `COLUMNS`."""
    key, body, newest_before, not_before, begun, phase, key_id, given_up, owner = row
    floor = Floor(newest_before, not_before)
    return Intent(key, KeySpec.model_validate_json(body), floor, begun, phase, key_id, bool(given_up), owner)


def canonical(body: KeySpec) -> str:
    """The body as text that is equal for equal keys: the API keeps no difference between null and "" IPs."""
    return body.model_copy(update={"allow_ips": body.allow_ips or ""}).model_dump_json()
