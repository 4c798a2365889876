"""An event loop whose time is a number: nothing waits, and which of the ready callbacks runs next is drawn by a seed.

Every task belongs to an owner, which is inherited by the tasks it starts. What an owner that has died left ready never
runs, so that its tasks stop where they stand, as those of a process do that was killed: no `finally` of theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

_T = TypeVar("_T")

MOST_STEPS = 400_000
"""Callbacks after which a history counts as one that never ends."""


class StuckError(AssertionError):
    """Nothing is ready and nothing is waited for, or it goes on for ever."""


class Owner:
    """Whose a task is: something that can die at any of its steps."""

    def __init__(self, loop: Loop, name: str, *, skew: float = 0.0) -> None:
        self.loop, self.name = loop, name
        self.skew = skew
        """Seconds by which its machine's clock is ahead."""
        self.dead = False
        self.died_at = math.inf
        self.steps = 0
        self.dies_at: int | None = None
        """The step that it does not live to see."""
        self.on_death: Callable[[], None] = lambda: None

    def die(self) -> None:
        """Stop everything of it, for good."""
        if not self.dead:
            self.dead = True
            self.died_at = self.loop.now
            self.on_death()


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)


class Ordered(dict[Any, None]):
    """A set whose order is that in which its members came: sets of objects have another order in every process."""

    add = dict.setdefault

    def discard(self, member: Any) -> None:
        self.pop(member, None)

    def remove(self, member: Any) -> None:
        del self[member]


class _Task(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have the same order in every process."""

    _number = itertools.count()

    def __init__(self, *args: Any, **options: Any) -> None:
        self.number = next(_Task._number)
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self.number


class _Handle(asyncio.Handle):
    """A callback, without what asyncio notes for debugging. All that is asked of it elsewhere is `cancel`."""

    __slots__ = ()

    def __init__(
        self, loop: Loop, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._loop = loop
        self._callback: Any = callback
        self._args: Any = args
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        """Never run it."""
        self._cancelled = True
        self._callback = self._args = None


class _Moment(float):
    """When a callback is due. It compares as the number that it is, which a handle does in Python."""

    __slots__ = ("handle",)
    handle: _Handle


class Loop(asyncio.BaseEventLoop):
    """The loop. Its time is in seconds since its begin, and is only ever moved by itself."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random
        self.now = 1000.0
        self.steps = 0
        self.failures: list[str] = []
        self.numbers = itertools.count(1)
        """Numbers for whatever needs one in a history."""
        self.tasks: list[_Task] = []
        self.left: list[_Handle] = []
        """What the dead had ready."""
        self.over = False
        """Whether the history is told, and all that is left only has to end."""
        self._draw = random.random
        self._ready: deque[_Handle]
        self._timers: list[_Moment] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(self, callback, args, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        moment = _Moment(when)
        moment.handle = _Handle(self, callback, args, context)
        heapq.heappush(self._timers, moment)
        return moment.handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, **options: Any
    ) -> _Task:
        task = _Task(coro, loop=loop, context=context, **options)
        self.tasks.append(task)
        return task

    def owned(self, owner: Owner | None, coro: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task of that owner."""
        context = copy_context()
        context.run(OWNER.set, owner)
        return self.create_task(coro, context=context)

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.over:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and (timers[0].handle._cancelled or not ready or timers[0] <= self.now):
            moment = heapq.heappop(timers)
            if not moment.handle._cancelled:
                self.now = max(self.now, float(moment))
                ready.append(moment.handle)
        if not ready:
            raise StuckError(f"nothing is ready and nothing is waited for at {self.now:.3f}")
        if (count := len(ready)) > 1:
            ready.rotate(-int(self._draw() * count))
        handle = ready.popleft()
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)
        if owner is not None and not self.over:
            if owner.steps == owner.dies_at:
                owner.die()
            if owner.dead:
                self.left.append(handle)
                return
            owner.steps += 1
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise StuckError(f"more than {MOST_STEPS} steps, at {self.now:.3f}")
        handle._run()

    def _process_events(self, event_list: Any) -> None:
        """There are no events: nothing here talks to the outside world."""

    def _write_to_self(self) -> None:
        """Nothing waits in a selector that would have to be woken."""


def require_going_on() -> None:
    """Raise where the history is told: nothing may have an effect any more."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, Loop) and loop.over:
        raise asyncio.CancelledError


def run(random: Random, main: Callable[[Loop], Awaitable[_T]]) -> _T:
    """Run `main` on a loop of its own to its end, and throw away what it leaves behind.

    Raises:
        StuckError: It waits for something that never comes.
    """
    loop = Loop(random)

    async def whole() -> _T:
        return await main(loop)

    with _running(loop):
        try:
            return loop.run_until_complete(whole())
        finally:
            _throw_away(loop)
            loop.close()


@contextlib.contextmanager
def _running(loop: Loop) -> Iterator[None]:
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)


def _throw_away(loop: Loop) -> None:
    """End all tasks, those of the dead too. What they still do is refused by whatever they would do it with."""
    loop.over = True
    loop._ready.extend(loop.left)
    loop.steps = 0

    async def unwind() -> None:
        this = asyncio.current_task()
        for _ in range(100):
            left = [task for task in loop.tasks if task is not this and not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(10)
        loop.failures.append(f"{len(left)} tasks never end")

    with contextlib.suppress(StuckError):
        loop.run_until_complete(unwind())
    for task in loop.tasks:
        if task.done() and not task.cancelled():
            task.exception()  # of no interest any more
    loop.tasks.clear()
