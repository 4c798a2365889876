"""A key's value in a dotenv file of the person's own programs, which only the operator or the person can allow."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key, mask
from comet_mcp.errors import ConfirmationError
from comet_mcp.secret_store import Saved
from comet_mcp.secret_store.env_files import Found, Spot
from comet_mcp.text import quoted
from comet_mcp.tools import wording


async def put_into_file(context: Context, key_id: int, file: str, variable: str) -> tuple[Key, Saved, list[str]]:
    """Set a variable of a file outside the key directory. Returns the key, what was done, and what is to be said of it.

    Raises:
        Asked: A person has to confirm this very write.
        ConfirmationError: Neither the operator has listed the folder, nor can a person be asked.
        StoreError: The value can't, or must not, be put there.
    """
    app, places = context.app, context.app.secrets.places
    spot = await places.spot(file, variable)
    row = await app.deleter.read(key_id, context.deadline)
    app.quota.enforcer.require_own(row)
    if not spot.listed and not context.gate.can_ask:  # nothing is told of a file that is nobody's business yet
        raise ConfirmationError(
            "Nothing was written: a file outside the key directory takes the operator's leave or the user's yes, and "
            f"this client can't ask the user. {_two_ways(row, spot, file)}",
            code="file_not_allowed",
        )
    found = await places.look(spot, context.deadline)
    question = replace(_question(row, spot, found), otherwise="" if spot.listed else _two_ways(row, spot, file))
    await (context.gate.require_confirmed if spot.listed else context.gate.require_person)(question)
    value = await app.secrets.value_of(row, context.deadline)
    outcome = await places.put(row, spot.place, value, found.value)
    await app.progress.saved(row)
    return row, Saved("file", str(spot.path), variable, outcome=outcome), _said(spot, found, outcome)


def _said(spot: Spot, found: Found, outcome: str) -> list[str]:
    """What somebody has to know of a file that was written."""
    said = []
    if outcome == "changed" and found.value is not None:
        said.append(f"{spot.variable} had another value there, which is gone.")
    if found.is_shared and sys.platform != "win32":
        said.append(f"Other users of this machine can read the file. To keep them out: {chmod_line(spot)}")
    return said


def chmod_line(spot: Spot) -> str:
    """The command that makes a file its owner's alone."""
    return f"chmod 600 {shlex.quote(str(spot.path))}"


def _two_ways(row: Key, spot: Spot, file: str) -> str:
    """What the person can do themselves, and how the operator allows the folder."""
    folder = wording.whole(str(spot.path.parent))
    return (
        f"Tell the user of the two ways. In their own terminal: {command_line(row, file, spot.variable)} Or for good: "
        f"env_dirs = [{folder}] under [mcp] in the server's config file (or COMETAPI_MCP_ENV_DIRS), then restart the "
        "client and call again."
    )


def command_line(row: Key, file: str, variable: str) -> str:
    """The command by which a person does it: by the key's name where that is one plain word, else by its id."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", row.name)
    words = ["cometapi-mcp", "save", row.name if plain else str(row.id), "--file", file, "--as", variable]
    if sys.platform == "win32":
        return subprocess.list2cmdline(words)
    home, rest = ("~/", file[2:]) if file.startswith("~/") else ("", file)  # a shell knows no ~ between quotes
    return shlex.join(words[:4]) + f" {home}{shlex.quote(rest)} " + shlex.join(words[5:])


def _question(row: Key, spot: Spot, found: Found) -> Question:
    """The question before a value goes into a person's file: which, where, and what it replaces."""
    path, variable = wording.whole(str(spot.path)), wording.whole(spot.variable)
    parts = [f"Put the value of {wording.key(row)} into the file {path} as {variable}, where programs read it?"]
    if found.text is None:
        parts.append("The file is made new.")
    elif found.value is None:
        parts.append("The file has no such value yet; its other lines stay.")
    else:
        parts.append(f"It replaces the value that is there, {_shown(found)}. The other lines of the file stay.")
    if found.is_shared and sys.platform != "win32":
        parts.append("Other users of this machine can read that file.")
    before = found.value.get_secret_value() if found.value else None
    state = digest_of("save into", wording.state_of(row), *map(str, (spot.path, spot.variable)), before)
    return Question(" ".join(parts), state)


def _shown(found: Found) -> str:
    """A value that a person is about to lose, as far as it may be shown: a model key's mask, nothing of any other."""
    value = found.value
    if value is not None and re.fullmatch(r"sk-[A-Za-z0-9_-]{24,}", value.get_secret_value()):
        return quoted(mask(value))
    return "which is not shown"
