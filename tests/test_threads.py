"""Blocking work on threads that may never come back."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from weakref import ref

import anyio
import pytest

from comet_mcp.threads import LateError, Threads, run_blocking
from tests.e2e.steps import until


async def test_a_thread_that_has_come_back_does_the_next_work() -> None:
    threads = Threads(1)
    assert len({await threads.run(threading.get_ident, 10) for _ in range(100)}) < 10


async def test_work_that_hangs_keeps_its_thread_to_itself_until_it_comes_back() -> None:
    threads, released = Threads(2), threading.Event()
    try:
        with pytest.raises(LateError):
            await threads.run(lambda: released.wait(10), 0.01)
        assert await threads.run(lambda: "others go on", 10) == "others go on"
    finally:
        released.set()


async def test_while_as_many_hang_as_may_no_other_work_is_begun() -> None:
    threads, released, begun = Threads(1), threading.Event(), threading.Event()
    try:
        with pytest.raises(LateError):
            await threads.run(lambda: released.wait(10), 0.01)
        assert threads.hangs
        with pytest.raises(LateError):
            await threads.run(begun.set, 10)
        assert not begun.is_set()
    finally:
        released.set()
    await until(lambda: not threads.hangs)
    await threads.run(begun.set, 10)
    assert begun.is_set()


def test_what_the_work_raises_is_raised_where_it_is_waited_for_and_the_thread_goes_on() -> None:
    def fail() -> int:
        failed.add(threading.get_ident())
        raise ZeroDivisionError

    failed: set[int] = set()
    for _ in range(100):
        with pytest.raises(ZeroDivisionError):
            run_blocking(fail, 10)
    assert len(failed) < 10


async def test_what_many_calls_at_once_took_is_not_kept_for_ever() -> None:
    threads, before, together = Threads(1), threading.active_count(), threading.Barrier(100)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(threads.run, lambda: together.wait(30), 30)
    await until(lambda: threading.active_count() < before + 20)


def test_what_a_work_sets_for_itself_is_not_set_for_the_next_on_its_thread() -> None:
    def count() -> int:
        seen.add(threading.get_ident())
        variable.set(variable.get() + 1)
        return variable.get()

    variable, seen = ContextVar("count", default=0), set[int]()
    assert [run_blocking(count, 10) for _ in range(100)] == [1] * 100
    assert len(seen) < 100, "they had threads in common"


async def test_a_thread_that_waits_for_work_keeps_nothing_of_the_last() -> None:
    class Value:
        """Something that may be large, or secret."""

    given = ref(run_blocking(Value, 10))
    await until(lambda: given() is None)
