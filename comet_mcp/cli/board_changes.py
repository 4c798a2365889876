"""What the page may ask to have done to a key: one change at a time, by the ordinary tools.

The tool's own question goes to the page, and what the person says there is its answer. Another change, or the page
loaded anew, is a no to a question that is open.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel, ConfigDict, Field

from comet_mcp.cli.calls import Calls
from comet_mcp.cli.key_views import where
from comet_mcp.cli.people import why
from comet_mcp.domain.money import usd_amount
from comet_mcp.errors import ArgumentError, CometError
from comet_mcp.text import printable, quoted

_LONGEST = 4000
_OPTION = re.compile(r"(?<= )--(budget|lifetime|models|ips|unlimited)(?=:)")
"""How a question names a field for a terminal; the page has no options."""

Answer = dict[str, Any]
"""What the page is told: a `question`, what is `done`, or an `error`."""


class Action(BaseModel):
    """A change that the page asks for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    action: str = Field(max_length=20)
    id: int = Field(ge=1)
    amount: str = Field(default="", max_length=20)
    day: str = Field(default="", max_length=20)


class Changes:
    """Makes the changes, each in a task of its own that waits for the person."""

    def __init__(self) -> None:
        self._said, self._hear = anyio.create_memory_object_stream[Answer](1)
        self._agree, self._agreed = anyio.create_memory_object_stream[bool](1)
        self._is_open = False

    async def begin(self, calls: Calls, tasks: TaskGroup, action: Action) -> Answer:
        """Begin a change; the answer has its question, or how it ended without one."""
        await self.drop()
        tasks.start_soon(self._work, calls, action)
        return await self._hear.receive()

    async def answer(self, *, agrees: bool) -> Answer:
        """Answer the question that is open; how the change ended is returned."""
        if not self._is_open:
            return {"error": "No question is open. Choose again what is to be done."}
        self._is_open = False
        await self._agree.send(agrees)
        return await self._hear.receive()

    async def drop(self) -> None:
        """Say no to a question that is open."""
        if self._is_open:
            await self.answer(agrees=False)

    async def asked(self, question: str) -> bool:
        """Have the page ask; called by the client of the tools."""
        self._is_open = True
        await self._said.send({"question": _OPTION.sub(r"\1", question)})
        return await self._agreed.receive()

    def close(self) -> None:
        """End; nothing more is asked or told."""
        for stream in (self._said, self._hear, self._agree, self._agreed):
            stream.close()

    async def _work(self, calls: Calls, action: Action) -> None:
        try:
            told = {"done": "\n".join(printable(line, _LONGEST) for line in await _done(calls, action))}
        except CometError as error:
            told = {"error": printable(why(error), _LONGEST)}
        self._is_open = False
        await self._said.send(told)


async def _done(calls: Calls, action: Action) -> list[str]:
    """Make the change, and tell what was done, in lines. Raises CometError."""
    work = _WORK.get(action.action)
    if work is None:
        raise ArgumentError("The page asks for something that this program does not do. Load it anew.")
    return await work(calls, action)


async def _update(calls: Calls, action: Action, **fields: Any) -> list[str]:
    done = await calls("update_api_key", id=action.id, **fields)
    if not done["changed"]:
        return ["Nothing was to be changed."]
    changed = [f"{name}: {calls.said(text)}" for name, text in done["changed"].items()]
    return [
        f"Key {done['id']} {quoted(done['name'])} was changed.",
        *changed,
        *map(calls.said, done.get("warnings") or []),
    ]


async def _disable(calls: Calls, action: Action) -> list[str]:
    return await _update(calls, action, status="disabled")


async def _enable(calls: Calls, action: Action) -> list[str]:
    return await _update(calls, action, status="enabled")


async def _top_up(calls: Calls, action: Action) -> list[str]:
    amount = usd_amount(action.amount)
    if not amount:
        raise ArgumentError('Give the US dollars to add, such as "5" or "0.50".')
    return await _update(calls, action, add_budget_usd=amount)


async def _end(calls: Calls, action: Action) -> list[str]:
    if not action.day:
        raise ArgumentError("Give the day with which the key is to end.")
    return await _update(calls, action, lifetime=action.day)


async def _rotate(calls: Calls, action: Action) -> list[str]:
    done = await calls("rotate_api_key", id=action.id)
    fresh = done["new_key"]
    warnings = [*(done.get("warnings") or []), *(fresh.get("warnings") or [])]
    return [*map(calls.said, [*done["steps"], *warnings]), *where(fresh.get("secret"), fresh["name"])]


async def _delete(calls: Calls, action: Action) -> list[str]:
    done = await calls("delete_api_key", id=action.id)
    if not done["deleted"]:
        raise CometError(calls.said(done.get("note") or "No key was deleted."))
    return [f"Key {done['id']} {quoted(done.get('name') or '')} was deleted."]


_WORK: dict[str, Callable[[Calls, Action], Awaitable[list[str]]]] = {
    "disable": _disable,
    "enable": _enable,
    "top_up": _top_up,
    "end": _end,
    "rotate": _rotate,
    "delete": _delete,
}
