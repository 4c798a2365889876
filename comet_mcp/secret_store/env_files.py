"""The dotenv files of a person's own programs, anywhere on the machine: one line of one is set or cleared.

A link is followed only where it ends inside a folder that the operator listed, and is resolved before anything is
opened: what is opened then has no link in it. A file that others own, or that git would give away, is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from comet_mcp.errors import ArgumentError, StoreError
from comet_mcp.journal.rows import Place
from comet_mcp.secret_store.base import Outcome
from comet_mcp.secret_store.directory import Directory
from comet_mcp.secret_store.dotenv import cleared, value_of, with_value
from comet_mcp.secret_store.git import require_ignored
from comet_mcp.secret_store.names import checked_file, checked_variable
from comet_mcp.text import printable, quoted

_NAME = re.compile(r"\.env([.-][A-Za-z0-9_.-]+)?|[A-Za-z0-9_.-]+\.env")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Spot:
    """A variable of a dotenv file outside the key directory. The path has no link; `listed` by the operator or not."""

    path: Path
    variable: str
    listed: bool

    @property
    def place(self) -> Place:
        """As the journal notes it."""
        return Place(str(self.path), self.variable)


@dataclass(frozen=True, slots=True)
class Found:
    """What is there: the text of the file, None where there is none, and the variable's value, None for none."""

    text: str | None
    value: SecretStr | None
    mode: int = 0o600

    @property
    def is_shared(self) -> bool:
        """Whether other users of the machine can read the file."""
        return bool(self.mode & 0o077)


def is_outside(file: str) -> bool:
    """Whether a file is named by its full path, and not by a plain name for the key directory."""
    return file.startswith(("~/", "~\\")) or Path(file).is_absolute()


class EnvFiles:
    """Dotenv files in and below the folders of `listed`, those that a person names, and the named ones in `key_dir`."""

    def __init__(self, listed: Sequence[Path], variables: Collection[str], key_dir: Path) -> None:
        self._listed = listed
        self._variables = variables
        self._key_dir = key_dir

    def spot(self, file: str, variable: str) -> Spot:
        """What a caller means by a full path. Raises ArgumentError for the names, StoreError for a link."""
        checked_variable(variable, self._variables)
        try:
            path = Path(file).expanduser()
        except RuntimeError:
            raise ArgumentError(f"file {quoted(file)}: this user has no home directory. Give the full path.") from None
        if not file.isprintable() or len(file) > _LONGEST or ".." in path.parts or file.startswith(("//", "\\\\")):
            raise ArgumentError(f'file {quoted(file)} is no plain path. Give one such as "~/shop/.env", without "..".')
        if not _NAME.fullmatch(path.name) or ".git" in path.parts:
            raise ArgumentError(
                f'file {quoted(file)} is no dotenv file. Give one named ".env", ".env.NAME" or "NAME.env".'
            )
        checked_file(path.name)
        real = Path(os.path.realpath(path))
        if real.is_relative_to(os.path.realpath(self._key_dir)):
            raise ArgumentError(f"file {quoted(file)} is in the key directory. Give its name alone.")
        listed = any(real.is_relative_to(os.path.realpath(folder)) for folder in self._listed)
        if not listed and os.path.normcase(real) != os.path.normcase(path):
            raise _unusable(
                path,
                f"goes through a link to {quoted(str(real), 200)}. A link is followed only inside a folder of "
                "COMETAPI_MCP_ENV_DIRS: name that file itself",
            )
        return Spot(real, variable, listed)

    def look(self, spot: Spot) -> Found:
        """What is there now. Raises StoreError where the value could not, or must not, be put there."""
        with self._folder(spot.path) as folder:
            found = _read(folder, spot.path, spot.variable)
        self._require_private(spot.path)
        return found

    def put(self, place: Place, value: SecretStr, before: SecretStr | None) -> Outcome:
        """Set the variable where it is as it was `before`, and write the file whole or not at all. Raises StoreError.

        A variable without a value is None. What is put there already is kept.
        """
        path, plain = Path(place.path), value.get_secret_value()
        self._require_private(path)
        with self._alone(path), self._folder(path) as folder:
            folder.remove_leftovers()
            found = _read(folder, path, place.variable)
            if found.value == value:
                return "kept"
            if found.value != before:
                raise _unusable(path, f"got another value for {place.variable} meanwhile. Call again")
            content = with_value(found.text or "", place.variable, plain).encode()
            if found.text is None:
                folder.add(path.name, content)
                return "created"
            folder.replace(path.name, content, found.mode)
            return "changed"

    def value_at(self, place: Place) -> SecretStr | None:
        """The value that the variable has there, None for none. Raises StoreError where that can't be seen."""
        path = Path(place.path)
        if not path.parent.exists():
            return None
        with self._folder(path) as folder:
            return _read(folder, path, place.variable).value

    def clear(self, place: Place, value: SecretStr) -> None:
        """Leave no line in which the variable has this value. Raises StoreError."""
        path = Path(place.path)
        with self._alone(path), self._folder(path) as folder:
            found = _read(folder, path, place.variable)
            text = cleared(found.text or "", place.variable, value.get_secret_value())
            if found.text is not None and text != found.text:
                folder.replace(path.name, text.encode(), found.mode)

    def _is_ours(self, path: Path) -> bool:
        """Whether it is in the key directory, which is private whatever repository it may be in."""
        return path.is_relative_to(self._key_dir)

    def _require_private(self, path: Path) -> None:
        if not self._is_ours(path):
            require_ignored(path)

    @contextlib.contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Alone among the servers of this user; the lock's file is never in a person's own folder."""
        lock = path.parent if self._is_ours(path) else self._key_dir / ".edits"
        with _explained(lock), Directory.opened(lock) as folder, folder.locked():
            yield

    @contextlib.contextmanager
    def _folder(self, path: Path) -> Iterator[Directory]:
        opened = Directory.opened if self._is_ours(path) else Directory.there
        with _explained(path), opened(path.parent) as folder:
            yield folder


def _read(folder: Directory, path: Path, variable: str) -> Found:
    """A file that may be edited. Raises StoreError, OSError."""
    there = folder.inspect(path.name)
    if there is None:
        return Found(None, None)
    content, status = there
    if sys.platform != "win32" and status.st_uid != os.geteuid():
        raise _unusable(path, "belongs to another user")
    if not status.st_mode & stat.S_IWUSR:
        raise _unusable(path, "is write-protected")
    text = content.decode("utf-8", "replace")
    if "\0" in text or text.encode() != content:
        raise _unusable(path, "is no text file in UTF-8")
    value = value_of(text, variable)
    return Found(text, SecretStr(value) if value else None, stat.S_IMODE(status.st_mode))


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unusable(path, f"can't be used ({printable(error.strerror or type(error).__name__)})") from None


def _unusable(path: Path, why: str) -> StoreError:
    return StoreError(f"{quoted(str(path), 200)} {why}. It was left as it is.", code="file_unusable")
