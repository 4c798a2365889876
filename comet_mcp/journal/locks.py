"""Whether another process holds a lock of SQLite's on a file, found without SQLite, which would write beside it.

Such a lock is on a byte whose place SQLite's file format fixes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from comet_mcp.clock import SYSTEM

_SHARED = 0x40000002
"""In the database's file: a reader's. Who holds it alone lets nobody read."""
_WRITER = 120
"""In the file of shared memory: the one who writes to a journal in WAL mode."""
_PASSES_WITHIN = 1.5
"""Seconds. A server holds it for some milliseconds at a time."""


def is_held(path: Path) -> bool:
    """Whether others can't write to the database, for longer than a server takes. Raises OSError.

    Only for a process that has no journal open: closing the file here ends that one's locks (see `sqlite.py`).
    """
    shared_memory = path.with_name(f"{path.name}-shm")
    end = SYSTEM.monotonic() + _PASSES_WITHIN
    while _is_taken(path, _SHARED) or (shared_memory.exists() and _is_taken(shared_memory, _WRITER)):
        if SYSTEM.monotonic() > end:
            return True
        SYSTEM.block(0.05)
    return False


if sys.platform == "win32":

    def _is_taken(path: Path, place: int) -> bool:
        import msvcrt  # noqa: PLC0415 - Windows alone has it

        with path.open("rb") as file:
            file.seek(place)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBRLCK, 1)
            except OSError:
                return True
            file.seek(place)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            return False

else:

    def _is_taken(path: Path, place: int) -> bool:
        import fcntl  # noqa: PLC0415 - Windows has none

        with path.open("rb") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                return True
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
            return False
