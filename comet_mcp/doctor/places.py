"""Where things are kept: the key directory, the journal's file, its disk, the keychain, places elsewhere."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from comet_mcp.doctor.configuration import foreign_owner
from comet_mcp.doctor.findings import Finding
from comet_mcp.domain.elsewhere import Elsewhere, is_of_github
from comet_mcp.errors import ArgumentError, StoreError, UnwrittenError
from comet_mcp.secret_store import key_store
from comet_mcp.secret_store.command import parsed
from comet_mcp.secret_store.github import EXTRA, usable_token
from comet_mcp.settings import Settings
from comet_mcp.text import quoted
from comet_mcp.threads import LateError, run_blocking

_LITTLE, _TOO_LITTLE = 100 * 2**20, 2**20
"""Free bytes of a disk: below the first it is worth telling, below the second nothing can be relied on."""
_NO_KEY = 0
"""No key has this id: asking for its value asks the keychain, and finds nothing."""
_KEYCHAIN_WITHIN = 5.0


def check_key_directory(settings: Settings) -> Iterator[Finding]:
    """Whether key files can be written, and only their owner can read them."""
    folder = settings.key_dir
    if settings.secrets != "file":
        yield Finding("keys", "ok", f"no key files are written (COMETAPI_MCP_SECRETS is {settings.secrets})")
        return
    found = list(_wrong_folder("keys", folder, "COMETAPI_MCP_KEY_DIR"))
    if not found and folder.is_dir():
        found = list(_open_to_others(folder))
    yield from found or [_fine("keys", folder)]


def check_journal_file(settings: Settings) -> Iterator[Finding]:
    """Whether the journal can be made or written, and only its owner can read it."""
    path = settings.state
    found = list(_wrong_folder("journal", path.parent, "COMETAPI_MCP_STATE"))
    if not found and path.exists():
        found = list(_wrong_file(path))
    yield from found or [_fine("journal", path)]


def _fine(name: str, path: Path) -> Finding:
    """That nothing is wrong with a place, whether it is there yet or not."""
    state = "is there, for you alone" if path.exists() else "is not there yet, and can be made"
    return Finding(name, "ok", f"{quoted(str(path), 300)} {state}")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is space left for the journal and the key files."""
    disks = {path.stat().st_dev: path for path in (_nearest(settings.state.parent), _nearest(settings.key_dir))}
    for path in disks.values():
        free = shutil.disk_usage(path).free
        says = f"{free / 2**20:,.0f} MB are free on the disk of {quoted(str(path), 300)}"
        if free < _LITTLE:
            cure = "Free some space, or set COMETAPI_MCP_STATE and COMETAPI_MCP_KEY_DIR to places on another disk."
            yield Finding("disk", "problem" if free < _TOO_LITTLE else "warning", f"{says}.", cure)
        else:
            yield Finding("disk", "ok", says)


def check_keychain(settings: Settings) -> Iterator[Finding]:
    """Whether the system's keychain answers, where it keeps the keys."""
    if settings.secrets != "keyring":
        return
    store = key_store(settings)
    unlock = "Unlock the keychain, or set COMETAPI_MCP_SECRETS=file."
    try:
        run_blocking(lambda: store.find(_NO_KEY), _KEYCHAIN_WITHIN)
    except LateError as late:
        yield Finding("keychain", "problem", f"The keychain gave {late}; it may be asking on the screen.", unlock)
    except StoreError as error:
        says, _, _ = str(error.args[0]).partition(". ")
        is_missing = "needs the extra" in says
        install = 'Install it: python -m pip install "cometapi-mcp[keyring]"; or set COMETAPI_MCP_SECRETS=file.'
        yield Finding("keychain", "problem", f"{says.removesuffix('.')}.", install if is_missing else unlock)
    else:
        yield Finding("keychain", "ok", "it answers")


