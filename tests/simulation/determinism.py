"""What makes a history the same in every run: no thread, no clock of the machine, no order that memory decides."""

from __future__ import annotations

import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar
from unittest import mock

import anyio
import anyio._backends._asyncio as backend
import anyio.lowlevel
import sniffio

from comet_mcp.threads import Threads
from tests.simulation.loop import Ordered, require_going_on

_T = TypeVar("_T")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """A context in which what is the same for all histories is replaced."""
    made = backend.CancelScope.__init__

    def ordered(scope: Any, *args: Any, **options: Any) -> None:
        made(scope, *args, **options)
        scope._tasks, scope._child_scopes = Ordered(), Ordered()

    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # a history leaves little, and looking for it takes a third of the time
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        # a task can be cancelled before its first step, whatever is inside
        warnings.filterwarnings("ignore", ".*was never awaited", RuntimeWarning)
        stack.callback(gc.set_threshold, *thresholds)
        put = stack.enter_context
        put(mock.patch.object(backend.CancelScope, "__init__", ordered))
        put(mock.patch.object(sniffio.thread_local, "name", "asyncio"))  # else it is looked for at each step
        yield


@contextlib.contextmanager
def seeded(random: Random) -> Iterator[None]:
    """A context in which one history is drawn."""

    async def inline(_threads: Threads, work: Callable[[], _T], _within: float) -> _T:
        """What `Threads` does with its work: at some moment soon, others before it, and sometimes before its end."""
        require_going_on()
        await anyio.lowlevel.checkpoint_if_cancelled()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(random.random() * 0.004)
            require_going_on()
            try:
                return work()
            finally:
                if random.random() < 0.2:
                    await anyio.sleep(random.random() * 0.02)
        raise AssertionError  # a shield swallows nothing

    def secret() -> str:
        return "".join(random.choices(_LETTERS, k=48))

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Threads, "run", inline))
        # anyio's own has no end for a task that ended inside a scope, as one that starts a server does: each history
        # would be kept by it
        stack.enter_context(mock.patch.object(backend, "_task_states", {}))
        for name, module in list(sys.modules.items()):
            if name.startswith("comet_mcp.sandbox.") and "new_secret" in vars(module):
                stack.enter_context(mock.patch.object(module, "new_secret", secret))
        yield
