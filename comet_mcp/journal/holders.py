"""Which holders of leases are alive: each has a lock of the system's own, which ends with its process.

The locks are files beside the journal, one a lease. A lock that nobody has is that of a holder that is dead, also after
the machine or its container was started again. Where the file is missing (the journal alone was moved to another
machine) nothing is known of the holder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from comet_mcp.clock import SYSTEM
from comet_mcp.errors import JournalError
from comet_mcp.text import quoted

_SUFFIX = ".lock"
_LEFTOVER_AFTER = 60.0
"""Seconds after which a file that nobody has locked, and of which the journal knows nothing, is no new holder's."""
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class HolderAliveError(Exception):
    """Another process has the lock."""


class HolderUnknownError(Exception):
    """There is no lock of that lease here."""


@dataclass(slots=True)
class Held:
    """A lock that this process has."""

    _path: Path
    _descriptor: int

    def let_go(self, *, is_over: bool) -> None:
        """Give the lock up; the file goes once the lease `is_over`."""
        os.close(self._descriptor)
        if is_over:
            with contextlib.suppress(OSError):  # one that stays is removed by the next who looks
                self._path.unlink()


class Holders:
    """The holders of leases that a journal has."""

    def __init__(self, journal: Path) -> None:
        self._folder = journal.with_name(f"{journal.name}-leases")

    def hold(self, lease: str) -> Held:
        """The lock of a new lease. Raises JournalError."""
        path = self._path(lease)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._locked(path, os.open(path, _FLAGS | os.O_CREAT, 0o600))
        except (OSError, HolderAliveError) as error:
            said = getattr(error, "strerror", None) or "another process has it"
            raise JournalError(
                f"A lock in {quoted(str(self._folder), 200)} can't be had ({said}), so nobody could tell a lease whose "
                "holder is dead. Nothing was made. Set COMETAPI_MCP_STATE to a file on a disk of this machine."
            ) from None

    def take_over(self, lease: str) -> Held:
        """The lock of a lease whose holder is dead.

        Raises:
            HolderAliveError: It is not dead, or somebody else has taken it over.
            HolderUnknownError: Nothing is known of it here.
        """
        path = self._path(lease)
        try:
            return self._locked(path, os.open(path, _FLAGS))
        except OSError:
            raise HolderUnknownError from None

    def any(self) -> bool:
        """Whether there may be a lease at all. It costs no use of the journal."""
        return bool(self._leases())

    def forget_others(self, known: Iterable[str]) -> None:
        """Remove the files of leases that have ended, which their holders did not come to remove."""
        for lease in set(self._leases()) - set(known):
            with contextlib.suppress(OSError, HolderAliveError, HolderUnknownError):
                if self._path(lease).stat().st_mtime < SYSTEM.of_machine() - _LEFTOVER_AFTER:
                    self.take_over(lease).let_go(is_over=True)

    def _leases(self) -> list[str]:
        try:
            return [path.stem for path in self._folder.iterdir() if path.suffix == _SUFFIX]
        except OSError:
            return []

    def _path(self, lease: str) -> Path:
        return self._folder / f"{lease}{_SUFFIX}"

    @staticmethod
    def _locked(path: Path, descriptor: int) -> Held:
        """The lock of an open file. Raises HolderAliveError, OSError where the file system has none."""
        from filelock import lock_descriptor  # noqa: PLC0415 - only where there is a lease

        is_locked = False
        try:
            is_locked = lock_descriptor(descriptor, blocking=False)
        finally:
            if not is_locked:
                os.close(descriptor)
        if not is_locked:
            raise HolderAliveError
        return Held(path, descriptor)
