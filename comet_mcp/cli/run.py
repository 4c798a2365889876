"""`cometapi-mcp run`: a program with a key in its environment, and on no command line.

On POSIX this process becomes the program, so that signals and the exit status are its own. Windows has no such call;
there it is started, and its status handed on.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping

import anyio

from comet_mcp import settings as configuration
from comet_mcp.api.wire import Token, with_prefix
from comet_mcp.app import App
from comet_mcp.errors import ArgumentError, CometError
from comet_mcp.keys.newest import all_keys
from comet_mcp.secret_store.base import KEY_VARIABLE
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

HELP = f"""\
usage: cometapi-mcp run [--openai] NAME-or-ID -- PROGRAM [ARGUMENT ...]

Run a program with a key's value in its environment, as {KEY_VARIABLE}. The key is one by its id or its exact name.

options:
  --openai   set OPENAI_API_KEY and OPENAI_BASE_URL too
  --help     print this
"""

_CANNOT_EXECUTE = 126
_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Run the program. Returns its exit status; 1 where there is no such key, 126 or 127 where it can't be started."""
    parsed = _parsed(arguments)
    if parsed is None:
        asked = arguments in (["--help"], ["-h"])
        print(HELP, end="", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    openai, wanted, command = parsed
    settings = configuration.load()
    wrong = [problem for problem in settings.problems if not problem.startswith("COMETAPI_ACCESS_TOKEN is not set")]
    if wrong:  # a mistyped address would else mean another API's key of the same id
        print(f"cometapi-mcp run: {' '.join(wrong)}", file=sys.stderr)
        return 1
    try:
        key = anyio.run(_value, settings, wanted)
    except CometError as error:
        print(f"cometapi-mcp run: {error}", file=sys.stderr)
        return 1
    added = {KEY_VARIABLE: key}
    if openai:
        added |= {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": f"{settings.base_url}/v1"}
    return _become(command, _environment(added))


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Ours with the key, and without the token that could make others."""
    return {name: value for name, value in os.environ.items() if name != "COMETAPI_ACCESS_TOKEN"} | dict(added)


async def _value(settings: Settings, wanted: str) -> str:
    """The value of the key of that id or name: from the store if it is there, else from the API."""
    app = App.of(settings)
    try:
        if re.fullmatch(r"[0-9]{1,18}", wanted):
            known = app.store.find(int(wanted))
            if known is not None:
                return with_prefix(known).get_secret_value()
            row = await app.api.get_token(int(wanted))
        else:
            row = _only(wanted, [row for row in await all_keys(app.api) if row.name == wanted])
        return with_prefix(await app.keys.value_of(row)).get_secret_value()
    finally:
        await app.aclose()


def _only(name: str, rows: list[Token]) -> Token:
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
            return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - the user's command
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
        os.execvpe(command[0], command, environment)  # noqa: S606 - the user's command
    except FileNotFoundError:
        print(f"cometapi-mcp run: there is no program {command[0]!a}", file=sys.stderr)
        return _NOT_FOUND
    except OSError as error:
        print(f"cometapi-mcp run: {command[0]!a} can't be started: {error.strerror}", file=sys.stderr)
        return _CANNOT_EXECUTE


def _parsed(arguments: list[str]) -> tuple[bool, str, list[str]] | None:
    """Whether --openai, which key, and the command. None where that is not what the arguments say.

    By hand: a program's own options and dashes must come through as they are, which argparse does not promise.
    """
    rest, openai = list(arguments), False
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break  # the key's name follows, whatever it looks like
        if option != "--openai":
            return None
        openai = True
    if len(rest) > 1 and rest[1] == "--":
        del rest[1]
    return (openai, rest[0], rest[1:]) if len(rest) > 1 else None
