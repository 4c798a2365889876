"""A private directory, in which files appear whole or not at all and no link is followed.

On POSIX the directory is held open and every file is named relative to it, so that a link put in its place later is
not followed either. Windows has no such way; there the user's profile is protected by its own access list.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from comet_mcp.clock import SYSTEM

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for a named pipe in a file's place
_ONLY_PASS = getattr(os, "O_PATH", os.O_RDONLY)  # a folder above may be one that nobody else may list
_BINARY = getattr(os, "O_BINARY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd
_MOST_BYTES = 64 * 1024
"""Of a file that is read and edited here; python-dotenv takes 500 bytes a line."""
_LEFTOVER_AFTER = 60.0
_LOCK = ".lock"
_LOCK_WAIT = 6.0
"""Seconds. An edit of the largest file takes about two; a call, which tries twice, has 15."""


class Directory:
    """An open directory. Every method raises OSError."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Directory]:
        """The directory at `path`, mode 0700, made where missing. Its parent may be a link, it may not."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(0, "it is a link or a file, where a directory has to be")
        if not _HAS_DIR_FD:
            yield cls(path, None)
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o700)
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    @classmethod
    @contextlib.contextmanager
    def there(cls, path: Path) -> Iterator[Directory]:
        """The directory at `path` as it is, which has to be there. No part of its path may be a link, on POSIX."""
        if not _HAS_DIR_FD:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise NotADirectoryError(0, "its folder is a link or a file")
            yield cls(path, None)
            return
        above = os.O_DIRECTORY | _NO_FOLLOW | _ONLY_PASS
        descriptor = os.open(path.anchor, above)
        try:
            for flags, part in [*((above, part) for part in path.parts[1:]), (os.O_RDONLY | os.O_DIRECTORY, ".")]:
                inner = os.open(part, flags, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """The names of the entries."""
        return os.listdir(self.path if self._descriptor is None else self._descriptor)  # noqa: PTH208 - no Path has one

    def read(self, name: str) -> bytes | None:
        """A file's content; None where nothing has that name.

        Raises:
            OSError: It is a link, no regular file, or larger than a dotenv file can be.
        """
        return read_plain(self._in(name), self._descriptor)

    def inspect(self, name: str) -> tuple[bytes, os.stat_result] | None:
        """The same with what the system says of the file: its owner, its mode."""
        return _inspected(self._in(name), self._descriptor)

    def write_temporary(self, content: bytes, mode: int = 0o600) -> str:
        """A new file, on disk, under a name of its own, which is returned."""
        name = f".{secrets.token_hex(8)}.tmp"
        self._write(name, content)
        if mode != 0o600:
            os.chmod(self._in(name), mode, dir_fd=self._descriptor)
        return name

    def add(self, name: str, content: bytes) -> None:
        """A new file, whole or not at all. Raises FileExistsError where anything has that name."""
        temporary = self.write_temporary(content)
        try:
            self._name_new(temporary, name, content)
        finally:
            self.remove(temporary)
        self._sync()

    def replace(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """The file of that name with new content, whole or not at all; a link of that name is replaced itself."""
        temporary = self.write_temporary(content, mode)
        try:
            os.replace(self._in(temporary), self._in(name), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            self.remove(temporary)
            raise
        self._sync()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all who edit a file here: the system's own lock, which ends with the process that holds it.

        Raises OSError where somebody else holds it too long, or something else has the place of the lock's file.
        """
        from filelock import lock_descriptor  # noqa: PLC0415 - only where a file is edited

        descriptor = self._open_lock()
        try:
            end = SYSTEM.monotonic() + _LOCK_WAIT
            while not lock_descriptor(descriptor, blocking=False):
                if SYSTEM.monotonic() > end:
                    raise OSError(0, "another program is editing a file in it and does not come to an end")
                SYSTEM.block(0.01)
            yield
        finally:
            os.close(descriptor)  # ends the lock

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed while it wrote has left."""
        for name in self.names():
            if re.fullmatch(r"\.[0-9a-f]{16}\.tmp", name):
                with contextlib.suppress(OSError):
                    status = os.stat(self._in(name), dir_fd=self._descriptor, follow_symlinks=False)
                    if status.st_mtime < SYSTEM.of_machine() - _LEFTOVER_AFTER:
                        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(name), dir_fd=self._descriptor)

    def _open_lock(self) -> int:
        """The file that is locked; it stays, for one that is removed could be locked twice."""
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(self._in(_LOCK), dir_fd=self._descriptor, follow_symlinks=False).st_mode
            if not stat.S_ISREG(mode):
                is_a = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no plain file"
                raise OSError(0, f"{_LOCK} in it is {is_a}, where a file has to be")
        flags = os.O_CREAT | os.O_RDWR | _NO_FOLLOW | _NO_WAIT | _BINARY
        return os.open(self._in(_LOCK), flags, 0o600, dir_fd=self._descriptor)

    def _in(self, name: str) -> str:
        return name if self._descriptor is not None else str(self.path / name)

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_FOLLOW | _BINARY
        descriptor = os.open(self._in(name), flags, 0o600, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            self.remove(name)
            raise

    def _name_new(self, temporary: str, name: str, content: bytes) -> None:
        if sys.platform == "win32":
            Path(self._in(temporary)).rename(self._in(name))  # refuses there to replace a file
            return
        folder = self._descriptor
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            self._write(name, content)  # a file system without hard links (exFAT, some network shares)

    def _sync(self) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)


def read_plain(path: str, folder: int | None = None) -> bytes | None:
    """A file's content, below an open folder or anywhere; None where there is none. Raises OSError as `read` does."""
    found = _inspected(path, folder)
    return None if found is None else found[0]


def _inspected(path: str, folder: int | None) -> tuple[bytes, os.stat_result] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | _BINARY, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise OSError(0, f"{Path(path).name} is no dotenv file")
        return file.read(), status
