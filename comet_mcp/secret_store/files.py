"""A dotenv file per key, `<name>-<id>.env` with `COMETAPI_KEY=sk-...`, or a line in a file that the caller names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import SecretStr

from comet_mcp.domain.key import with_prefix
from comet_mcp.errors import StoreError, UnwrittenError
from comet_mcp.journal.rows import Place
from comet_mcp.secret_store.base import DEFAULT, KEY_VARIABLE, NOWHERE, Forgotten, Saved, Target, run_line
from comet_mcp.secret_store.directory import Directory, read_plain
from comet_mcp.secret_store.dotenv import quoted_value, value_of, with_value, without_value
from comet_mcp.secret_store.names import checked_file, checked_variable, file_name
from comet_mcp.secret_store.shells import shell_lines
from comet_mcp.text import printable, quoted

_MOST_NAMESAKES = 100
_MARK = r"# CometAPI key ([0-9]+), "


class FileStore:
    """The files of one host's keys, in `directory`. `variables` may be chosen for a value beside the usual ones."""

    needs_value = True
    keeps = True
    later = "finds the key and stores its value"
    hangs = (
        "It may be on a network or a disk that does not answer: try again when it does, or set COMETAPI_MCP_KEY_DIR to "
        "a directory of this machine."
    )

    def __init__(self, directory: Path, variables: Collection[str] = ()) -> None:
        self.directory = directory
        self._variables = variables
        self.title = f"The key directory {quoted(str(directory), 200)}"

    def note(self, saved: Saved) -> str:  # noqa: ARG002 - the interface
        """Its place says it all."""
        return ""

    def check(self, target: Target = DEFAULT) -> None:
        """Write and remove a file. Raises StoreError with what is wrong, ArgumentError for the target's names."""
        checked_variable(target.variable, self._variables)
        if target.file:
            checked_file(target.file)
        with self._opened() as folder:
            folder.remove_leftovers()
            folder.remove(folder.write_temporary(b"# checking that keys can be stored here\n"))

    def save(self, key_id: int, name: str, key: SecretStr, target: Target) -> Saved:
        """Write the value, durably.

        Raises:
            ArgumentError: The target's file or variable name is none.
            UnwrittenError: The file named holds another value or is none to edit; no dotenv file can hold the key's.
            StoreError: It can't be written.
        """
        variable = checked_variable(target.variable, self._variables)
        file = checked_file(target.file) if target.file else None
        value = with_prefix(key).get_secret_value()
        with self._opened() as folder:
            if file is not None:
                with folder.locked():  # two saves into one file must not lose each other's line
                    path = self._edit(folder, file, variable, value)
            else:
                content = f"# CometAPI key {key_id}, {printable(name, 60)}\n{variable}={quoted_value(value)}\n"
                path = self._add(folder, f"{file_name(name)}-{key_id}", content.encode())
        load = run_line(key_id) if variable == KEY_VARIABLE else None  # it sets that one
        return Saved("file", str(path), variable, load, shell_lines(path, variable, value))

    def place(self, target: Target) -> Place | None:
        """The file that the caller chose."""
        return Place(str(self.directory / target.file), target.variable) if target.file else None

    def find(self, key_id: int) -> SecretStr | None:
        """The value in a file of this key's; None where there is none, or where it can't be read."""
        values = self._own(key_id).values()
        return SecretStr(next(iter(values))) if values else None

    def forget(self, key_id: int) -> Forgotten:
        """Remove the files of a key's own, or its line where somebody has put others beside it.

        Files of the caller's own choice are left as they are, and named.
        """
        own = self._own(key_id)
        if not own:
            return NOWHERE
        with self._opened() as folder, folder.locked():
            for name, value in own.items():
                rest = without_value((folder.read(name) or b"").decode(), value)
                if rest is None:
                    folder.remove(name)
                else:
                    folder.replace(name, rest.encode())
            values = [value.encode() for value in own.values()]
            left = [name for name in sorted(folder.names()) if self._holds(folder, name, values)]
        removed, left = ([str(self.directory / name) for name in names] for names in (own, left))
        return Forgotten(removed, left)

    def _holds(self, folder: Directory, name: str, values: list[bytes]) -> bool:
        with contextlib.suppress(OSError):  # a link or a directory: not ours to look into
            content = folder.read(name) or b""
            return any(value in content for value in values)
        return False

    def _own(self, key_id: int) -> dict[str, str]:
        """Name and value of each file of a key's own, by the comment that `save` wrote into it."""
        if not self.directory.is_dir():
            return {}
        mark = f"# CometAPI key {key_id}, ".encode()
        found = {}
        with contextlib.suppress(StoreError), self._opened() as folder:
            for name in sorted(folder.names()):
                if not re.search(rf"-{key_id}(-[0-9]+)?\.env$", name):
                    continue
                with contextlib.suppress(OSError):  # a link, or no file: not one of ours
                    content = folder.read(name) or b""
                    text = content.decode("utf-8", "replace")
                    variable = re.search(r"^([A-Za-z_][A-Za-z0-9_]*)=", text, re.MULTILINE)
                    if content.startswith(mark) and variable:
                        found[name] = value_of(text, variable[1]) or ""
        return {name: value for name, value in found.items() if value}

    def _add(self, folder: Directory, stem: str, content: bytes) -> Path:
        """A file of the key's own, under a name that no other key's file has."""
        for number in range(1, _MOST_NAMESAKES):
            name = f"{stem}.env" if number == 1 else f"{stem}-{number}.env"
            try:
                folder.add(name, content)
            except FileExistsError:
                if not self._is(folder, name, content):
                    continue
            return self.directory / name
        raise StoreError(f"{quoted(str(self.directory), 200)} has {_MOST_NAMESAKES} files named {stem}. Clear it up.")

    def _is(self, folder: Directory, name: str, content: bytes) -> bool:
        try:
            return folder.read(name) == content
        except OSError:
            return False  # a link or a directory: not ours

    def _edit(self, folder: Directory, name: str, variable: str, value: str) -> Path:
        """A line in the file named; its other lines stay."""
        path = self.directory / name
        try:
            content = folder.read(name) or b""
        except OSError as error:
            raise UnwrittenError(
                f"{quoted(str(path), 200)} can't be edited ({_reason(error)}), and was left as it is. "
                "Name another file."
            ) from None
        text = content.decode("utf-8", "replace")
        if (owner := re.match(_MARK, text)) and value not in text:
            raise UnwrittenError(
                f"{quoted(str(path), 200)} is the own file of key {owner[1]} and goes with it. Name another file.",
                code="variable_taken",
            )
        if "\0" in text or text.encode() != content:
            raise UnwrittenError(f"{quoted(str(path), 200)} is no text file, and was left as it is. Name another file.")
        present = value_of(text, variable)
        if present and present != value:
            raise UnwrittenError(
                f"{quoted(str(path), 200)} already has another value for {variable}, and was left as it is. "
                "Name another file or variable, or remove that line first.",
                code="variable_taken",
            )
        if present != value:
            folder.replace(name, with_value(text, variable, value).encode())
        return path

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Directory]:
        try:
            with Directory.opened(self.directory) as folder:
                yield folder
        except OSError as error:
            raise StoreError(
                f"The key directory {quoted(str(self.directory), 200)} can't be written "
                f"({_reason(error)}). Ask the person who runs this server to fix "
                "that, or to set COMETAPI_MCP_KEY_DIR to a directory of theirs."
            ) from None


def _reason(error: OSError) -> str:
    return printable(error.strerror or type(error).__name__)


def value_at(path: str, variable: str) -> str | None:
    """What a variable is in a file somewhere, None where it isn't there. Raises OSError where that can't be seen."""
    content = read_plain(path)
    return None if content is None else value_of(content.decode("utf-8", "replace"), variable)
