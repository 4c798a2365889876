"""Whether the client was told of a key: work that a cancellation does not stop, and what becomes of its answer.

Clients cancel calls, and close stdin, whenever they like. A key that nobody was told of goes to the next equal create.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel

from comet_mcp.errors import CometError, JournalError
from comet_mcp.state.intents import Intents

_T = TypeVar("_T")


class Telling:
    """What is noted of creates whose answer the client may not read."""

    def __init__(self, intents: Intents, gone: anyio.Event) -> None:
        """`gone` is set once the client has closed its end.

        It may still read what is written, as `printf ... | cometapi-mcp` does. An MCP client that leaves does the
        same to the pipes and reads nothing, so an answer counts as not read: a second key is worse than a first one
        that is returned again, with a warning that says so.
        """
        self._intents = intents
        self._gone = gone

    @asynccontextmanager
    async def answer(self) -> AsyncIterator[list[int]]:
        """A context for a call up to where its answer leaves; its creates are put into the list.

        Where it is cancelled or fails on the way, or the client has gone, they are noted as not told.
        """
        made: list[int] = []
        told = False
        try:
            yield made
            # what the call did last may have been shielded from a cancellation that has come
            await anyio.lowlevel.checkpoint_if_cancelled()
            told = not self._gone.is_set()
        finally:
            if not told:
                for intent in made:
                    await self._not_told(intent)

    async def to_the_end(self, intent: int, work: Callable[[], Awaitable[_T]]) -> _T:
        """What `work` gives, which nothing stops.

        The create, which is this call's, is noted as not told as soon as a cancellation comes or the client goes: an
        equal one then waits for its end instead of making a second key.
        """
        outcome: list[_T] = []
        failure: list[CometError] = []

        async def watch() -> None:
            try:
                await self._gone.wait()
            except anyio.get_cancelled_exc_class():
                if not (outcome or failure):
                    await self._not_told(intent)
                raise
            await self._not_told(intent)

        try:
            async with anyio.create_task_group() as beside:
                beside.start_soon(watch)
                with anyio.CancelScope(shield=True):
                    try:
                        outcome.append(await work())
                    except CometError as error:
                        failure.append(error)  # raised below: a task group would wrap it
                beside.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
            if outcome and self._gone.is_set():
                await self._not_told(intent)
        except anyio.get_cancelled_exc_class():
            if outcome:
                await self._not_told(intent)
            raise
        if failure:
            raise failure[0]
        return outcome[0]

    async def _not_told(self, intent: int) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(JournalError):
            await self._intents.give_up(intent)
