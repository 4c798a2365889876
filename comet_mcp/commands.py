"""A person's own command, which gets a text on its standard input: no shell, none of our settings, a bounded time."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

from comet_mcp.errors import ArgumentError
from comet_mcp.settings import for_others
from comet_mcp.text import quoted


class CommandError(Exception):
    """A command failed, in a sentence. Where it is not `begun`, it never ran and so changed nothing."""

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


def words_of(line: str) -> list[str] | str:
    """A command line's words. On Windows a program takes its line apart itself. Raises ArgumentError."""
    if sys.platform == "win32":
        return line.strip()
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ArgumentError(f"The command of {quoted(line.split(maxsplit=1)[0])} can't be read: {error}.") from None


def run(command: list[str] | str, text: str, *, within: float, quiet: bool = False) -> None:
    """Run a command with a text on its standard input; it has so many seconds. Raises CommandError.

    What it prints on stdout goes nowhere; where it is `quiet`, what it prints on stderr does neither.
    """
    name = command if isinstance(command, str) else command[0]
    if isinstance(command, list) and shutil.which(command[0]) is None:
        raise CommandError(f"There is no program {quoted(name)}.", begun=False)
    try:
        done = subprocess.run(  # noqa: S603 - the person's own command, or one of the system's
            command,
            input=text.encode(),
            env=for_others(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{quoted(name)} did not end within {within:.0f} seconds.", begun=True) from None
    except OSError as error:
        raise CommandError(f"{quoted(name)} can't be started: {error.strerror}.", begun=False) from None
    if done.returncode:
        raise CommandError(f"{quoted(name)} ended with {done.returncode}.", begun=True)
