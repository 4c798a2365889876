"""The journal: one SQLite file that all servers of a user share, so that a create is remembered before it is sent.

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

What each create and each top-up may cost is counted in `spending` before it is sent (see comet_mcp.spending).

A claim is the pair (key_id, key_created) of an intent, unique per account: two servers never hand out one key. The
creation time is part of it because a restarted sandbox counts its ids from 1 again. No secret is in this file.

An intent that stays `sent`, `accepted` or `unclear` longer than any call lasts belonged to a server that died, and so
did one whose process is gone.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any, Literal, NamedTuple, TypeVar

import anyio
import anyio.to_thread

from comet_mcp.errors import CreateUnclearError, JournalError
from comet_mcp.spending import LONGEST_WINDOW, Spending
from comet_mcp.text import printable, quoted
from comet_mcp.wire import Token, TokenBody

Phase = Literal[
    "sent", "accepted", "unclear", "unlisted", "lost", "claimed", "unsaved", "saved", "undelivered", "closed"
]
Check = Callable[[Spending], None]
"""Raises where what is asked for would exceed a limit."""
_T = TypeVar("_T")

DEAD_AFTER = 30.0
"""Seconds after which an intent in flight has no server any more; every call ends within 15."""

UNDELIVERED_FOR = 3600.0
"""Seconds in which a repeated create finds the key of a cancelled one; later it is a new wish."""

Database = sqlite3.Connection
"""What `Journal.read` and `Journal.write` hand to their work; sqlite3 stays this module's own."""

_ANSWERS_KEPT = 86_400.0  # far longer than an answer is good for
_LOCK_WAIT = 3.0
_VERSION = 1
_COLUMNS = "id, body, newest_before, not_before, begun, phase, key_id, given_up, owner"
_SCHEMA = """
CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    body TEXT NOT NULL,
    newest_before INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    begun REAL NOT NULL,
    phase TEXT NOT NULL,
    key_id INTEGER,
    key_created INTEGER,
    rotation INTEGER,
    given_up INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX claim ON intent (account, key_id, key_created) WHERE key_id IS NOT NULL;
CREATE UNIQUE INDEX one_new_key ON intent (rotation) WHERE rotation IS NOT NULL AND phase != 'closed';
CREATE INDEX open_intent ON intent (account, phase) WHERE phase NOT IN ('saved', 'closed');
CREATE TABLE rotation (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    old_id INTEGER NOT NULL,
    old_created INTEGER NOT NULL,
    body TEXT NOT NULL,
    old_key TEXT NOT NULL,
    old_until INTEGER NOT NULL,
    begun REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX open_rotation ON rotation (account, old_id, old_created) WHERE NOT done;
CREATE TABLE reveal (account TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TABLE answered (nonce TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    intent INTEGER
) STRICT;
CREATE INDEX spending_of ON spending (account, at);
CREATE INDEX spending_for ON spending (intent) WHERE intent IS NOT NULL;
"""


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
        return self.phase in ("sent", "accepted", "unclear", "claimed") and young and not _is_dead(self.owner)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that is being replaced: the body of the new one, and how the old one ends (`old_until` for grace)."""

    id: int
    body: TokenBody
    old_key: str
    old_until: int
    begun: float
    done: bool
    new_id: int | None
    under_way: bool
    """Whether a call is making the new key at this moment."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the key that is ours now, or the rows among which nobody can tell ours."""

    key_id: int | None = None
    ambiguous: tuple[int, ...] = ()


