"""A program that runs beside this command, which has something left to do when the program has ended.

Signals that would end this command are the program's: they are handed on, and this command goes on. It then ends as the
program has, by its status or by its signal. Windows hands Ctrl-C to both by itself, and has no other such signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Self

_ENDING = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM")
_OTHERS = ("SIGUSR1", "SIGUSR2")
_KEYS = ("SIGINT", "SIGQUIT", "SIGBREAK")
"""What a key press in a terminal sends."""
_LOOKS_UP = 0.5
"""Seconds."""


class Signals:
    """A context in which signals end nothing: noted until there is a program, then handed on to it.

    Those that were ignored when this command was started stay so, also for the program.
    """

    def __init__(self) -> None:
        self.ending: int | None = None
        """The last signal that would have ended this command."""
        self._program: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        is_windows = sys.platform == "win32"
        for number in _known(_KEYS if is_windows else (*_ENDING, *_OTHERS)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, signal.SIG_IGN if is_windows else self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hand_to(self, program: subprocess.Popen[bytes]) -> None:
        """From now on signals are that program's, and one that came before, too."""
        self._program = program
        if self.ending is not None:
            program.send_signal(self.ending)

    def _came(self, number: int, _: FrameType | None) -> None:
        if number in _known(_ENDING):
            self.ending = number
        if self._program is not None and not (number in _known(_KEYS) and _has_terminal()):
            self._program.send_signal(number)


def start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program with our own input and outputs. Raises OSError."""
    return subprocess.Popen(command, env=dict(environment))  # noqa: S603 - the user's command


def wait_for(program: subprocess.Popen[bytes]) -> int:
    """A program's status, once it has ended. A signal is handed on meanwhile, whenever it comes.

    One that comes in the instant before a wait without an end would be heard when that ends, so this one looks up.
    """
    waiting = threading.Thread(target=program.wait, daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(_LOOKS_UP)
    return program.wait()


def end_as(status: int) -> int:
    """Our exit status for a program's; where a signal has ended it, this process ends by the same one."""
    if status >= 0 or sys.platform == "win32":
        return status
    import resource  # noqa: PLC0415 - Windows has none

    number = -status
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program's own is the one to look at
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    with suppress(OSError):  # its terminal may be gone
        sys.stderr.flush()
    os.kill(os.getpid(), number)
    return 128 + number


def _known(names: Iterable[str]) -> list[int]:
    """The signals of these names that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _has_terminal() -> bool:
    """Whether we are in the foreground of a terminal, which gives a key press to the program by itself."""
    if sys.platform == "win32":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
