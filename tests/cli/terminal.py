"""A command in a terminal of its own, as a person has it. POSIX only: Windows has no pseudo-terminals of this kind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_START = (
    "import fcntl, runpy, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "sys.argv = ['cometapi-mcp', *sys.argv[1:]]\n"
    "runpy.run_module('comet_mcp', run_name='__main__', alter_sys=False)\n"
)
_ROOT = Path(__file__).parent.parent.parent
_LONGEST = 30
_CTRL_C = b"\x03"
_AGAIN = 2
"""Seconds after which Ctrl-C is pressed once more: Python misses one that comes in the instant before it reads."""


def in_terminal(
    *arguments: str, environment: dict[str, str], answers: Iterable[tuple[str, str]] = ()
) -> tuple[int, str]:
    """The exit status of a command, and all that its terminal showed.

    Args:
        arguments: The command and its options.
        environment: All variables that it gets.
        answers: What the person waits for on the screen, and what they type then.
    """
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        cwd=_ROOT,
        env={**environment, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(follower)
    screen, seen, typed = b"", 0, b""
    waited = list(answers)
    try:
        while True:
            if waited and (at := screen.find(waited[0][0].encode(), seen)) >= 0:
                seen = at + len(waited[0][0].encode())
                typed = waited.pop(0)[1].encode()
                os.write(leader, typed)
            if typed == _CTRL_C and not select.select([leader], [], [], _AGAIN)[0]:
                os.write(leader, typed)
            typed = b""
            if not select.select([leader], [], [], _LONGEST)[0]:
                raise AssertionError(f"The terminal shows nothing more after {screen.decode()!r}")
            try:
                more = os.read(leader, 65_536)
            except OSError:  # Linux's end of a terminal that nobody writes to any more
                more = b""
            if not more:
                break
            screen += more
    finally:
        os.close(leader)
        process.kill() if waited else None
        status = process.wait(timeout=_LONGEST)
    assert not waited, f"It never showed {waited[0][0]!r}: {screen.decode()}"
    return status, screen.decode().replace("\r\n", "\n")
