"""The tools of this server, called by a person in a terminal.

A command is one more client of the server, in the same process: what it asks for passes the policy, the audit trail,
the person's yes and the journal as the call of an agent does. The tool's question is asked in the terminal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio
import click
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, Implementation, TextContent

from comet_mcp import __version__
from comet_mcp import settings as configuration
from comet_mcp.cli.people import for_people, trouble
from comet_mcp.cli.terminal import Waiting, can_ask, confirmed, progress
from comet_mcp.errors import CometError, ConfirmationError, SettingsError
from comet_mcp.server import create_server
from comet_mcp.settings import Settings

_T = TypeVar("_T")
_NAME = "cometapi-mcp in a terminal"
"""What the audit trail has for the client."""


@dataclass
class Calls:
    """What calls the tools.

    Args:
        client: A client of the server.
        settings: What the server was told.
        person: Who is asked.
    """

    client: Client
    settings: Settings
    person: _Person

    async def __call__(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured content of what a tool answers. An argument that is None is left out.

        Raises:
            CometError: The tool refuses, in a sentence for people; or nobody could be asked.
            click.Abort: The person pressed Ctrl-C at the question.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        with progress("Waiting for the API") as self.person.waiting:
            result = await self.client.call_tool(tool, given)
        self.person.require_agreed()
        if result.is_error:
            raise CometError(for_people(_text_of(result)))
        return result.structured_content or {}


def with_calls(work: Callable[[Calls], Awaitable[_T]], *, yes: bool = False, asks: bool = False) -> _T:
    """What `work` gives, with the tools of the server that the settings describe.

    Args:
        work: Calls them.
        yes: Whether every question counts as answered with yes.
        asks: Whether a person is asked before each write, whatever the settings say.

    Raises:
        SettingsError: A setting is missing or wrong.
        CometError: What `work` raises.
    """
    settings = configuration.load()
    if wrong := trouble(settings):
        raise SettingsError(wrong)
    if asks:
        settings = replace(settings, confirm="writes")
    return anyio.run(_worked, settings, _Person(says_yes=yes), work)


async def _worked(settings: Settings, person: _Person, work: Callable[[Calls], Awaitable[_T]]) -> _T:
    info = Implementation(name=_NAME, version=__version__)
    outcome: list[_T | Exception] = []
    async with Client(create_server(settings), elicitation_callback=person.asked, client_info=info) as client:
        try:
            outcome.append(await work(Calls(client, settings, person)))
        except (CometError, click.ClickException, click.Abort) as error:
            outcome.append(error)  # raised in the client's task group it would come out as a group
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


@dataclass
class _Person:
    """The person in the terminal: what they were asked, and what they said."""

    says_yes: bool
    outcome: str = field(default="", init=False)
    waiting: Waiting | None = field(default=None, init=False)

    async def asked(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """The answer to a question of a tool."""
        del context
        if self.says_yes:
            return ElicitResult(action="accept", content={"confirm": True})
        if not can_ask():
            self.outcome = "unasked"
            return ElicitResult(action="cancel")
        if self.waiting is not None:
            self.waiting.end()
        try:
            agreed = confirmed(params.message)
        except click.Abort:
            self.outcome = "interrupted"
            return ElicitResult(action="cancel")
        if self.waiting is not None:
            self.waiting.begin()
        self.outcome = "" if agreed else "no"
        return ElicitResult(action="accept" if agreed else "decline", content={"confirm": True} if agreed else None)

    def require_agreed(self) -> None:
        """Raise what an answer other than yes means."""
        outcome, self.outcome = self.outcome, ""
        if outcome == "interrupted":
            raise click.Abort
        if outcome == "unasked":
            raise ConfirmationError("Nobody can be asked here, so nothing was done. --yes does it unasked.")
        if outcome == "no":
            raise ConfirmationError("Nothing was done.")


def _text_of(result: CallToolResult) -> str:
    return " ".join(content.text for content in result.content if isinstance(content, TextContent))
