"""One call of the API for everyone who wants the same answer at that moment.

Two hundred creates at once would else list two hundred times, and reveal two hundred keys, and run into the API's
limits of 360 calls in three minutes and 20 reveals in 20 minutes. Who asks while a call is under way waits for the next
one, since the running one may have been answered before their key was made; all who wait share it, its failure too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Self, TypeVar
from weakref import WeakValueDictionary

import anyio

from comet_mcp.errors import CometError, UnclearError

_Wish = TypeVar("_Wish")
_T = TypeVar("_T")


class Crowd:
    """Those who are still on their way to where they will ask: `with crowd:` on the way."""

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

    async def arrival(self, patience: float) -> None:
        """Wait until nobody is on the way, `patience` seconds at most."""
        with anyio.move_on_after(patience):
            while self._count:
                self._arrived = anyio.Event()
                await self._arrived.wait()


class Turns:
    """One at a time for each key: `async with turns(key_id):` around reading it and writing it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, anyio.Lock] = WeakValueDictionary()

    def __call__(self, key_id: int) -> anyio.Lock:
        """The lock of that key."""
        return self._locks.setdefault(key_id, anyio.Lock(fast_acquire=True))


class _Flight(Generic[_Wish, _T]):
    def __init__(self) -> None:
        self.wishes: list[_Wish] = []
        self.until = 0.0
        self.begun = False
        self.error: CometError | None = None
        self.result: _T


class Flights(Generic[_Wish, _T]):
    """Calls that are made one after the other, each for all who asked while the one before was under way."""

    def __init__(
        self,
        call: Callable[[list[_Wish], float], Awaitable[_T]],
        crowd: Crowd | None = None,
        patience: float = 0,
        pace: tuple[int, float] | None = None,
    ) -> None:
        """Make flights.

        Args:
            call: Gets the wishes of one flight, and the seconds it may take.
            crowd: Those who will ask soon: a flight waits for them, so that they need no other.
            patience: How many seconds it waits at most.
            pace: How many flights there are in how many seconds at most; who comes meanwhile shares the next.
        """
        self._begun: deque[float] | None = deque(maxlen=pace[0]) if pace else None
        self._within = pace[1] if pace else 0.0
        self._call = call
        self._crowd = crowd or Crowd()
        self._patience = patience
        self._turn = anyio.Lock(fast_acquire=True)
        self._next: _Flight[_Wish, _T] = _Flight()

    async def join(self, wish: _Wish, seconds: float) -> _T:
        """The answer of a call that begins after this was asked.

        Raises:
            CometError: The call failed, or did not end within `seconds`.
        """
        flight = self._next
        flight.wishes.append(wish)
        flight.until = max(flight.until, anyio.current_time() + seconds)  # who has little time must not fail the others
        with anyio.move_on_after(seconds):
            async with self._turn:
                if not flight.begun:
                    await self._fly(flight)
        if flight.error is not None:
            raise flight.error
        if not hasattr(flight, "result"):
            raise UnclearError("The API did not answer in time. Nothing was changed; try again.")
        return flight.result

    async def _fly(self, flight: _Flight[_Wish, _T]) -> None:
        await self._crowd.arrival(self._patience)
        if self._begun is not None:
            if len(self._begun) == self._begun.maxlen:
                await anyio.sleep_until(self._begun[0] + self._within)
            self._begun.append(anyio.current_time())
        flight.begun = True
        self._next = _Flight()
        try:
            flight.result = await self._call(flight.wishes, max(flight.until - anyio.current_time(), 0.05))
        except CometError as error:
            flight.error = error
        except BaseException:
            flight.begun = False  # this caller was cancelled: the next one who waits makes the call
            raise
