"""What can be wrong with the journal's file, and the sentence for each fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from comet_mcp.errors import JournalError
from comet_mcp.text import printable, quoted
from comet_mcp.threads import LateError

_KNOWS_NOTHING = "which knows nothing of creates that were still unclear"


class ReplacedError(sqlite3.DatabaseError):
    """The file is not there any more, or another one is in its place."""


class TooNewError(sqlite3.DatabaseError):
    """The file was written by a later version of this program."""


class NotOursError(sqlite3.DatabaseError):
    """The file is another program's, and stays as it is."""


def is_locked(error: Exception) -> bool:
    """Whether another program holds the file: that passes."""
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _lacks_locks(error: Exception) -> bool:
    """Whether a lock or the shared memory beside the file failed, by SQLite's own name of the error."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(("SQLITE_IOERR_SHM", "SQLITE_PROTOCOL", "SQLITE_NOLFS")) or name in _LOCK_FAULTS


_LOCK_FAULTS = tuple(
    f"SQLITE_IOERR_{name}" for name in ("LOCK", "RDLOCK", "UNLOCK", "CHECKRESERVEDLOCK", "MMAP", "BLOCKED")
)
_LOCAL = "Set COMETAPI_MCP_STATE to a file on a disk of this machine"
_ANOTHER = (
    "Set COMETAPI_MCP_STATE to another file. Only if this one was the journal and was damaged, move it away: a new one "
    f"is made, {_KNOWS_NOTHING}"
)
_FAULTS: tuple[tuple[Callable[[Exception, str], bool], str, str], ...] = (
    (
        lambda error, _: isinstance(error, ReplacedError),
        "The journal {where}, with the audit trail and what the limits count, was deleted or replaced meanwhile",
        "Put the file back, or restart the client to begin a new one",
    ),
    (
        lambda error, _: isinstance(error, TooNewError),
        "The journal {where} was written by a newer cometapi-mcp",
        "Upgrade this one, or set COMETAPI_MCP_STATE to another file",
    ),
    (
        lambda error, said: isinstance(error, NotOursError) or "no such table" in said,
        "{where} is no journal of cometapi-mcp",
        _ANOTHER,
    ),
    (
        lambda error, _: isinstance(error, LateError),
        "The journal {where} does not answer ({said})",
        "Its disk or network hangs: try again when it answers, or set COMETAPI_MCP_STATE to a file on another disk",
    ),
    (
        lambda error, _: _lacks_locks(error),
        "The journal {where} is on a file system that can't do what SQLite needs, locks and shared memory ({said})",
        f"{_LOCAL}; network file systems often can't",
    ),
    (
        lambda error, _: is_locked(error),
        "The journal {where} is locked by another program, or its file system has no locks ({said})",
        f"Try again in a minute. If that does not help, close the program that holds the file. {_LOCAL} if none does",
    ),
    (
        lambda _, said: any(word in said for word in ("full", "no space", "i/o", "too large")),
        "The journal {where} can't be written: the disk is full or failing ({said})",
        "Free some space, or set COMETAPI_MCP_STATE to a file on another disk",
    ),
    (
        lambda _, said: any(word in said for word in ("not a database", "malformed", "corrupt")),
        "The journal {where} is damaged ({said})",
        f"Move the file away; a new one is made, {_KNOWS_NOTHING}",
    ),
    (
        lambda *_: True,
        "The journal {where} can't be opened for writing ({said})",
        "Set COMETAPI_MCP_STATE to a file that can be written, or make this one writable if it is the journal",
    ),
)
"""How each fault is recognised, what it is, and what to do. The first that fits holds."""


def _named(error: Exception) -> str:
    """What SQLite or the system says, with SQLite's name of it, which tells more than the words."""
    said = str(error).lower() or type(error).__name__
    name = getattr(error, "sqlite_errorname", None)
    return f"{said}, {name}" if name else said


def described_fault(path: Path, error: Exception) -> tuple[str, str]:
    """What is wrong with the journal, and what to do, each without its full stop."""
    said = str(error).lower()
    reason, advice = next((reason, advice) for fits, reason, advice in _FAULTS if fits(error, said))
    return reason.format(where=quoted(str(path), 200), said=printable(_named(error))), advice


def explained_fault(path: Path, error: Exception) -> JournalError:
    """What is wrong with the journal, and what to do, for who wanted to make a key."""
    reason, advice = described_fault(path, error)
    why = "Without a journal no key is created, for a lost answer could not be recovered"
    code = "journal_replaced" if isinstance(error, ReplacedError) else None
    return JournalError(f"{reason}. {why}. {advice}.", code=code)
