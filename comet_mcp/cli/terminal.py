"""What the commands for people have in common: how one is run, what it prints on, and how it asks.

Rich is loaded by what draws something; a command that prints a line does without.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

import click

from comet_mcp.cli.people import why
from comet_mcp.errors import CometError
from comet_mcp.text import escaped, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from comet_mcp.redaction import Redactor

WRONG_USAGE, INTERRUPTED, CLOSED_PIPE = 2, 130, 141
"""Exit statuses: a wrong command; the person pressed Ctrl-C; what reads the output wants no more of it."""
_SOON = 0.4
"""Seconds after which a person is told what is waited for."""
_LONGEST_LINE = 2000
_CALLED = "comet_mcp.called"
"""Where click's contexts share what the command that runs is called."""


class Group(click.Group):
    """A group whose commands are told by their whole name where they fail."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant by the first word. Raises NoSuchCommand, with those that are spelt alike."""
        found = super().resolve_command(ctx, args)
        ctx.meta[_CALLED] = f"{ctx.command_path} {found[0]}"
        return found


def run_command(command: click.Command, arguments: Sequence[str], name: str | None = None) -> int:
    """Run a command. Returns its exit status; each way in which it may end early is one line on stderr.

    Args:
        command: It. What it returns is the status, None for 0.
        arguments: The words after its name.
        name: What it is called in messages; None for that of a subcommand.
    """
    path = name or f"cometapi-mcp {command.name}"
    try:
        with command.make_context(path, list(arguments)) as context:
            try:
                status = command.invoke(context)
            except CometError as error:
                raise click.ClickException(why(error)) from None
            finally:
                path = context.meta.get(_CALLED, path)
        if sys.stdout is not None:  # it is None where the caller closed it
            sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        _say_wrong(error, path)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say(f"{chr(10) * is_terminal(sys.stderr)}Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        _leave_pipe()
        return CLOSED_PIPE
    except OSError as error:  # such as a full disk under what it prints
        _leave_pipe()
        _say(f"{path}: It could not go on ({error.strerror or error}). What was asked for may have been done.")
        return 1
    return int(status or 0)


def _say_wrong(error: click.ClickException, path: str) -> None:
    """What is wrong with a command, and where its help is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else path
    _say(f"{path}: {error.format_message()}")
    if context:
        _say(f"{context.get_usage()}\nHelp: {path} --help")


def tell(text: str, *, aside: bool = False) -> None:
    """Print lines, whatever is in them; on a terminal as wide as that is. `aside` has them go to stderr."""
    stream = sys.stderr if aside else sys.stdout
    width = shutil.get_terminal_size().columns if is_terminal(stream) else 0
    for line in text.splitlines():
        shown = escaped(line, stream.encoding or "utf-8")
        click.echo(textwrap.fill(shown, width, break_on_hyphens=False) if width else shown, err=aside)


def _say(text: str) -> None:
    """The last lines of a command that ends early."""
    with suppress(OSError):
        tell(text, aside=True)


def _leave_pipe() -> None:
    """Let nothing more go where nothing can be written: Python would complain of it at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def examples(*lines: str) -> str:
    """Examples for the end of a command's help, as they are."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def console(*, stderr: bool = False) -> Console:
    """What draws on stdout or stderr: as wide as the terminal, without colour in a pipe or where NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415 - see the module's docstring

    stream = sys.stderr if stderr else sys.stdout
    # rich takes a terminal that can do little for 80 wide
    width, height = shutil.get_terminal_size() if is_terminal(stream) else (None, None)
    return Console(stderr=stderr, width=width, height=height, highlight=False, markup=False, emoji=False)


def draws_blocks(out: Console) -> bool:
    """Whether what is drawn may have more than ASCII in it."""
    return out.encoding.lower().startswith("utf")


class Waiting:
    """What is told on stderr while something takes a while: after a moment, and nothing where it is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._status: Status | None = None
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Tell it from a moment on."""
        out = console(stderr=True) if is_terminal(sys.stderr) else None
        if out is not None and not out.is_dumb_terminal:
            self._status = out.status(self._text, spinner="dots" if draws_blocks(out) else "line")
            self._timer = threading.Timer(_SOON, self._status.start)
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Tell it no more; nothing is left of it."""
        if self._timer is not None and self._status is not None:
            self._timer.cancel()
            self._timer.join()
            self._status.stop()


@contextmanager
def progress(text: str) -> Iterator[Waiting]:
    """Tell on stderr what is waited for, once that takes a while."""
    waiting = Waiting(text)
    waiting.begin()
    try:
        yield waiting
    finally:
        waiting.end()


def can_ask() -> bool:
    """Whether a person can be asked here."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def confirmed(question: str, ask: str = "Do it?") -> bool:
    """Whether the person says yes to a question, which goes to stderr. Nobody does at the end of the input.

    Raises:
        Abort: They pressed Ctrl-C.
    """
    text = " ".join(filter(None, (printable(question, _LONGEST_LINE), ask, "[y/N]")))
    width = shutil.get_terminal_size().columns if is_terminal(sys.stderr) else _LONGEST_LINE
    try:
        with _interruptible():
            click.echo(textwrap.fill(text, width - 4) + " ", err=True, nl=False)
            return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        raise click.Abort from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C end a read at once: an event loop would only note it, and the terminal be read on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def redacted(redactor: Redactor) -> Iterator[None]:
    """Have an error that comes out repeat no secret."""
    try:
        yield
    except CometError as error:
        raise CometError(redactor.text(why(error)), code=error.code) from None


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person may be at its other end; a stream that the caller closed is none."""
    return stream is not None and not stream.closed and stream.isatty()
