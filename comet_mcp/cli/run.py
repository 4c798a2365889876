"""`cometapi-mcp run`: a program with a key in its environment, and on no command line.

On POSIX this process becomes the program, so that signals and the exit status are its own. Windows has no such call;
there it is started, and its status handed on.

A key whose requests will be refused is told of on stderr, and the program is started all the same: it may want the key
for later, or mind the refusal itself. Where the value is in the local store, the API is asked for the key's record
alone, and waited for two seconds at most; what can't be learnt by then goes unsaid, since the program needs nothing
of it. Without an access token it is not asked.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import time

import anyio

from comet_mcp import settings as configuration
from comet_mcp.api.client import CometAPI
from comet_mcp.app import App
from comet_mcp.domain.key import Key, Status, status_word, with_prefix
from comet_mcp.errors import ArgumentError, CometError, NotFoundError
from comet_mcp.keys.newest import all_keys
from comet_mcp.secret_store.base import KEY_VARIABLE
from comet_mcp.settings import Settings
from comet_mcp.text import quoted
from comet_mcp.units import NEVER, when

HELP = f"""\
usage: cometapi-mcp run [--openai] NAME-or-ID -- PROGRAM [ARGUMENT ...]

Run a program with a key's value in its environment, as {KEY_VARIABLE}. The key is one by its id or its exact name;
before a name that begins with "-" write -- too. A line on stderr tells of a key that is disabled, expired or used up.

options:
  --openai   set OPENAI_API_KEY and OPENAI_BASE_URL too
  --help     print this
"""

_CANNOT_EXECUTE = 126
_NOT_FOUND = 127
_RECORD_WITHIN = 1.0
_HELP = ("--help", "-h")


@dataclass(frozen=True, slots=True)
class _Found:
    """A key's value, and its record where that was read on the way."""

    key_id: int
    value: str
    row: Key | None = None


def main(arguments: list[str]) -> int:
    """Run the program. Returns its exit status; 1 where there is no such key, 126 or 127 where it can't be started."""
    try:
        parsed = _parsed(arguments)
    except ArgumentError as error:
        print(f"cometapi-mcp run: {error.args[0]}\n\n{HELP}", end="", file=sys.stderr)
        return 2
    if parsed is None:
        print(HELP, end="")
        return 0
    openai, wanted, command = parsed
    settings = configuration.load()
    wrong = [problem for problem in settings.problems if not problem.startswith("COMETAPI_ACCESS_TOKEN is not set")]
    if wrong:  # a mistyped address would else mean another API's key of the same id
        print(f"cometapi-mcp run: {' '.join(wrong)}", file=sys.stderr)
        return 1
    try:
        found = anyio.run(_found, settings, wanted)
    except CometError as error:
        print(f"cometapi-mcp run: {error}", file=sys.stderr)
        return 1
    warning = _warning(found.row) if found.row else _warning_in_time(settings, found.key_id)
    if warning:
        print(f"cometapi-mcp run: {warning}", file=sys.stderr)
    added = {KEY_VARIABLE: found.value}
    if openai:
        added |= {"OPENAI_API_KEY": found.value, "OPENAI_BASE_URL": f"{settings.base_url}/v1"}
    return _become(command, _environment(added))


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Ours with the key, and without the token that could make others."""
    return {name: value for name, value in os.environ.items() if name != "COMETAPI_ACCESS_TOKEN"} | dict(added)


async def _found(settings: Settings, wanted: str) -> _Found:
    """The key of that id or name: its value from the store if it is there, else from the API."""
    app = App.of(settings)
    try:
        if re.fullmatch(r"[0-9]{1,18}", wanted):
            known = app.store.find(int(wanted))
            if known is not None:
                return _Found(int(wanted), with_prefix(known).get_secret_value())
            row = await _row(app.api, int(wanted))
        else:
            row = _only(wanted, [row for row in await all_keys(app.api) if row.name == wanted])
        return _Found(row.id, with_prefix(await app.keys.value_of(row)).get_secret_value(), row)
    finally:
        await app.aclose()


async def _row(api: CometAPI, key_id: int) -> Key:
    """The record of that id. Where there is none, the advice is for a person in a shell, who has no tools to call."""
    try:
        return await api.get_token(key_id)
    except NotFoundError:
        raise NotFoundError(
            f"No key has the id {key_id}. Give the exact name of a key, or an id from the API's console, from the end "
            "of a key file's name, or from `cometapi-mcp audit`."
        ) from None


def _warning_in_time(settings: Settings, key_id: int) -> str | None:
    """What is wrong with a key whose record was not read yet, if that can be learnt soon.

    In a thread that is left behind: a name server that does not answer holds up whoever waits for the thread's end.
    """
    said: list[str | None] = []

    async def ask() -> None:
        api = CometAPI(settings)
        try:
            said.append(_warning(await api.get_token(key_id, seconds=_RECORD_WITHIN)))
        except NotFoundError:
            said.append(f"the account has no key {key_id}; if it was deleted, its requests will be refused.")
        except Exception:  # noqa: BLE001 - whatever is wrong with the API, the program needs the value alone
            said.append(None)
        finally:
            await api.aclose()

    thread = threading.Thread(target=lambda: anyio.run(ask), daemon=True)
    thread.start()
    thread.join(2 * _RECORD_WITHIN)
    return said[0] if said else None


def _warning(row: Key) -> str | None:
    """Why the API will refuse the key's requests, by its record; None where that tells of nothing."""
    if row.status not in (Status.ENABLED, Status.EXPIRED, Status.EXHAUSTED):
        what = f"is {status_word(row.status)}"
    elif row.expired_time != NEVER and row.expired_time <= time():
        what = f"expired at {when(row.expired_time)}"
    elif row.remain_quota <= 0 and not row.unlimited_quota:
        what = "has nothing left to spend"
    elif row.status != Status.ENABLED:  # it was topped up, or given more time, and not switched on again
        what = f"still has the status {status_word(row.status)}"
    else:
        return None
    return f"key {row.id} {what}; its requests will be refused."


