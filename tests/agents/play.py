"""A dialogue: a person's words, the calls that a sensible agent makes then, and what the account is afterwards.

The agent has the descriptions of the tools to go by and nothing else, and makes nothing up: every text and every number
that it sends was said by the person, stands in an answer it has read, or is a word of the argument's own schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mcp import Client
from mcp_types import Tool

from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import served
from tests.support import Home, data_of, text_of


@dataclass
class Agent:
    """What makes the calls, and counts them."""

    client: Client
    home: Home
    words: str
    tools: dict[str, Tool]
    calls: int = 0
    bytes_read: int = 0
    known: list[Any] = field(default_factory=list)
    """Every text and number of the answers so far."""

    @property
    def sandbox(self) -> Sandbox:
        """The account."""
        return self.home.sandbox

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a tool, which must be no error."""
        properties = self.tools[tool].input_schema["properties"]
        assert arguments.keys() <= properties.keys(), "it sends what the schema has"
        for name, value in arguments.items():
            for leaf in _leaves(value):
                assert self._may_send(leaf, properties[name]), f"{tool}: {name} {leaf!r} is made up"
        result = await self.client.call_tool(tool, arguments)
        self.calls += 1
        self.bytes_read += len(text_of(result).encode())
        data = data_of(result)
        self.known += _leaves(data)
        return data

    def _may_send(self, leaf: Any, schema: dict[str, Any]) -> bool:
        if isinstance(leaf, bool) or leaf in self.known or leaf in schema.get("enum", ()):
            return True
        said = self.words.casefold()
        if isinstance(leaf, str):
            return leaf.casefold() in said
        return abs(leaf) in [float(number) for number in re.findall(r"\d+(?:\.\d+)?", said)]


@dataclass(frozen=True)
class Dialogue:
    """One kind of task: `acts` are the calls and what must be so afterwards."""

    kind: str
    words: str
    most_calls: int
    acts: Callable[[Agent], Awaitable[None]]
    given: Callable[[Sandbox], None]

    async def play(self, home: Home) -> Agent:
        """Play it on an account of its own. Raises AssertionError where something is not as it must be."""
        home.extra |= {"COMETAPI_MCP_TIMEZONE": "UTC", "COMETAPI_MCP_ENV_DIRS": str(home.directory)}
        self.given(home.sandbox)
        failure: AssertionError | None = None
        async with served(home) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            agent = Agent(client, home, self.words.replace("~", str(home.directory)), tools)
            try:
                await self.acts(agent)
            except AssertionError as error:
                failure = error  # raised below: the client's task group would wrap it
        if failure:
            raise failure
        assert agent.calls <= self.most_calls
        return agent


def nothing(_sandbox: Sandbox) -> None:
    """An account without keys."""


def _leaves(data: Any) -> Iterator[Any]:
    """The texts and numbers in JSON."""
    if isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _leaves(inner)
    elif data is not None:
        yield data


def table(played: list[tuple[Dialogue, Agent]]) -> str:
    """What each dialogue took, and the tools' list, which every conversation reads once."""
    lines = [f"{dialogue.kind:20} {agent.calls:5} {agent.bytes_read:6}  {dialogue.words}" for dialogue, agent in played]
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in played[0][1].tools.values()]
    size = len(json.dumps(listed, separators=(",", ":")).encode())
    head = f"{'kind of task':20} calls  bytes  the person's words"
    return "\n".join([head, *lines, "", f"tools/list: {size} bytes"])