class Journal:
    """The intents of one account. Opened at the first use; every method raises JournalError where it can't be."""

    def __init__(self, path: Path, account: str) -> None:
        self.path = path
        self._account = account
        self._db: sqlite3.Connection | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._locked: tuple[float, JournalError] | None = None

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._db is not None:
            self._db.close()
            self._db = None

    async def begin(
        self, body: TokenBody, floor: Floor, rotation: int | None = None, check: Check | None = None
    ) -> int:
        """Note a create that is about to be sent, and count its key and budget; on disk when this returns.

        Counting and `check` are one transaction: two servers never pass one limit together. Returns the intent's id.

        Raises:
            CreateUnclearError: The rotation has its one create already, code `under_way`.
            CometError: What `check` raises of the spending before; nothing is noted then.
        """

        def work(db: sqlite3.Connection) -> int:
            cursor = db.execute(
                "INSERT OR IGNORE INTO intent "
                "(account, body, newest_before, not_before, begun, phase, rotation, owner) "
                "VALUES (?, ?, ?, ?, ?, 'sent', ?, ?)",
                (self._account, _canonical(body), floor.id, floor.since, time(), rotation, _server()),
            )
            if not cursor.rowcount or cursor.lastrowid is None:
                raise CreateUnclearError("Another call is making this key right now.", code="under_way")
            intent = cursor.lastrowid
            if check is not None:
                check(self._spending(db))
            self._spend(db, 1, 0 if body.unlimited_quota else body.remain_quota, intent)
            return intent

        return await self._write(work)

    async def spending(self) -> Spending:
        """The keys made and budgets given so far; none where no journal was ever written."""
        if not self.path.exists():
            return Spending()
        return await self._read(self._spending)

    async def reserve(self, units: int, check: Check) -> int:
        """Count a budget, in quota units, that is about to be added to a key. Returns what `release` takes.

        Raises:
            CometError: What `check` raises of the spending before; nothing is counted then.
        """

        def work(db: sqlite3.Connection) -> int:
            check(self._spending(db))
            return self._spend(db, 0, units, None)

        return await self._write(work)

    async def release(self, reservation: int) -> None:
        """Take back what `reserve` counted, because it was provably not given."""
        await self._write(lambda db: db.execute("DELETE FROM spending WHERE id = ?", (reservation,)))

    async def not_made(self, intent: int) -> None:
        """Close an intent that provably made no key, and take back what was counted for it."""

        def work(db: sqlite3.Connection) -> None:
            query = "UPDATE intent SET phase = 'closed' WHERE id = ? AND key_id IS NULL"
            if db.execute(query, (intent,)).rowcount:
                db.execute("DELETE FROM spending WHERE intent = ?", (intent,))

        await self._write(work)

    async def set_phase(self, intent: int, phase: Phase) -> None:
        """Note how far an intent came that has no key yet; one that has is left alone."""
        query = "UPDATE intent SET phase = ? WHERE id = ? AND key_id IS NULL"
        await self._write(lambda db: db.execute(query, (phase, intent)))

    async def close_unfound(self, intent: int) -> bool:
        """Give up an intent. False where another server has found its key meanwhile, or has closed it."""
        query = "UPDATE intent SET phase = 'closed' WHERE id = ? AND key_id IS NULL AND phase != 'closed'"
        return await self._write(lambda db: db.execute(query, (intent,)).rowcount == 1)

    async def close_key(self, intent: int) -> None:
        """Forget an intent whose key does not exist any more."""
        await self._write(lambda db: db.execute("UPDATE intent SET phase = 'closed' WHERE id = ?", (intent,)))

    async def give_up(self, intent: int) -> None:
        """Note that the client reads no answer: an equal create then gets this one's key."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE intent SET given_up = 1 WHERE id = ?", (intent,))
            db.execute("UPDATE intent SET phase = 'undelivered' WHERE id = ? AND phase = 'saved'", (intent,))

        await self._write(work)

    async def take_over(self, intent: int) -> bool:
        """Make this call the one that tells of a key nobody was told of. False where another call is.

        The key counts as claimed until its value is stored (once more).
        """
        query = (
            "UPDATE intent SET phase = 'claimed', given_up = 0, begun = ?, owner = ? "
            "WHERE id = ? AND (phase IN ('undelivered', 'unsaved') "
            "OR (phase = 'claimed' AND (begun < ? OR owner != ?)))"
        )
        values = (time(), _server(), intent, time() - DEAD_AFTER, _server())
        return await self._write(lambda db: db.execute(query, values).rowcount == 1)

    async def claim(self, intent: int, rows: dict[int, int]) -> Claim:
        """Take one of `rows` (key id to creation time; all equal to the intent's body) that nobody has.

        Equal rows are interchangeable, so an accepted intent takes any. An unclear one waits until each equal intent
        that is surely owed a row has it. Where more rows are left than there are intents to own them, somebody else
        made equal keys at the same moment: then nothing is taken.
        """

        def work(db: sqlite3.Connection) -> Claim:
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

        return await self._write(work)

    async def claim_one(self, intent: int, key_id: int, created: int) -> bool:
        """Take this very row, unless somebody has it."""

        def work(db: sqlite3.Connection) -> bool:
            if self._is_taken(db, key_id, created):
                return False
            self._take(db, intent, key_id, created)
            return True

        return await self._write(work)

    async def unsettled(self, body: TokenBody | None = None, rotation: int | None = None) -> list[Intent]:
        """Intents, oldest first, of which no call is taking care: row not found, value not stored, answer not read.

        With `body`, only those for an equal key; with `rotation`, only those of it, else none of any.
        """
        wanted = None if body is None else _canonical(body)

        def work(db: sqlite3.Connection) -> list[Intent]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM intent WHERE account = ? AND "  # noqa: S608 - a constant
                "(phase IN ('lost', 'unlisted') OR (phase IN ('sent', 'accepted', 'unclear', 'claimed') AND "
                "(begun < ? OR given_up OR owner != ?)) "
                "OR (phase = 'unsaved' AND (? OR given_up)) "
                "OR (phase = 'undelivered' AND begun > ?)) AND (? OR rotation IS ?) ORDER BY id",
                (
                    self._account,
                    time() - DEAD_AFTER,
                    _server(),
                    body is None,
                    time() - UNDELIVERED_FOR,
                    body is None,
                    rotation,
                ),
            ).fetchall()
            found = [_intent(row) for row in rows if wanted is None or row[1] == wanted]
            # another server's call that is still at work is that server's to settle
            return [intent for intent in found if intent.given_up or not intent.in_flight]

        return await self._read(work)

    async def saved(self, key_id: int) -> None:
        """Note that the value of a key of ours is stored."""
        await self._write(
            lambda db: db.execute(
                "UPDATE intent SET phase = CASE WHEN given_up THEN 'undelivered' ELSE 'saved' END "
                "WHERE account = ? AND key_id = ? AND phase IN ('claimed', 'unsaved')",
                (self._account, key_id),
            )
        )

    async def unsaved(self, key_id: int) -> None:
        """Note that the value of a key of ours could not be stored."""
        query = "UPDATE intent SET phase = 'unsaved' WHERE account = ? AND key_id = ? AND phase = 'claimed'"
        await self._write(lambda db: db.execute(query, (self._account, key_id)))

    async def rotation(self, old: Token) -> Rotation | None:
        """The newest rotation of that key."""

        def work(db: sqlite3.Connection) -> Rotation | None:
            row = db.execute(
                "SELECT id, body, old_key, old_until, begun, done FROM rotation "
                "WHERE account = ? AND old_id = ? AND old_created = ? ORDER BY id DESC LIMIT 1",
                (self._account, old.id, old.created_time),
            ).fetchone()
            if row is None:
                return None
            found = db.execute(
                f"SELECT {_COLUMNS} FROM intent WHERE rotation = ? AND phase != 'closed'",  # noqa: S608 - a constant
                (row[0],),
            ).fetchone()
            new = _intent(found) if found else None
            body = TokenBody.model_validate_json(row[1])
            new_id, under_way = (new.key_id, new.in_flight) if new else (None, False)
            return Rotation(row[0], body, row[2], row[3], row[4], bool(row[5]), new_id, under_way)

        return await self._read(work)

    async def begin_rotation(self, old: Token, body: TokenBody, old_key: str, old_until: int) -> None:
        """Note a rotation that is about to begin. Where another server has just begun one, that one stands."""
        await self._write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO rotation (account, old_id, old_created, body, old_key, old_until, begun) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._account, old.id, old.created_time, body.model_dump_json(), old_key, old_until, time()),
            )
        )

    async def forget_new_key(self, rotation: int) -> None:
        """Note that the new key of a rotation does not exist any more."""
        query = "UPDATE intent SET phase = 'closed' WHERE rotation = ?"
        await self._write(lambda db: db.execute(query, (rotation,)))

    async def drop_rotation(self, rotation: int) -> None:
        """Forget a rotation that made no key; one whose create is not settled stays."""
        query = (
            "UPDATE rotation SET done = 1 WHERE id = ? "
            "AND NOT EXISTS (SELECT 1 FROM intent WHERE rotation = ? AND phase != 'closed')"
        )
        await self._write(lambda db: db.execute(query, (rotation, rotation)))

    async def end_rotation(self, rotation: int) -> None:
        """Note that both keys are as they should be."""
        await self._write(lambda db: db.execute("UPDATE rotation SET done = 1 WHERE id = ?", (rotation,)))

    async def intent(self, intent: int) -> Intent:
        """The intent as it is now."""
        query = f"SELECT {_COLUMNS} FROM intent WHERE id = ?"  # noqa: S608 - a constant
        return await self._read(lambda db: _intent(db.execute(query, (intent,)).fetchone()))

    async def note_reveal(self) -> None:
        """Count one reveal call, which the API limits."""
        await self._write(lambda db: db.execute("INSERT INTO reveal VALUES (?, ?)", (self._account, time())))

    async def reveals_since(self, seconds: float) -> list[float]:
        """When reveal calls were made in the last `seconds`, oldest first, in Unix seconds."""

        def work(db: sqlite3.Connection) -> list[float]:
            query = "SELECT at FROM reveal WHERE account = ? AND at > ? ORDER BY at"
            found = db.execute(query, (self._account, time() - seconds))
            return [row[0] for row in found]

        return await self._read(work)

    def _spending(self, db: sqlite3.Connection) -> Spending:
        keys, units = db.execute(
            "SELECT COALESCE(SUM(keys), 0), COALESCE(SUM(units), 0) FROM spending WHERE account = ?", (self._account,)
        ).fetchone()
        recent = db.execute(
            "SELECT at, keys, units FROM spending WHERE account = ? AND at > ? ORDER BY at",
            (self._account, time() - LONGEST_WINDOW),
        ).fetchall()
        return Spending(keys, units, tuple(recent))

    def _spend(self, db: sqlite3.Connection, keys: int, units: int, intent: int | None) -> int:
        cursor = db.execute(
            "INSERT INTO spending (account, at, keys, units, intent) VALUES (?, ?, ?, ?, ?)",
            (self._account, time(), keys, units, intent),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - an INSERT without OR IGNORE has one
        return cursor.lastrowid

    async def use_answer(self, nonce: str) -> bool:
        """Note that a person's answer has served. False where it had already."""

        def work(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM answered WHERE at < ?", (time() - _ANSWERS_KEPT,))
            return db.execute("INSERT OR IGNORE INTO answered VALUES (?, ?)", (nonce, time())).rowcount == 1

        return await self.write(work)

    def _is_taken(self, db: sqlite3.Connection, key_id: int, created: int) -> bool:
        query = "SELECT 1 FROM intent WHERE account = ? AND key_id = ? AND key_created = ?"
        return db.execute(query, (self._account, key_id, created)).fetchone() is not None

    def _take(self, db: sqlite3.Connection, intent: int, key_id: int, created: int) -> None:
        db.execute(
            "UPDATE intent SET phase = 'claimed', key_id = ?, key_created = ? WHERE id = ?", (key_id, created, intent)
        )

    async def read(self, work: Callable[[Database], _T]) -> _T:
        """Run `work` on one consistent state of the file; it waits for no writer."""
        return await self._run("BEGIN", work)

    async def write(self, work: Callable[[Database], _T], *, synced: bool = True) -> _T:
        """Run `work` in one transaction; no other writer comes between.

        It is on disk when this returns. Where not `synced` it outlives this process, however that ends, and reaches
        the disk with the next transaction that is: a failure of the power may take it along.
        """
        return await self._run("BEGIN IMMEDIATE", work, synced=synced)

    _read, _write = read, write

    async def _run(self, begin: str, work: Callable[[sqlite3.Connection], _T], *, synced: bool = True) -> _T:
        """Run `work` on a thread, for SQLite waits for locks and for the disk.

        Who waited for his turn while the file was found locked is told so at once, instead of waiting as long again.
        """
        asked = monotonic()

        def run() -> _T:
            if self._locked is not None and self._locked[0] > asked:
                raise self._locked[1]
            try:
                if self._db is None:
                    self._db = _open(self.path)
                db = self._db
                # a commit is on disk when it returns: the POST must not be better remembered by the API than by us
                db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                db.execute(begin)
                try:
                    result = work(db)
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                self.close()  # after the mend the file may be another one
                explained = _explained(self.path, error)
                if _is_locked(error):
                    self._locked = (monotonic(), explained)
                raise explained from None
            return result

        return await anyio.to_thread.run_sync(run, limiter=self._one_at_a_time)


def _server() -> str:
    """This process, by its machine and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(owner: str) -> bool:
    """Whether the process is surely gone. Never of another machine's (or container's), nor on Windows."""
    host, _, number = owner.rpartition(":")
    if sys.platform == "win32" or host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _intent(row: tuple[Any, ...]) -> Intent:
    key, body, newest_before, not_before, begun, phase, key_id, given_up, owner = row
    floor = Floor(newest_before, not_before)
    return Intent(key, TokenBody.model_validate_json(body), floor, begun, phase, key_id, bool(given_up), owner)


def _canonical(body: TokenBody) -> str:
    """The body as text that is equal for equal keys: the API keeps no difference between null and "" IPs."""
    return body.model_copy(update={"allow_ips": body.allow_ips or ""}).model_dump_json()


class _TooNewError(sqlite3.DatabaseError):
    """The file was written by a later version of this program."""


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    db = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise _TooNewError  # noqa: TRY301 - closes the file on its way out
        if version == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _is_locked(error: sqlite3.Error | OSError) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _explained(path: Path, error: sqlite3.Error | OSError) -> JournalError:
    """What is wrong with the journal, and the mend."""
    said = str(error).lower()
    where = quoted(str(path), 200)
    if isinstance(error, _TooNewError):
        reason = f"The journal {where} was written by a newer cometapi-mcp"
        mend = "Upgrade this one, or set COMETAPI_MCP_STATE to another file"
    elif _is_locked(error):
        reason = f"The journal {where} is locked by another program"
        mend = "Try again in a minute; if that does not help, find the program that holds the file open and close it"
    elif "full" in said or "no space" in said or "i/o" in said or "too large" in said:
        reason = f"The journal {where} can't be written: the disk is full or failing ({printable(said)})"
        mend = "Free some space, or set COMETAPI_MCP_STATE to a file on another disk"
    elif "not a database" in said or "malformed" in said or "corrupt" in said or "no such table" in said:
        reason = f"The journal {where} is damaged ({printable(said)})"
        mend = "Move the file away; a new one is made, which knows nothing of creates that were still unclear"
    else:
        reason = f"The journal {where} can't be opened for writing ({printable(said or type(error).__name__)})"
        mend = "Make the file and its directory writable, or set COMETAPI_MCP_STATE to a file that is"
    why = "Without it no key is created, for a lost answer could not be recovered"
    return JournalError(f"{reason}. {why}. {mend}.")
