"""The process's two ends of the wire, stdin and stdout, with the standard library alone."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO


def pipes_serve() -> bool:
    """Whether asyncio can serve stdin and stdout here: connect_read_pipe refuses regular files."""
    return sys.platform != "win32" and all(_is_pipe(number) or os.isatty(number) for number in (0, 1))


def is_piped() -> bool:
    """Whether programs hold the other ends, and no person in a terminal."""
    return sys.platform != "win32" and all(_is_pipe(number) for number in (0, 1))


def _is_pipe(descriptor: int) -> bool:
    kind = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def claim() -> tuple[BinaryIO, BinaryIO]:
    """Take the wire for us alone: fd 0 becomes empty, and fd 1 leads to stderr."""
    wire_in, wire_out = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return wire_in, wire_out
