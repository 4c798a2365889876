"""Time that passes three times as fast, for tests in one process that wait for deadlines: `@pytest.mark.fast_time`.

The event loops, the server's clock and the sandbox's all run by it: a deadline of two seconds takes two thirds of one.
Other processes keep their own time: a test that starts one is marked `real_time`.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Iterator
from unittest import mock

from comet_mcp.clock import SYSTEM, Clock

FACTOR = 3.0
_START = time.time()


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout and timeout / FACTOR)
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are short."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return super().time() * FACTOR


def wall() -> float:
    """Unix seconds, from the start of the tests on as fast as the loops."""
    return _START + (time.time() - _START) * FACTOR


def monotonic() -> float:
    return time.monotonic() * FACTOR


@contextlib.contextmanager
def running() -> Iterator[None]:
    """A context in which the server's clock and the sandbox's loop run fast."""
    with (
        mock.patch.object(SYSTEM, "_wall", wall),
        mock.patch.object(SYSTEM, "_monotonic", monotonic),
        mock.patch.object(Clock, "block", lambda _, seconds: time.sleep(seconds / FACTOR)),
        mock.patch("comet_mcp.sandbox.server.asyncio.new_event_loop", FastLoop),
    ):
        yield
