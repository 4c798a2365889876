"""`cometapi-mcp run`: a program with a key in its environment, and on no command line.

On POSIX this process becomes the program, so that signals and the exit status are its own. Windows has no such call;
there it is started, and its status handed on.

A key whose requests will be refused is told of on stderr, and the program is started all the same: it may want the key
for later, or mind the refusal itself. Where the value is in the local store, the API is asked for the key's record
alone, and waited for two seconds at most; what can't be learnt by then goes unsaid, since the program needs nothing
of it. Without an access token it is not asked. A stored value that does not fit the record's mask is another key's,
from before the gateway's ids began anew: then the API is asked for the value too, and it is stored instead. What
reveals a value is counted in the journal, like every server's.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from typing import Any

import anyio
import click
from pydantic import SecretStr

from comet_mcp import settings as configuration
from comet_mcp.api.client import CometAPI
from comet_mcp.cli.finding import find_row
from comet_mcp.cli.people import for_people
from comet_mcp.cli.terminal import examples, redacted
from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import Key, with_prefix
from comet_mcp.errors import CometError, NotFoundError, SettingsError, StoreError
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store.base import KEY_VARIABLE
from comet_mcp.services.places import fits
from comet_mcp.services.secrets import REVEALS
from comet_mcp.settings import Settings, for_others
from comet_mcp.text import quoted

CANNOT_EXECUTE, NOT_FOUND = 126, 127
"""Exit statuses of a program that can't be started, and of one that there is not; those of a shell."""
_RECORD_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    """A key's value, its record if that was read on the way, and what is wrong with the key."""

    key_id: int
    value: SecretStr
    row: Key | None = None
    warning: str | None = None


class _Command(click.Command):
    """Takes everything from the program on as it is: options and dashes are the program's own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of a run; of one with a lease, which takes other options, that of its own command."""
        if _is_lease_wanted(args):
            from comet_mcp.cli.lease_run import command as leased  # noqa: PLC0415 - others need nothing of it

            return leased.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a `--` in the place of the key; one before a name that looks like an option is followed by another."""
        options = list(itertools.takewhile(lambda word: word.startswith("-") and word != "--", args))
        if args[len(options) :][:1] == ["--"] and args[len(options) + 2 :][:1] != ["--"]:
            raise click.UsageError("The key's name or id is missing. It goes before the --.", ctx)
        return super().parse_args(ctx, args)


@click.command(
    "run",
    cls=_Command,
    context_settings={"allow_interspersed_args": False},
    epilog=examples(
        'cometapi-mcp run "blog summariser" -- python blog.py',
        "cometapi-mcp run --openai 7 -- npm start",
        "cometapi-mcp run --lease 15m --budget 0.50 -- pytest",
    ),
)
@click.option("--openai", is_flag=True, help="Set OPENAI_API_KEY and OPENAI_BASE_URL too.")
@click.argument("words", metavar="NAME-or-ID -- PROGRAM [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, words: tuple[str, ...], *, openai: bool) -> int:
    """Run a program with a key's value in its environment, as COMETAPI_KEY.

    The key is one by its id or its exact name; before a name that begins with "-" write -- too. Of several keys of one
    name it is the one that works, or that has replaced the others. A line on stderr tells of that, and of a key that is
    disabled, expired or used up.

    With --lease the key is made for this run and deleted at its end: see cometapi-mcp run --lease --help.

    The exit status is the program's; 1 where there is no such key, 126 or 127 where the program can't be started.
    """
    wanted, program = _parsed(context, list(words))
    settings = configuration.load()
    if settings.mistakes:  # a mistyped address would else mean another API's key of the same id
        raise SettingsError(" ".join(settings.mistakes))
    redactor = Redactor(settings.known_secrets)
    with redacted(redactor):
        found = anyio.run(_found, settings, wanted, redactor)
        if found.row is None:
            found = _checked_in_time(settings, found, redactor)
    if found.warning:
        click.echo(redactor.text(f"cometapi-mcp run: {for_people(found.warning)}"), err=True)
    return _become(program, environment_with(found.value, settings, openai=openai))


def _is_lease_wanted(arguments: list[str]) -> bool:
    """Whether a key of its own is asked for, before the program."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(word == "--lease" or word.startswith("--lease=") for word in options)


def environment_with(key: SecretStr, settings: Settings, *, openai: bool) -> dict[str, str]:
    """Ours with the key, and without the server's own: the token that could make others, the proxy's password."""
    value = with_prefix(key).get_secret_value()
    added = {KEY_VARIABLE: value}
    if openai:
        added |= {"OPENAI_API_KEY": value, "OPENAI_BASE_URL": f"{settings.base_url}/v1"}
    return for_others() | added


