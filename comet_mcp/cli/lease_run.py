"""`cometapi-mcp run --lease`: a program with a key that is made for this run and deleted at its end.

This process stays beside the program, for whose signals and status see `program.py`. What earlier runs left behind is
removed meanwhile.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import click
from pydantic import SecretStr

from comet_mcp.audit.trail import Note
from comet_mcp.cli.key_options import limits
from comet_mcp.cli.lease_request import BeforeProgram, RunRequest, dollars, key_of_run, seconds
from comet_mcp.cli.people import usable_settings, why
from comet_mcp.cli.program import Signals, end_as, start, wait_for
from comet_mcp.cli.run import CANNOT_EXECUTE, NOT_FOUND, environment_with
from comet_mcp.cli.terminal import can_ask, confirmed, examples, redacted
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import when
from comet_mcp.domain.validation import check_new_key
from comet_mcp.errors import CometError, ConfirmationError, CreateUnclearError, SettingsError
from comet_mcp.redaction import Redactor
from comet_mcp.removal import end_lease, remove_leftovers
from comet_mcp.services.lease import Leased
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

BY = "cometapi-mcp run --lease"
"""What the audit trail has for the client."""
_CREATE = "create_api_key"
_TO_END = 10.0
"""Seconds that a program gets from being asked to end until it is killed, and earlier runs' keys at the end of this."""
_T = TypeVar("_T")


@click.command(
    "run",
    cls=BeforeProgram,
    options_metavar="--lease TIME --budget DOLLARS [OPTIONS] -- PROGRAM [ARGUMENT]...",
    epilog=examples("cometapi-mcp run --lease 15m --budget 0.50 -- pytest tests/live"),
)
@click.option("--lease", required=True, metavar="TIME", callback=seconds, help="How long the run may use the key: 15m.")
@click.option("--budget", required=True, metavar="DOLLARS", callback=dollars, help="What it may spend: 0.50.")
@click.option(
    "--models",
    multiple=True,
    metavar="LIST",
    callback=limits,
    help="Model ids, separated by commas; without it every model.",
)
@click.option(
    "--ips",
    multiple=True,
    metavar="LIST",
    callback=limits,
    help="Addresses or ranges, separated by commas; without it all.",
)
@click.option("--group", default="", help="A group of the account.")
@click.option("--openai", is_flag=True, help="Set OPENAI_API_KEY and OPENAI_BASE_URL too.")
@click.option("--kill", is_flag=True, help="End the program when the lease ends.")
@click.pass_obj
def command(
    program: list[str],
    *,
    lease: int,
    budget: float,
    models: list[str],
    ips: list[str],
    group: str,
    openai: bool,
    kill: bool,
) -> int:
    """Run a program with a key of its own, which is deleted when the program ends, whatever the end is.

    The value is in COMETAPI_KEY and nowhere else. When the lease ends the key is deleted, and the program goes on
    without it. What the run spent is told on stderr.
    """
    return _run(RunRequest(program, lease, budget, models, ips, group, openai, kill))


def _run(request: RunRequest) -> int:
    settings = usable_settings()
    redactor = Redactor(settings.known_secrets)
    say = partial(_say, redactor)
    if wrong := _forbidden(settings):
        raise SettingsError(wrong)
    if (found := shutil.which(request.program[0])) is None:
        say(f"There is no program {quoted(request.program[0])}.")
        return NOT_FOUND
    run = _Run(settings, redactor, request, say)
    with Signals() as signals:
        with redacted(redactor):
            key = run.begin()
        if signals.ending is not None:
            run.end()
            return end_as(-signals.ending)
        try:
            # where the name has no .exe, as npm's, Windows itself would not look for the rest of PATHEXT
            words = [found if sys.platform == "win32" else request.program[0], *request.program[1:]]
            program = start(words, environment_with(key, settings, openai=request.openai))
        except OSError as error:
            run.end()
            say(f"{quoted(request.program[0])} can't be started: {error.strerror}.")
            return CANNOT_EXECUTE
        signals.hand_to(program)
        return end_as(run.beside(program))


