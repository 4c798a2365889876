"""A command that takes a value on its standard input, such as a secret manager's. Whatever it prints goes nowhere.

It can't be asked what it did with the value: what has one there is named, and the person removes it.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from comet_mcp.commands import CommandError, run, words_of
from comet_mcp.errors import ArgumentError, SlowStoreError, StoreError, UnwrittenError
from comet_mcp.text import quoted
from comet_mcp.threads import LateError, Threads

_MOST_LEFT = 4
_TO_END = 2.0
"""Seconds that the system gets to end a command that had its time."""


def parsed(where: str) -> tuple[list[str] | str, str]:
    """A command as the system takes it, and its program. Raises UnwrittenError where it is none that may be run."""
    try:
        words = words_of(where)
    except ArgumentError as error:
        raise UnwrittenError(str(error.args[0])) from None
    program = words[0] if isinstance(words, list) else where.split(maxsplit=1)[0].strip('"')
    is_path = any(sign in program for sign in (os.sep, os.altsep) if sign)
    if is_path and not Path(program).is_absolute():
        raise UnwrittenError(
            f"{quoted(program)} would be another program in each folder. Name it alone, or by its full path."
        )
    return words, program


class Command:
    """Runs commands. See `elsewhere.Manager`."""

    def __init__(self) -> None:
        self._threads = Threads(_MOST_LEFT)

    async def has_value(self, where: str, seconds: float) -> bool:  # noqa: ARG002 - the interface
        """No command tells."""
        return False

    async def put(self, where: str, value: SecretStr, seconds: float) -> None:
        """Run it with the value, and nothing else, on its standard input."""
        words, program = parsed(where)
        work = partial(run, words, value.get_secret_value(), within=seconds, quiet=True)
        try:
            await self._threads.run(work, seconds + _TO_END)
        except CommandError as error:
            if not error.begun:
                raise UnwrittenError(str(error)) from None
            raise StoreError(
                f"{error} What it printed is not shown, for the value may be in it: try it in a terminal with another "
                "text on its standard input.",
                code="command_failed",
            ) from None
        except LateError as late:
            raise SlowStoreError(f"{quoted(program)} has not ended in {late.seconds:.0f} s.") from None

    async def clear(self, where: str, seconds: float) -> bool:  # noqa: ARG002 - the interface
        """No command is known that removes it."""
        return False
