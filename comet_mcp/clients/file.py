"""A client's file: found, read, changed in our entry alone, and written whole with a copy of what it was before."""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comet_mcp.clients import jsonc
from comet_mcp.clients.forms import form_of
from comet_mcp.clients.start import ENVIRONMENTS, KEPT, NAME, Start
from comet_mcp.clients.table import Client
from comet_mcp.errors import SettingsError

BACKUP = ".before-cometapi"
"""What the copy's name ends in."""
_MOST_BYTES = 16 * 1024 * 1024
_BOM = "\ufeff"
_VARIABLE = re.compile(r"\{([A-Z_]+)\|((?:[^{}]|\{[^{}]*\})*)\}")


@dataclass(frozen=True, slots=True)
class Edit:
    """What a client's file would become. `before` is None where there is none yet."""

    client: Client
    path: Path
    before: str | None
    after: str
    entry: dict[str, Any] | None
    """What it would hold of ours; None after an uninstall."""

    @property
    def is_change(self) -> bool:
        """Whether anything would be written."""
        return self.after != (self.before or "")

    def shown(self) -> str:
        """The entry as the file would have it, and nothing else of the file: other servers' secrets are there."""
        return block(self.client, self.entry) if self.entry is not None else ""


def block(client: Client, entry: dict[str, Any]) -> str:
    """An entry as a file of that client would have it alone; variables that `install` never writes have no value."""
    shown = dict(entry)
    for name in ENVIRONMENTS:
        if isinstance(found := shown.get(name), dict):
            shown[name] = {variable: value if variable in KEPT else "***" for variable, value in found.items()}
    return form_of(client).put("", client.key, NAME, shown)


def path_of(client: Client, environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where a client's file is, or would be."""
    found: list[Path] = []
    for template in client.paths(platform):
        path = Path(_expanded(template, environ)).expanduser()
        if "*" not in str(path):
            found.append(path)
        else:
            anchor = Path(path.anchor)
            found += sorted(anchor.glob(str(path.relative_to(anchor))))
            folder = path
            while "*" in str(folder.parent):
                folder = folder.parent
            found += [made / path.relative_to(folder) for made in sorted(anchor.glob(str(folder.relative_to(anchor))))]
    there = [path for path in found if path.exists()] or [path for path in found if path.parent.is_dir()]
    return (there or found)[0] if there else found[-1]


def is_there(client: Client, environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether the client seems to be installed: its file is there, or the folder that it keeps it in."""
    path = path_of(client, environ, platform)
    home = Path("~").expanduser()
    return path.exists() or (path.parent != home and path.parent.is_dir())


def installing(client: Client, start: Start, path: Path) -> Edit:
    """The change that puts our entry into a client's file; what a person added to the entry stays.

    Raises:
        SettingsError: The file can't be read or edited.
    """
    before = read_text(path)
    entry = start.entry(client)
    current = _entry_in(before or "", client, path)
    if current is not None:
        merged = {**current, **entry}
        for name in ENVIRONMENTS:
            if isinstance(current.get(name), dict):
                merged[name] = {**current[name], **entry.get(name, {})}
        if merged == current:
            return Edit(client, path, before, before or "", current)
        entry = merged
    after = edited(before or "", path, lambda text: form_of(client).put(text, client.key, NAME, entry))
    return Edit(client, path, before, after, entry)


def uninstalling(client: Client, path: Path) -> Edit:
    """The change that takes our entry out of a client's file. Raises SettingsError as `installing`."""
    before = read_text(path)
    after = edited(before or "", path, lambda text: form_of(client).take(text, client.key, NAME))
    return Edit(client, path, before, after, None)


def entry_in(client: Client, path: Path) -> dict[str, Any] | None:
    """Our entry in a client's file, None where there is none. Raises SettingsError where it can't be read."""
    return _entry_in(read_text(path) or "", client, path)


def refused_in(client: Client, path: Path) -> list[str]:
    """What a client's JSON file has that the client does not read. Raises SettingsError where it can't be read."""
    text = read_text(path) or ""
    bare = text.removeprefix(_BOM)
    if client.form != "json" or not bare.strip():
        return []
    try:
        found = jsonc.extras(bare) | ({jsonc.BOM} if text != bare else set())
    except ValueError as error:
        raise SettingsError(f"{path} can't be read: {error}.") from None
    return [what for what in client.refuses if what in found]


def write(edit: Edit) -> Path | None:
    """Write the file, and keep a copy of what was there: its path is returned. Raises SettingsError as `write_text`."""
    backup = None
    if edit.before is not None:
        backup = Path(os.path.realpath(edit.path))
        backup = backup.with_name(backup.name + BACKUP)
    write_text(edit.path, edit.before, edit.after, backup=backup)
    return backup


def write_text(path: Path, before: str | None, after: str, *, backup: Path | None = None, mode: int = 0) -> None:
    """Write a file whole, following a link to it.

    Args:
        path: The file.
        before: What it was when it was read, None for nothing.
        after: What it becomes.
        backup: Where a copy of what was there is kept, None for nowhere.
        mode: Its rights; 0 for those that it has, or for its owner's alone where it is new.

    Raises:
        SettingsError: The file can't be written, or somebody changed it meanwhile.
    """
    target = Path(os.path.realpath(path))
    try:
        if read_text(path) != before:
            raise SettingsError(f"{path} was changed meanwhile. Nothing was written; run the command again.")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = 0o600
        if before is not None:
            kept = stat.S_IMODE(target.stat().st_mode)
            if not os.access(target, os.W_OK):
                raise SettingsError(f"{target} is read-only. Nothing was written.")
            if backup is not None:
                _replace(backup, target.read_bytes(), kept)
        _replace(target, after.encode(), mode or kept)
    except OSError as error:
        raise SettingsError(f"{target} can't be written: {error.strerror or error}. Nothing was changed.") from None


def _replace(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _expanded(template: str, environ: Mapping[str, str]) -> str:
    while (found := _VARIABLE.search(template)) is not None:
        template = template[: found.start()] + (environ.get(found[1]) or found[2]) + template[found.end() :]
    return template


def read_text(path: Path) -> str | None:
    """The file's text, a byte order mark at its start kept as a character; None where there is none."""
    try:
        if path.is_dir():
            raise SettingsError(f"{path} is a folder, where a file has to be.")
        if path.exists() and not path.is_file():  # a pipe could be waited for without end, a device be replaced
            raise SettingsError(f"{path} is no ordinary file. Nothing was changed.")
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}.") from None
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{path} has {len(content)} bytes: hardly a client's configuration.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no UTF-8 text. Nothing was changed.") from None


def edited(text: str, path: Path, change: Callable[[str], str]) -> str:
    """The text after a change, its byte order mark kept."""
    try:
        return text[:1] + change(text[1:]) if text.startswith(_BOM) else change(text)
    except ValueError as error:
        raise SettingsError(f"{path} can't be edited: {error}. Nothing was changed.") from None


def _entry_in(text: str, client: Client, path: Path) -> dict[str, Any] | None:
    try:
        found = form_of(client).entry(text.removeprefix(_BOM), client.key, NAME)
    except ValueError as error:
        raise SettingsError(f"{path} can't be read: {error}.") from None
    return found if isinstance(found, dict) else None
