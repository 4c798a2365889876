"""The file: one SQLite database that all servers of a user share, and what is wrong with it in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import anyio
import anyio.to_thread

from comet_mcp.errors import JournalError
from comet_mcp.text import printable, quoted

_T = TypeVar("_T")

Database = sqlite3.Connection
"""What `read` and `write` hand to their work; sqlite3 stays this folder's own."""

_LOCK_WAIT = 3.0
_VERSION = 1
# no STRICT tables: SQLite has them since 3.37, and systems that live have older ones
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
);
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
);
CREATE UNIQUE INDEX open_rotation ON rotation (account, old_id, old_created) WHERE NOT done;
CREATE TABLE reveal (account TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE answered (nonce TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    intent INTEGER
);
CREATE INDEX spending_of ON spending (account, at);
CREATE INDEX spending_for ON spending (intent) WHERE intent IS NOT NULL;
"""
_MARKS = {"intent", "rotation"}
"""Tables by which a journal of any version is known."""

_KNOWS_NOTHING = "which knows nothing of creates that were still unclear"
_HEADER = b"SQLite format 3\0"


class StateFile:
    """Opened at the first use; every method raises JournalError where it can't be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._locked: tuple[float, JournalError] | None = None

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._db is not None:
            self._db.close()
            self._db = None

    async def read(self, work: Callable[[Database], _T]) -> _T:
        """Run `work` on one consistent state of the file; it waits for no writer."""
        return await self._run("BEGIN", work)

    async def write(self, work: Callable[[Database], _T], *, synced: bool = True) -> _T:
        """Run `work` in one transaction; no other writer comes between.

        It is on disk when this returns. Where not `synced` it outlives this process, however that ends, and reaches
        the disk with the next transaction that is: a failure of the power may take it along.
        """
        return await self._run("BEGIN IMMEDIATE", work, synced=synced)

    async def _run(self, begin: str, work: Callable[[sqlite3.Connection], _T], *, synced: bool = True) -> _T:
        """Run `work` on a thread, for SQLite waits for locks and for the disk.

        Who waited for his turn while the file was found locked is told so at once, instead of waiting as long again.
        """
        asked = monotonic()

        def run() -> _T:
            if self._locked is not None and self._locked[0] > asked:
                raise self._locked[1]
            end = monotonic() + _LOCK_WAIT
            while True:
                try:
                    return self._once(begin, work, synced=synced)
                except (sqlite3.Error, OSError) as error:
                    self.close()  # after the mend the file may be another one
                    if _is_locked(error) and monotonic() < end:
                        sleep(0.01)  # SQLite does not wait itself while another process makes or mends the file
                        continue
                    explained = _explained(self.path, error)
                    if _is_locked(error):
                        self._locked = (monotonic(), explained)
                    raise explained from None

        return await anyio.to_thread.run_sync(run, limiter=self._one_at_a_time)

    def _once(self, begin: str, work: Callable[[sqlite3.Connection], _T], *, synced: bool) -> _T:
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
        return result


class _TooNewError(sqlite3.DatabaseError):
    """The file was written by a later version of this program."""


class _NotOursError(sqlite3.DatabaseError):
    """The file is another program's, and stays as it is."""


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_database(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    db = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
    try:
        _require_ours(db)
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


def _require_database(path: Path) -> None:
    """Raise _NotOursError for a file that has something in it and is no database, before it is opened for writing."""
    if path.is_file():
        with path.open("rb") as file:
            if not _HEADER.startswith(file.read(len(_HEADER))):
                raise _NotOursError


def _require_ours(db: sqlite3.Connection) -> None:
    """Raise _NotOursError for a database that has tables and not ours, before anything in it is changed."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and not tables >= _MARKS:
        raise _NotOursError


def _is_locked(error: sqlite3.Error | OSError) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _explained(path: Path, error: sqlite3.Error | OSError) -> JournalError:
    """What is wrong with the journal, and the mend."""
    said = str(error).lower()
    where = quoted(str(path), 200)
    if isinstance(error, _TooNewError):
        reason = f"The journal {where} was written by a newer cometapi-mcp"
        mend = "Upgrade this one, or set COMETAPI_MCP_STATE to another file"
    elif isinstance(error, _NotOursError) or "no such table" in said:
        reason = f"{where} is no journal of cometapi-mcp"
        mend = (
            "Set COMETAPI_MCP_STATE to another file. Only if this one was the journal and was damaged, move it away: a "
            f"new one is made, {_KNOWS_NOTHING}"
        )
    elif _is_locked(error):
        reason = f"The journal {where} is locked by another program"
        mend = "Try again in a minute; if that does not help, find the program that holds the file open and close it"
    elif "full" in said or "no space" in said or "i/o" in said or "too large" in said:
        reason = f"The journal {where} can't be written: the disk is full or failing ({printable(said)})"
        mend = "Free some space, or set COMETAPI_MCP_STATE to a file on another disk"
    elif "not a database" in said or "malformed" in said or "corrupt" in said:
        reason = f"The journal {where} is damaged ({printable(said)})"
        mend = f"Move the file away; a new one is made, {_KNOWS_NOTHING}"
    else:
        reason = f"The journal {where} can't be opened for writing ({printable(said or type(error).__name__)})"
        mend = "Set COMETAPI_MCP_STATE to a file that can be written, or make this one writable if it is the journal"
    why = "Without a journal no key is created, for a lost answer could not be recovered"
    return JournalError(f"{reason}. {why}. {mend}.")