async def _found(settings: Settings, wanted: str, redactor: Redactor) -> _Found:
    """The key of that id or name: its value from the store if it is there, else from the API."""
    app = Services.of(settings, redactor=redactor)
    try:
        if re.fullmatch(r"[0-9]{1,18}", wanted):
            known = await app.secrets.stored(int(wanted), Deadline(app.clock, settings.timeout))
            if known is not None:
                return _Found(int(wanted), known)
        row, said = await find_row(app, wanted)
        return replace(await _of(app, row), warning=said or _warning(row))
    finally:
        await app.aclose()


async def _of(app: Services, row: Key) -> _Found:
    """The key of a record."""
    try:
        value = await app.secrets.value_of(row, Deadline(app.clock, app.settings.timeout))
    finally:
        await app.secrets.note_reveals()
    return _Found(row.id, value, row, _warning(row))


async def _replaced(settings: Settings, row: Key, redactor: Redactor) -> _Found:
    """The key of a record whose stored value is another key's: its own is read, and stored instead.

    Raises:
        CometError: It could not be read. What is stored stays.
    """
    app = Services.of(settings, redactor=redactor)
    said = f"the value that was stored for key {row.id} is another key's"
    try:
        found = await _of(app, row)
        try:
            await app.secrets.replace(row, found.value, Deadline(app.clock, settings.timeout))
        except StoreError as error:
            said += (
                f", and the key's own could not be stored instead: {error} Until then each start reads it from the "
                f"API, which allows {REVEALS} such calls in 20 minutes."
            )
        else:
            said += ", and was replaced by the key's own."
    except CometError as error:
        raise CometError(
            f"{said[0].upper()}{said[1:]}, and its own could not be read, so nothing was started: {error} Once that is "
            f"fixed, start the program again, or run `cometapi-mcp keys save {row.id}`.",
            code=error.code,
        ) from None
    finally:
        await app.aclose()
    return replace(found, warning=" ".join(filter(None, (said, found.warning))))


def _checked_in_time(settings: Settings, stored: _Found, redactor: Redactor) -> _Found:
    """A stored value beside its key's record, if that can be learnt soon.

    In a thread that is left behind: a name server that does not answer holds up whoever waits for the thread's end.

    Raises:
        NotFoundError: The account has no such key; of another account's at the same API the value may be here too.
        CometError: What reading another value raises.
    """
    read: list[Key | NotFoundError] = []

    async def ask() -> None:
        api = CometAPI(settings)
        try:
            read.append(await api.get_token(stored.key_id, seconds=_RECORD_WITHIN))
        except NotFoundError as error:
            read.append(error)
        except Exception:  # noqa: BLE001, S110 - whatever is wrong with the API, the program needs the value alone
            pass
        finally:
            await api.aclose()

    thread = threading.Thread(target=lambda: anyio.run(ask), daemon=True)
    thread.start()
    thread.join(2 * _RECORD_WITHIN)
    for said in read:
        if isinstance(said, NotFoundError):
            raise NotFoundError(
                f"This account has no key {stored.key_id}, so nothing was started. A value is stored under that id: "
                "the key was deleted, or is another account's, which --profile chooses."
            )
        if not fits(stored.value, said):
            return anyio.run(_replaced, settings, said, redactor)
        return replace(stored, warning=_warning(said))
    return stored


def _warning(row: Key) -> str | None:
    """Why the API will refuse the key's requests, by its record; None where that tells of nothing."""
    state = row.state(SYSTEM.now())
    return None if state.works else f"key {row.id} {state.why}; its requests will be refused."


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
        click.echo(f"cometapi-mcp run: There is no program {quoted(command[0])}.", err=True)
        return NOT_FOUND
    except OSError as error:
        click.echo(f"cometapi-mcp run: {quoted(command[0])} can't be started: {error.strerror}.", err=True)
        return CANNOT_EXECUTE


def _parsed(context: click.Context, words: list[str]) -> tuple[str, list[str]]:
    """Which key, and the program with its arguments. Raises UsageError where one is missing."""
    if not words:
        raise click.UsageError("The key's name or id is missing, and so is the program.", context)
    key, *program = words
    if program[:1] == ["--"]:
        program = program[1:]
    elif program[:1] == ["--openai"]:
        raise click.UsageError("--openai goes before the name or id of the key.", context)
    elif program[:1] in (["-h"], ["--help"]):
        click.echo(context.get_help())
        context.exit()
    elif program and program[0].startswith("-"):
        raise click.UsageError(f"There is no option {quoted(program[0])}. A program's name goes after --.", context)
    if not program:
        raise click.UsageError("The program is missing. It goes after the name or id of the key and --.", context)
    return key, program