def check_places(settings: Settings) -> Iterator[Finding]:
    """Whether values can be put where the operator's list allows it, as far as that shows without asking there."""
    lacking = list(dict.fromkeys(filter(None, (_lacks(entry, settings) for entry in settings.places))))
    cure = (
        "Set that right here and in the entry of each client whose agents rotate such keys, or correct "
        f"{settings.source('COMETAPI_MCP_PLACES')}."
    )
    for why in lacking:
        yield Finding("places", "warning", f"Of the places for programs elsewhere: {why}", cure)
    if settings.places and not lacking:
        yield Finding("places", "ok", f"{len(settings.places)} listed; what they need is here")


def _lacks(entry: str, settings: Settings) -> str:
    """Why nothing can be put into such a place, "" where nothing speaks against it."""
    is_open = entry.endswith("*")
    try:
        if not is_open:
            Elsewhere.parse(entry)
        if is_of_github(entry):
            usable_token(settings)
            return "" if find_spec("nacl") else EXTRA
        where = entry.partition(":")[2].removesuffix("*")
        if is_open and len(where.split()) < 2 and not where.endswith(" "):
            return ""  # its program may have more than one name
        _, program = parsed(where)
    except (ArgumentError, UnwrittenError) as error:
        return "" if is_open and isinstance(error, ArgumentError) else str(error.args[0])
    return "" if shutil.which(program) else f"There is no program {quoted(program.partition('=')[0])} here."


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _wrong_folder(check: str, folder: Path, variable: str) -> Iterator[Finding]:
    """What keeps a folder from being made or written."""
    shown, elsewhere = quoted(str(folder), 300), f"set {variable} to a place of your own"
    there = _nearest(folder)
    if folder.is_symlink() and check == "keys":
        says = f"The key directory {shown} is a link, where a directory has to be."
        yield Finding(check, "problem", says, f"Remove the link, or {elsewhere}.")
    elif not there.is_dir():
        says = f"{quoted(str(there), 300)} is a file, where a directory has to be."
        yield Finding(check, "problem", says, f"Move that file away, or {elsewhere}.")
    elif folder.is_dir() and (owner := foreign_owner(folder)):
        says = f"The directory {shown} belongs to another user ({owner})."
        yield Finding(check, "problem", says, f"Run: sudo chown $USER {folder}; or {elsewhere}.")
    elif not os.access(there, os.W_OK | os.X_OK):
        says = f"You may not write in {quoted(str(there), 300)}, where {'it' if there == folder else shown} is needed."
        yield Finding(check, "problem", says, f"Run: chmod u+rwx {there}; or {elsewhere}.")


def _open_to_others(folder: Path) -> Iterator[Finding]:
    """What others may read of the keys. Windows keeps a user's folders by its own lists."""
    if os.name != "posix":
        return
    if _is_open(folder):
        says = f"Other users of this machine may look into the key directory {quoted(str(folder), 300)}."
        yield Finding("keys", "warning", says, f"Run: chmod 700 {folder}")
    exposed = [file for file in sorted(folder.rglob("*.env")) if not file.is_symlink() and _is_open(file)]
    if exposed:
        more = f" and {len(exposed) - 1} more" if len(exposed) > 1 else ""
        says = f"Other users of this machine may read the key file {quoted(str(exposed[0]), 300)}{more}."
        yield Finding("keys", "problem", says, f"Run: chmod 600 {' '.join(str(file) for file in exposed[:5])}")


def _wrong_file(path: Path) -> Iterator[Finding]:
    """What is wrong with the rights of the journal's file."""
    shown, elsewhere = quoted(str(path), 300), "set COMETAPI_MCP_STATE to another file"
    if path.is_dir():
        yield Finding(
            "journal", "problem", f"{shown} is a folder, where a file has to be.", f"Move it away, or {elsewhere}."
        )
    elif owner := foreign_owner(path):
        says = f"The journal {shown} belongs to another user ({owner})."
        yield Finding("journal", "problem", says, f"Run: sudo chown $USER {path}; or {elsewhere}.")
    elif not os.access(path, os.R_OK | os.W_OK):
        yield Finding("journal", "problem", f"You may not write the journal {shown}.", f"Run: chmod 600 {path}")
    elif os.name == "posix" and _is_open(path):
        says = f"Other users of this machine may read the journal {shown}."
        yield Finding("journal", "warning", says, f"Run: chmod 600 {path}")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
