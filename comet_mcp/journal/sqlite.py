"""The journal on one SQLite file that all servers of a user share."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio

from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.errors import JournalError
from comet_mcp.journal import tables
from comet_mcp.journal.base import Step
from comet_mcp.journal.faults import NotOursError, ReplacedError, TooNewError, explained_fault, is_locked
from comet_mcp.journal.migrations import MIGRATIONS
from comet_mcp.threads import LateError, Threads

_T = TypeVar("_T")

_LOCK_WAIT = 3.0
_ANSWER_WITHIN = 8.0
"""Seconds after which a file that does not answer is given up: it is not locked, but its disk or network hangs."""
_MARKS = ("reveal", "audit")
"""Tables by which a journal of any version is known."""
_OURS = f"SELECT count(*), total(type = 'table' AND name IN {_MARKS}) FROM sqlite_master"  # noqa: S608 - constants

_making = threading.Lock()


class SQLiteJournal:
    """Opened at the first use. A file that is deleted or replaced meanwhile is not taken for the one it was."""

    def __init__(self, path: Path, clock: Clock = SYSTEM) -> None:
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._synchronous = ""
        """What the connection was told last; "" where it was told nothing yet."""
        self._riders: list[Callable[[], Step[Any] | None]] = []
        self._one_at_a_time = anyio.Lock(fast_acquire=True)
        self._threads = Threads(1)  # while one hangs it has the connection: nobody else uses it then
        self._looks = 0
        """How often it was looked whether there is a file."""
        self._absent = 0
        """The last look that found none."""
        self._waiting: list[_Use] = []
        self._locked: tuple[float, JournalError] | None = None

    async def exists(self) -> bool:
        """Whether there is a journal already: one that never was has nothing to reconcile. Raises JournalError."""
        begun = self._looks
        if self._file is not None:
            return True
        async with self._one_at_a_time:
            if self._absent > begun:  # one look answers all who asked before it began
                return False
            self._looks = look = self._looks + 1
            try:
                is_there = await self._threads.run(self.path.exists, _ANSWER_WITHIN)
            except LateError as late:
                raise explained_fault(self.path, late) from None
            if not is_there:
                self._absent = look
            return is_there

    def add_rider(self, rider: Callable[[], Step[Any] | None]) -> None:
        """Ask for a step with each one that is carried out, and carry it out in the same transaction."""
        self._riders.append(rider)

    def compact(self) -> None:
        """Give the space of dropped rows back to the disk. Raises JournalError."""
        try:
            if self._db is None:
                self._db = _open(self.path)
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:
            raise explained_fault(self.path, error) from None

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._db is not None:
            self._db.close()
            self._db = None

    async def aclose(self) -> None:
        """The same while an event loop runs. A file that does not answer stays open until the process ends."""
        if self._db is not None:
            with contextlib.suppress(LateError):
                await self._threads.run(self.close, _ANSWER_WITHIN)

    async def run(self, step: Step[_T], *also: Step[Any]) -> _T:
        """Carry out a step, and others in the same transaction, on a thread: SQLite waits for locks and for the disk.

        Steps that are asked for while a transaction is under way share the next one. Who waited while the file was
        found locked is told so at once, instead of waiting as long again.
        """
        use = _Use([step, *also], self._clock.monotonic())
        self._waiting.append(use)
        try:
            async with self._one_at_a_time:
                if not use.is_done:
                    await self._run_waiting()
        finally:
            if use in self._waiting:
                self._waiting.remove(use)  # given up before it was begun
        error = use.abandoned or use.error  # what is given up may still be carried out, and told of to nobody
        if error is not None:
            raise error
        return cast("_T", use.results[0])

    async def _run_waiting(self) -> None:
        """Carry out all that is asked for at this moment, in one transaction, and tell those who want to know."""
        uses, self._waiting = self._waiting, []
        late = [use for use in uses if self._locked is not None and self._locked[0] > use.asked]
        for use in late:
            use.error, use.is_done = self._locked[1] if self._locked else None, True
        uses = [use for use in uses if not use.is_done]
        if not uses:
            return
        riders = [_Use([rider], 0.0) for ask in self._riders if (rider := ask()) is not None]
        try:
            await self._threads.run(lambda: self._until_free([*uses, *riders]), _ANSWER_WITHIN)
        except LateError as late:
            explained = explained_fault(self.path, late)
            for use in uses:
                use.abandoned, use.is_done = explained, True
            return
        except BaseException:  # cancelled before it was begun: those who wait behind do it
            self._waiting = [*(use for use in uses if not use.is_done), *self._waiting]
            raise
        for use in (*uses, *riders):
            for step, result in zip(use.steps, use.results, strict=False):
                if step.after is not None:
                    step.after(result)

    def _until_free(self, uses: list[_Use]) -> None:
        end = self._clock.monotonic() + _LOCK_WAIT
        while True:
            try:
                self._once(uses)
            except (sqlite3.Error, OSError) as error:
                self.close()
                if is_locked(error) and self._clock.monotonic() < end:
                    self._clock.block(0.01)  # SQLite does not wait itself while another process makes the file
                    continue
                explained = explained_fault(self.path, error)
                if is_locked(error):
                    self._locked = (self._clock.monotonic(), explained)
                for use in uses:
                    use.results, use.error = [], explained
            for use in uses:
                use.is_done = True
            return

    def _once(self, uses: list[_Use]) -> None:
        if self._file is not None and _identity(self.path) != self._file:
            raise ReplacedError
        if self._db is None:
            self._db = _open(self.path)
            self._file = _identity(self.path)
            self._synchronous = ""
        db = self._db
        # a commit is on disk when it returns: the POST must not be better remembered by the API than by us
        durable = any(step.durable for use in uses for step in use.steps)
        if self._synchronous != (synchronous := "FULL" if durable else "NORMAL"):
            db.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        db.execute("BEGIN IMMEDIATE")
        try:
            for use in uses:
                _carry_out(db, use)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@dataclass(slots=True, eq=False)
class _Use:
    """Steps that belong together, and what came of them."""

    steps: list[Step[Any]]
    asked: float
    results: list[Any] = field(default_factory=list)
    error: Exception | None = None
    abandoned: JournalError | None = None
    is_done: bool = False


def _carry_out(db: sqlite3.Connection, use: _Use) -> None:
    """Carry out the steps of one use, or none of them: what one decides against is no other's fault."""
    use.results, use.error = [], None
    db.execute("SAVEPOINT one_use")
    try:
        for step in use.steps:
            decision = step.decide(tables.read(db, step.reads))
            tables.write(db, step.reads.account, decision.writes)
            use.results.append(decision.result)
    except (sqlite3.Error, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - raised for its caller alone, once the transaction has ended
        db.execute("ROLLBACK TO one_use")
        use.results, use.error = [], error
    db.execute("RELEASE one_use")


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells the file from another one of its name; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(path)
    db = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
    try:
        require_ours(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise TooNewError  # noqa: TRY301 - closes the file on its way out
        for migration in MIGRATIONS[version:]:
            migration(db)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _make(path: Path) -> None:
    """Make the file its owner's alone, unless there is one. Raises PermissionError, NotOursError.

    One that is there is opened by SQLite alone: closing a file ends, by POSIX, all locks of the process on it. The
    next program to close the journal would then take itself for the last one, and remove the log that this one writes.
    """
    with _making:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        elif not os.access(path, os.R_OK | os.W_OK):  # SQLite would leave files beside it that nobody may write either
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        elif path.stat().st_size == 1:  # SQLite would take it for an empty one
            raise NotOursError


def require_ours(db: sqlite3.Connection) -> None:
    """Raise NotOursError for a file that is no database, or has something in it that is not ours."""
    try:
        there, ours = db.execute(_OURS).fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise NotOursError from None
        raise
    if there and ours != len(_MARKS):
        raise NotOursError
