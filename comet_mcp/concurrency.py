"""What several calls at once need: the end of each, one call of the API for many, one writer for each key."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

import anyio

from comet_mcp.clock import Clock
from comet_mcp.errors import CometError, UnclearError, UnsentError

_Request = TypeVar("_Request")
_T = TypeVar("_T")

MARGIN = 1.0
"""Seconds kept for what comes after the last call of the API: writing a file, writing the answer."""


@asynccontextmanager
async def working_beside(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """A context beside which `works` go on until it is left. Its errors come out as they are."""
    failure: Exception | None = None
    async with anyio.create_task_group() as beside:
        for work in works:
            beside.start_soon(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below: a task group would wrap it
            failure = error
        beside.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Deadline:
    """The moment by which a call's answer has to be under way, for work that goes on when the call is cancelled."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds - min(MARGIN, seconds / 4)
        self._to_write = seconds / 4

    @property
    def left(self) -> float:
        """Seconds that are left; a little even when it has passed, so that a last read may still succeed."""
        return max(self._end - self._clock.monotonic(), 0.05)

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return self._clock.monotonic() >= self._end

    def require_time_to_write(self) -> None:
        """Raise UnsentError where so little time is left that the answer to a write would hardly be waited for."""
        if self._end - self._clock.monotonic() < self._to_write:
            raise UnsentError(
                "The API is slow, and too little time was left to change something and to see what came of it. "
                "Nothing was sent. Try again.",
                code="timed_out",
            )


class KeyedLock:
    """One at a time for each key: `async with lock(key_id):` around reading it and writing it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, anyio.Lock] = WeakValueDictionary()

    def __call__(self, key_id: int) -> anyio.Lock:
        """The lock of that key."""
        return self._locks.setdefault(key_id, anyio.Lock(fast_acquire=True))


class Pending:
    """Those who are still on their way to where they will ask: `with pending:` on the way."""

    def __init__(self) -> None:
        self._count = 0
        self._arrived = anyio.Event()

    def __enter__(self) -> Self:
        self._count += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._arrived.set()

    async def arrival(self, max_wait: float) -> None:
        """Wait until nobody is on the way, `max_wait` seconds at most."""
        with anyio.move_on_after(max_wait):
            while self._count:
                self._arrived = anyio.Event()
                await self._arrived.wait()


class _Flight(Generic[_Request, _T]):
    def __init__(self) -> None:
        self.requests: list[_Request] = []
        self.until = 0.0
        self.begun = False
        self.error: CometError | None = None
        self.result: _T


class SingleFlight(Generic[_Request, _T]):
    """One call of the API for everyone who wants the same answer at that moment.

    Two hundred creates at once would else list two hundred times and reveal two hundred keys, and run into the API's
    limits. Who asks while a call is under way waits for the next one, since the running one may have been answered
    before their key was made. All who wait share it, its failure too.
    """

    def __init__(
        self,
        call: Callable[[list[_Request], float], Awaitable[_T]],
        clock: Clock,
        *,
        pending: Pending | None = None,
        max_wait: float = 0,
        rate: tuple[int, float] | None = None,
    ) -> None:
        """Make one.

        Args:
            call: Gets the requests of one flight, and the seconds it may take.
            clock: The server's.
            pending: Those who will ask soon: a flight waits for them, so that they need no other.
            max_wait: How many seconds it waits for them at most.
            rate: How many flights there are in how many seconds at most; who comes meanwhile shares the next.
        """
        self._call = call
        self._clock = clock
        self._pending = pending or Pending()
        self._max_wait = max_wait
        self._begun: deque[float] | None = deque(maxlen=rate[0]) if rate else None
        self._within = rate[1] if rate else 0.0
        self._turn = anyio.Lock(fast_acquire=True)
        self._next: _Flight[_Request, _T] = _Flight()

    async def join(self, request: _Request, seconds: float) -> _T:
        """The answer of a call that begins after this was asked.

        Raises:
            CometError: The call failed, or did not end within `seconds`.
        """
        flight = self._next
        flight.requests.append(request)
        # who has little time must not fail the others
        flight.until = max(flight.until, self._clock.monotonic() + seconds)
        with anyio.move_on_after(seconds):
            async with self._turn:
                if not flight.begun:
                    await self._fly(flight)
        if flight.error is not None:
            raise flight.error
        if not hasattr(flight, "result"):
            raise UnclearError("The API did not answer in time. Nothing was changed; try again.")
        return flight.result

    async def _fly(self, flight: _Flight[_Request, _T]) -> None:
        await self._pending.arrival(self._max_wait)
        if self._begun is not None:
            if len(self._begun) == self._begun.maxlen:
                await self._clock.sleep(max(self._begun[0] + self._within - self._clock.monotonic(), 0))
            self._begun.append(self._clock.monotonic())
        flight.begun = True
        self._next = _Flight()
        try:
            flight.result = await self._call(flight.requests, max(flight.until - self._clock.monotonic(), 0.05))
        except CometError as error:
            flight.error = error
        except BaseException:
            flight.begun = False  # this caller was cancelled: the next one who waits makes the call
            raise


async def together(*work: Callable[[], Awaitable[_T]]) -> list[_T]:
    """What each gives, all at work at once. The first error ends the others, and comes out as it is."""
    given: dict[int, _T] = {}
    failed: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def do(number: int, one: Callable[[], Awaitable[_T]]) -> None:
            try:
                given[number] = await one()
            except Exception as error:  # noqa: BLE001 - raised below: a task group would wrap it
                failed.append(error)
                tasks.cancel_scope.cancel()

        for number, one in enumerate(work):
            tasks.start_soon(do, number, one)
    if failed:
        raise failed[0]
    return [given[number] for number in range(len(work))]
