"""Blocking work on threads that may never come back: a keychain waits for a person, a disk is on a dead network.

Who waits for it waits for a bounded time; then the thread is left behind. None of them holds up the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

import anyio
import anyio.lowlevel

_T = TypeVar("_T")
_MOST_IDLE = 8
"""Threads that are kept for the next work; what many calls at once took beyond them ends."""


class LateError(Exception):
    """Blocking work has not come back. `seconds` is how long the longest has been waited for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer in {seconds:.0f} s")
        self.seconds = seconds


class Threads:
    """The blocking work of one thing that may hang.

    Args:
        most_left: Threads that may be left behind. While there are so many, no other work is begun.
    """

    def __init__(self, most_left: int) -> None:
        self._most_left = most_left
        self._left: dict[asyncio.Future[None], float] = {}

    @property
    def hangs(self) -> bool:
        """Whether no other work would be begun."""
        return len(self._left) >= self._most_left

    async def run(self, work: Callable[[], _T], within: float) -> _T:
        """What `work` gives, while the event loop goes on. A cancellation waits for its end, as long as this does.

        Raises:
            LateError: It took longer than `within` seconds and goes on by itself, or others do since before.
        """
        loop = asyncio.get_running_loop()
        if self.hangs:
            raise LateError(loop.time() - min(self._left.values()))
        await anyio.lowlevel.checkpoint_if_cancelled()
        begun, ended = loop.time(), loop.create_future()
        outcome: list[_T | BaseException] = []

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(ended.set_result, None)

        begin(work, outcome, tell)
        with anyio.CancelScope(shield=True), anyio.move_on_after(within):
            await asyncio.shield(ended)
        if not ended.done():
            self._left[ended] = begun
            ended.add_done_callback(self._left.pop)
            raise LateError(loop.time() - begun)
        return _outcome(outcome[0])


def run_blocking(work: Callable[[], _T], within: float) -> _T:
    """The same where there is no event loop yet. Raises LateError."""
    outcome: list[_T | BaseException] = []
    ended = Event()
    begin(work, outcome, ended.set)
    if not ended.wait(within):
        raise LateError(within)
    return _outcome(outcome[0])


def begin(work: Callable[[], _T], outcome: list[_T | BaseException], ended: Callable[[], object]) -> None:
    """Begin `work` on a thread that dies with the process; what it gives or raises is put into `outcome`."""
    try:
        worker = _IDLE.pop()
    except IndexError:
        worker = _Worker()

    def run() -> None:
        try:
            outcome.append(Context().run(work))  # what it sets there is not the next one's
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            outcome.append(error)
        if len(_IDLE) < _MOST_IDLE:
            _IDLE.append(worker)  # before it is told of: who asks next finds this thread
        else:
            worker.todo.put(None)
        ended()

    worker.todo.put(run)


class _Worker:
    """A thread that does one thing after the other: to start one for each costs a call a tenth of its time."""

    def __init__(self) -> None:
        self.todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """None ends it."""
        Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while (run := self.todo.get()) is not None:
            run()
            del run  # what it gave is kept by nobody who waits for the next


_IDLE: list[_Worker] = []
"""Those that have nothing to do. One that hangs is not among them until it comes back."""


def _outcome(found: _T | BaseException) -> _T:
    if isinstance(found, BaseException):
        raise found
    return found
