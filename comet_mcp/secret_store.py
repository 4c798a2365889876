"""Where a new key's value goes, and the mask that stands for it everywhere else.

A store is checked before a key is created, so that a full disk or a wrong permission is found while it still costs
nothing. The file store writes one 0600 dotenv file per key in a 0700 directory per host, whole or not at all, never
through a symlink below the key directory and never over another key's file.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import stat
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from comet_mcp.errors import StoreError
from comet_mcp.settings import Settings
from comet_mcp.text import printable, quoted

KEY_VARIABLE = "COMETAPI_KEY"
"""The variable that holds a model key, by the official cli's convention."""

_RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd
_MOST_NAMESAKES = 100


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a key's value. `value` is there only for the store that hands it to the model."""

    stored_in: str
    path: str | None = None
    load: str | None = None
    value: SecretStr | None = None


class KeyStore(Protocol):
    """Takes the value of a key. Both methods may block, and raise StoreError."""

    needs_value: bool

    def check(self) -> None:
        """Find out whether `save` can work, before there is a key to save."""

    def save(self, key_id: int, name: str, key: SecretStr) -> Saved:
        """Put the value where the person's programs find it; saving the same key twice is one file."""


def key_store(settings: Settings) -> KeyStore:
    """The store that the settings ask for."""
    if settings.secrets == "file":
        return FileStore(settings.key_dir / host_directory(settings.base_url))
    return ResultStore() if settings.secrets == "result" else NoStore()


def with_prefix(key: SecretStr) -> SecretStr:
    """The key as programs use it: the API leaves out the `sk-` in front."""
    value = key.get_secret_value()
    return SecretStr(value if value.startswith("sk-") else f"sk-{value}")


def mask(key: SecretStr) -> str:
    """`sk-gLEC***DQNw`: enough to tell two keys apart, by the API's own habit. Also of a key that came masked."""
    value = key.get_secret_value().removeprefix("sk-")
    return f"sk-{value[:4]}***{value[-4:]}" if len(value) >= 16 else "sk-***"


class ResultStore:
    """Hands the value to the model in the tool's result: only where the operator turned it on."""

    needs_value = True

    def check(self) -> None:
        """Nothing can be wrong."""

    def save(self, key_id: int, name: str, key: SecretStr) -> Saved:  # noqa: ARG002 - the interface
        """Return the value itself."""
        return Saved("result", value=with_prefix(key))


class NoStore:
    """Keeps nothing: the person takes the value from the API's own console."""

    needs_value = False

    def check(self) -> None:
        """Nothing can be wrong."""

    def save(self, key_id: int, name: str, key: SecretStr) -> Saved:  # noqa: ARG002 - the interface
        """Say that nothing was kept."""
        return Saved("none")


