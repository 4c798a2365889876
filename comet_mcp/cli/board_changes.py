"""What the page may ask to have done to a key: one change at a time, by the ordinary tools.

The tool's own question goes to the page, and what the person says there is its answer. Another change, or the page
loaded anew, is a no to a question that is open. A browser that copies a tab gives the copy its session too, so each
question has a number, and an answer that has another is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel, ConfigDict, Field

from comet_mcp.cli.calls import Calls
from comet_mcp.cli.people import why
from comet_mcp.errors import CometError
from comet_mcp.text import printable

_LONGEST = 4000
_OPTION = re.compile(r"(?<= )--(budget|lifetime|models|ips|unlimited)(?=:)")
"""How a question names a field for a terminal; the page has no options."""

Answer = dict[str, Any]
"""What the page is told: a `question` and its `number`, the tool's `result`, or an `error`."""


class Action(BaseModel):
    """A change that the page asks for: the call of a tool."""

    model_config = ConfigDict(strict=True, extra="forbid")

    tool: Literal["update_api_key", "rotate_api_key", "delete_api_key"]
    arguments: dict[str, int | float | str] = Field(max_length=10)


class Changes:
    """Makes the changes, each in a task of its own that waits for the person."""

    def __init__(self) -> None:
        self._said, self._hear = anyio.create_memory_object_stream[Answer](1)
        self._agree, self._agreed = anyio.create_memory_object_stream[bool](1)
        self._is_open = False
        self._number = 0
        """That of the last question."""
        self.under_way = False
        """Whether a change is being made that the person has agreed to."""
        self.last_ended = ""
        """How the last one ended, in a sentence."""

    async def begin(self, calls: Calls, tasks: TaskGroup, action: Action) -> Answer:
        """Begin a change; the answer has its question, or how it ended without one."""
        await self.drop()
        tasks.start_soon(self._work, calls, action)
        return await self._hear.receive()

    async def answer(self, number: int, *, agrees: bool) -> Answer:
        """Answer the question of that number, if it is open; how the change ended is returned."""
        if not self._is_open or number != self._number:
            return {"error": "No question is open. Choose again what is to be done."}
        self._is_open, self.under_way = False, agrees
        await self._agree.send(agrees)
        return await self._hear.receive()

    async def drop(self) -> None:
        """Say no to a question that is open."""
        if self._is_open:
            await self.answer(self._number, agrees=False)

    async def asked(self, question: str) -> bool:
        """Have the page ask; called by the client of the tools."""
        self._is_open, self.under_way = True, False
        self._number += 1
        await self._said.send({"question": _OPTION.sub(r"\1", question), "number": self._number})
        return await self._agreed.receive()

    def close(self) -> None:
        """End; nothing more is asked or told."""
        for stream in (self._said, self._hear, self._agree, self._agreed):
            stream.close()

    async def _work(self, calls: Calls, action: Action) -> None:
        try:
            told: Answer = {"result": await calls(action.tool, **action.arguments)}
        except CometError as error:
            told = {"error": printable(why(error), _LONGEST)}
        self._is_open = False
        self.under_way, self.last_ended = False, _in_words(told, calls.said)
        await self._said.send(told)


def _in_words(told: Answer, said: Callable[[str], str]) -> str:
    """How a change ended, for the terminal: the page may not be there any more."""
    if "error" in told:
        return str(told["error"])
    warnings = told["result"].get("warnings") or []
    return " ".join(["The change was made.", *(printable(said(text), _LONGEST) for text in warnings)])
