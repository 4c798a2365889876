"""The journal looked at by somebody who writes nothing: no table, no upgrade, no file beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from comet_mcp.journal import operation_rows, tables
from comet_mcp.journal.base import Reads, Rows
from comet_mcp.journal.faults import TooNewError, described_fault
from comet_mcp.journal.locks import is_held
from comet_mcp.journal.migrations import MIGRATIONS
from comet_mcp.journal.operations import Operation
from comet_mcp.journal.sqlite import require_ours

_OPERATIONS_SINCE, _LEASES_SINCE = 2, 4
"""The versions of the file that have them; what the first had instead becomes one when a server opens it."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What is in a journal. `older` is how many versions of the file lie between its own and this program's."""

    trail: Rows
    in_doubt: tuple[Operation, ...]
    older: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a journal can't be used, and what to do, each without its full stop."""

    reason: str
    advice: str


def examine(path: Path) -> Examined | Unusable:
    """Read a journal that is there, and go through its pages; or say what is wrong with it."""
    try:
        if is_held(path):
            return Unusable(*described_fault(path, sqlite3.OperationalError("database is locked")))
        for _ in range(_TRIES):
            before = _stamp(path)
            try:
                found = _read(path)
            except sqlite3.DatabaseError:
                if _stamp(path) == before:
                    raise
            else:
                if _stamp(path) == before:
                    return found
        return _read(path)
    except (sqlite3.Error, OSError) as error:
        return Unusable(*described_fault(path, error))


_TRIES = 3
"""A server may write meanwhile: without its locks a page can be of before and another of after."""


def _stamp(path: Path) -> tuple[int, int, bool]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, _has_log(path)


def _has_log(path: Path) -> bool:
    """Whether there is something in the log of a journal that is open, or was not closed."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _read(path: Path) -> Examined:
    # a closed journal is read as a file that nobody changes: else SQLite makes the log and the shared memory anew
    how = "mode=ro&readonly_shm=1" if _has_log(path) else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)) as db:
        require_ours(db)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise TooNewError
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
        db.execute("BEGIN")
        return Examined(
            tables.read(db, Reads(audit="all")) if version else Rows(),
            _in_doubt(db, version),
            len(MIGRATIONS) - version,
        )


def _in_doubt(db: sqlite3.Connection, version: int) -> tuple[Operation, ...]:
    if version < _OPERATIONS_SINCE:
        return ()
    return tuple(operation_rows.in_doubt(db, has_leases=version >= _LEASES_SINCE))