class FileStore:
    """One dotenv file per key in `directory`: `<name>-<id>.env` with `COMETAPI_KEY=sk-...`."""

    needs_value = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def check(self) -> None:
        """Write and remove a file. Raises StoreError with what is wrong."""
        with self._failures_told(), self._opened() as folder:
            self._remove(folder, self._write_new_file(folder, b"# checking that keys can be stored here\n"))

    def save(self, key_id: int, name: str, key: SecretStr) -> Saved:
        """Write the file, durably, under a name no other key has. Raises StoreError."""
        line = f"{KEY_VARIABLE}={_dotenv_value(with_prefix(key).get_secret_value())}\n"
        content = f"# CometAPI key {key_id}, {_ascii(name)}\n{line}".encode()
        with self._failures_told(), self._opened() as folder:
            temporary = self._write_new_file(folder, content)
            try:
                path = self._publish(folder, temporary, f"{file_name(name)}-{key_id}", content)
            finally:
                self._remove(folder, temporary)
            if folder is not None:
                os.fsync(folder)
        return Saved("file", path=str(path), load=load_line(path))

    def _publish(self, folder: int | None, temporary: str, stem: str, content: bytes) -> Path:
        """Give the written file its name, unless another key's file has it."""
        for number in range(1, _MOST_NAMESAKES):
            target = f"{stem}.env" if number == 1 else f"{stem}-{number}.env"
            try:
                self._link(folder, temporary, target, content)
            except FileExistsError:
                if self._read(folder, target) != content:
                    continue
            return self.directory / target
        raise StoreError(
            f"{quoted(str(self.directory))} already has {_MOST_NAMESAKES} files named {stem}. Clear it up."
        )

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"The key directory {quoted(str(self.directory), 200)} can't be written "
                f"({printable(error.strerror or type(error).__name__)}). Ask the person who runs this server to mend "
                "that, or to set COMETAPI_MCP_KEY_DIR to a directory of theirs."
            ) from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """The directory, made where missing and pinned, so that no link put in its place later is followed.

        None where the system (Windows) has no way to pin it.
        """
        self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.directory.mkdir(mode=0o700)
        if not stat.S_ISDIR(self.directory.lstat().st_mode):
            raise NotADirectoryError(0, "it is a link or a file, where a directory has to be")
        if not _HAS_DIR_FD:
            yield None
            return
        folder = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
        try:
            if os.fstat(folder).st_mode & 0o077:
                os.fchmod(folder, 0o700)
            yield folder
        finally:
            os.close(folder)

    def _in(self, folder: int | None, name: str) -> str:
        return name if folder is not None else str(self.directory / name)

    def _write_new_file(self, folder: int | None, content: bytes, name: str = "") -> str:
        name = name or f".{secrets.token_hex(8)}.tmp"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_FOLLOW | _BINARY
        descriptor = os.open(self._in(folder, name), flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            self._remove(folder, name)
            raise
        return name

    def _link(self, folder: int | None, temporary: str, target: str, content: bytes) -> None:
        """Name the file `target`, atomically, and only if nothing has that name."""
        if sys.platform == "win32":
            Path(self._in(folder, temporary)).rename(self._in(folder, target))  # refuses there to replace a file
            return
        try:
            os.link(temporary, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            # a file system without hard links (exFAT, some network shares)
            self._write_new_file(folder, content, target)

    def _read(self, folder: int | None, name: str) -> bytes:
        """The file's content; what is not a regular file counts as another key's."""
        try:
            descriptor = os.open(self._in(folder, name), os.O_RDONLY | _NO_FOLLOW | _BINARY, dir_fd=folder)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            return file.read(4096) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""

    def _remove(self, folder: int | None, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(folder, name), dir_fd=folder)


def load_line(path: Path) -> str:
    """The line that puts the key into a shell's environment: sh, or PowerShell on Windows."""
    if sys.platform == "win32":
        literal = str(path).replace("'", "''")
        return (
            f"Get-Content -LiteralPath '{literal}' | Where-Object {{ $_ -like '{KEY_VARIABLE}=*' }} | "
            f"ForEach-Object {{ $env:{KEY_VARIABLE} = $_.Substring({len(KEY_VARIABLE) + 1}) }}"
        )
    return f"set -a; . {shlex.quote(str(path))}; set +a"


def file_name(name: str) -> str:
    """A key's name as the stem of a file on any system: lower-case ASCII letters, digits and dashes, at most 40."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "key"


def host_directory(base_url: str) -> str:
    """The API's host (and port) as a directory name, so that keys of two gateways never mix."""
    plain = re.sub(r"[^a-z0-9.-]+", "_", urlsplit(base_url).netloc.lower()).strip(".")
    return f"{plain}_" if _RESERVED_ON_WINDOWS.fullmatch(plain) else plain


def _dotenv_value(value: str) -> str:
    """The value as sh and every dotenv reader take it; quoted where it holds more than the usual characters."""
    if re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return value
    if re.fullmatch(r"[\x21-\x7e]+", value) and "'" not in value and "\\" not in value:
        return f"'{value}'"
    raise StoreError("The API gave a key with characters that a dotenv file can't hold safely; it was not written.")


def _ascii(name: str) -> str:
    return printable(name, 60).encode("ascii", "backslashreplace").decode()