def _only(name: str, rows: list[Key]) -> Key:
    if not rows:
        raise ArgumentError(f"No key is named {quoted(name)}. Give the id or the exact name of a key.")
    if len(rows) > 1:
        ids = ", ".join(str(row.id) for row in rows)
        raise ArgumentError(f"{len(rows)} keys are named {quoted(name)}. Give the id of one: {ids}.")
    return rows[0]


def _become(command: list[str], environment: dict[str, str]) -> int:
    try:
        if sys.platform == "win32":
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the program's: it gets it too
            # where the name has no .exe, as npm's: Windows itself would not look for the rest of PATHEXT
            program = shutil.which(command[0]) or command[0]
            done = subprocess.run([program, *command[1:]], env=environment, check=False)  # noqa: S603 - the user's
            return done.returncode
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
        os.execvpe(command[0], command, environment)  # noqa: S606 - the user's command
    except FileNotFoundError:
        print(f"cometapi-mcp run: There is no program {quoted(command[0])}.", file=sys.stderr)
        return _NOT_FOUND
    except OSError as error:
        print(f"cometapi-mcp run: {quoted(command[0])} can't be started: {error.strerror}.", file=sys.stderr)
        return _CANNOT_EXECUTE


def _parsed(arguments: list[str]) -> tuple[bool, str, list[str]] | None:
    """Whether --openai, which key, and the command. None where help is asked for.

    By hand: a program's own options and dashes must come through as they are, which argparse does not promise.

    Raises:
        ArgumentError: Something is missing, or stands in the wrong place; the message says what.
    """
    rest, openai = list(arguments), False
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            if rest[1:2] != ["--"]:
                raise ArgumentError("The key's name or id is missing. It goes before the --.")
            break  # the key's name follows, whatever it looks like
        if option in _HELP:
            return None
        if option != "--openai":
            raise ArgumentError(f"There is no option {quoted(option)}.")
        openai = True
    if not rest:
        raise ArgumentError("The key's name or id is missing, and so is the program.")
    wanted, command = rest[0], rest[1:]
    if command[:1] == ["--"]:
        command = command[1:]
    elif command and command[0].startswith("-"):
        if command[0] in _HELP:
            return None
        if command[0] == "--openai":
            raise ArgumentError("--openai goes before the name or id of the key.")
        raise ArgumentError(f"There is no option {quoted(command[0])}. A program's name goes after --.")
    if not command:
        raise ArgumentError("The program is missing. It goes after the name or id of the key and --.")
    return openai, wanted, command