class _Run:
    """One run: its key from the beginning to the end."""

    def __init__(self, settings: Settings, redactor: Redactor, request: RunRequest, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._redactor = redactor
        self._request = request
        self._say = say
        self._leased: Leased | None = None
        self._ending = threading.Lock()
        self._is_done = threading.Event()

    def begin(self) -> SecretStr:
        """Make the key. Returns its value. Raises CometError, which tells where there may be a key all the same."""
        return self._with_services(self._begin)

    def beside(self, program: subprocess.Popen[bytes]) -> int:
        """Wait for the program and end the lease, at its own end at the latest. Returns the program's status."""
        over = threading.Timer(self._request.lease, self._lease_over, (program,))
        others = threading.Thread(target=self._remove_leftovers, daemon=True)
        over.daemon = True
        over.start()
        others.start()
        status = wait_for(program)
        self._is_done.set()
        over.cancel()
        self.end()
        others.join(_TO_END)
        return status

    def end(self) -> None:
        """Delete the key and say what it spent, unless that is done. What fails is said."""
        with self._ending:
            leased, self._leased = self._leased, None
            if leased is not None:
                try:
                    self._say(self._with_services(lambda app: _ended(app, leased)))
                except CometError as error:
                    self._say(
                        f"The key of this run could not be deleted: {why(error)} It ends by itself at "
                        f"{when(leased.row.expired_time)}; the next run or server, or `cometapi-mcp tidy`, deletes it."
                    )

    def _remove_leftovers(self) -> None:
        with suppress(CometError):  # the next one tries again
            for sentence in self._with_services(lambda app: remove_leftovers(app, BY)):
                self._say(sentence)

    def _lease_over(self, program: subprocess.Popen[bytes]) -> None:
        if self._is_done.is_set():
            return
        self._say(
            f"The lease has ended; the program {'is ended' if self._request.kill else 'goes on without the key'}."
        )
        if self._request.kill:
            program.terminate()
            if not self._is_done.wait(_TO_END):
                program.kill()
        self.end()

    async def _begin(self, app: Services) -> SecretStr:
        await app.hear_clock(Deadline(app.clock, self._settings.timeout))
        until = app.clock.now() + self._request.lease
        body, _ = check_new_key(key_of_run(self._request, self._settings, until), app.clock.now(), app.units)
        await app.units_check.require()
        app.quota.enforcer.require_new(body, await app.quota.spending())
        _require_agreed(self._settings, body, app.units.exact(body.remain_quota))
        deadline = Deadline(app.clock, self._settings.timeout)
        leased = await _made(app, body, until, deadline)
        try:
            value = await app.secrets.value_of(leased.row, deadline)
        except CometError:
            await end_lease(app, leased, BY)
            raise
        self._leased = leased
        return value

    def _with_services(self, work: Callable[[Services], Awaitable[_T]]) -> _T:
        async def worked() -> _T:
            app = Services.of(self._settings, redactor=self._redactor)
            try:
                return await work(app)
            finally:
                await app.secrets.note_reveals()
                await app.aclose()

        return anyio.run(worked)


async def _made(app: Services, body: KeySpec, until: float, deadline: Deadline) -> Leased:
    """Make the key, with rows in the trail around it. Raises CometError."""
    note = Note(key_name=body.name)
    begun = await app.audit.begin(_CREATE, body.model_dump(exclude_defaults=True), BY)
    try:
        leased = await app.leases.begin(body, until, deadline)
        note.key_id = leased.row.id
    except CreateUnclearError as error:
        note.outcome = error.code
        raise CometError(
            "The program was not started: whether the API made the key is not known. If it did, the next run or "
            f"server, or `cometapi-mcp tidy`, deletes it, and it ends by itself at {when(body.expired_time)}.",
            code=error.code,
        ) from None
    except CometError as error:
        note.outcome = error.code
        raise
    finally:
        await app.audit.end(begun, _CREATE, note)
    return leased


async def _ended(app: Services, leased: Leased) -> str:
    """Delete the key. Returns what the run spent, as a sentence."""
    last = await end_lease(app, leased, BY)
    key = f"key {leased.row.id} {quoted(leased.row.name)}"
    if last is None:
        return f"Somebody else has deleted {key}, so what this run spent is not known."
    spent, of = app.units.usd(last.used_quota), app.units.exact(leased.row.remain_quota)
    return f"This run spent {spent} of {of}; {key} is deleted."


def _forbidden(settings: Settings) -> str:
    """Why no key may be made and deleted here at all; "" where it may."""
    if settings.read_only:
        return f"No key is made here: {settings.source('COMETAPI_MCP_READ_ONLY')} is set."
    if left_out := {_CREATE, "delete_api_key"} & settings.disable_tools:
        names = " and ".join(sorted(left_out))
        return f"No key is made here: {settings.source('COMETAPI_MCP_DISABLE_TOOLS')} switches {names} off."
    return ""


def _require_agreed(settings: Settings, body: KeySpec, budget: str) -> None:
    """Ask the person where the settings want that. Raises ConfirmationError."""
    if settings.confirm != "writes":
        return
    if not can_ask():
        if settings.confirm_fallback == "allow":
            return
        raise ConfirmationError("You have to confirm this (mcp.confirm), and nobody can be asked here.")
    models, from_ = body.model_limits or "every model", body.allow_ips or "every address"
    said = f"Make a key for this run? It may spend {budget} until {when(body.expired_time)}: {models}, from {from_}."
    if not confirmed(said):
        raise ConfirmationError("Nothing was done.")


def _say(redactor: Redactor, text: str) -> None:
    """A line on stderr, which may be gone with its terminal."""
    with suppress(OSError, ValueError):
        print(f"cometapi-mcp run: {redactor.text(text)}", file=sys.stderr, flush=True)
