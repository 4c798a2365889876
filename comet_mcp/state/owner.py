"""Whose an intent is: the server process that works on it."""

from __future__ import annotations

import os
import socket
import sys


def this_server() -> str:
    """This process, by its machine and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_dead(owner: str) -> bool:
    """Whether the process is surely gone. Never of another machine's (or container's), nor on Windows."""
    host, _, number = owner.rpartition(":")
    if sys.platform == "win32" or host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
