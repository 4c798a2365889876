"""The tools of this server, called by a person in a terminal.

A command is one more client of the server, in the same process: what it asks for passes the policy, the audit trail,
the person's yes and the journal as the call of an agent does. The tool's question is asked in the terminal.

The server and the protocol are loaded by the first call: help and wrong usage do without.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from comet_mcp import __version__
from comet_mcp.cli.people import for_people, usable_settings
from comet_mcp.cli.terminal import Waiting, can_ask, confirmed, progress
from comet_mcp.errors import CometError, ConfirmationError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client.session import ClientRequestContext
    from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

    from comet_mcp.settings import Settings

_T = TypeVar("_T")
_NAME = "cometapi-mcp in a terminal"
"""What the audit trail has for the client."""
_UNASKED = "Nobody can be asked here, so nothing was done. --yes does it unasked."


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
            CometError: The tool refuses, in a sentence for people; or nobody could be asked, or said yes.
            click.Abort: The person pressed Ctrl-C at the question.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        with progress("Waiting for the API ...") as self.person.waiting:
            result = await self.client.call_tool(tool, given)
        self.person.require_agreed()
        if result.is_error:
            raise CometError(self.said(_text_of(result)))
        return result.structured_content or {}

    def require(self, name: str) -> None:
        """Raise CometError where the settings leave that tool out."""
        from comet_mcp.server import TOOLS, left_out_by  # noqa: PLC0415 - see the module's docstring

        tool = next(tool for tool in TOOLS if tool.name == name)
        if by := left_out_by(tool, self.settings):
            raise CometError(f"The settings do not allow this ({self.settings.source(by)}). Nothing was done.")

    def said(self, text: str) -> str:
        """A text of a tool for a person, times in their zone."""
        return for_people(text, self.settings.timezone)

    def ask(self, question: str) -> None:
        """Have the person agree to what the next call does; its own question then counts as answered.

        Raises:
            ConfirmationError: They do not, or nobody can be asked.
            click.Abort: They pressed Ctrl-C.
        """
        if self.person.says_yes:
            return
        if not can_ask():
            raise ConfirmationError(_UNASKED)
        if not confirmed(question, ""):
            raise ConfirmationError("Nothing was done.")
        self.person.says_yes = True


def with_calls(
    work: Callable[[Calls], Awaitable[_T]],
    *,
    yes: bool = False,
    asks: bool = False,
    answers: Callable[[str], Awaitable[bool]] | None = None,
) -> _T:
    """What `work` gives, with the tools of the server that the settings describe.

    Args:
        work: Calls them.
        yes: Whether every question counts as answered with yes.
        asks: Whether a person is asked before each write, whatever the settings say.
        answers: Asks the person a tool's question elsewhere than in the terminal, and tells whether they say yes.

    Raises:
        SettingsError: A setting is missing or wrong.
        CometError: What `work` raises.
    """
    import anyio  # noqa: PLC0415 - see the module's docstring

    settings = usable_settings()
    if asks:
        settings = replace(settings, confirm="writes")
    if settings.secrets == "result":  # no command prints a value
        settings = replace(settings, secrets="none")
    return anyio.run(_worked, settings, _Person(yes, settings, answers), work)


async def _worked(settings: Settings, person: _Person, work: Callable[[Calls], Awaitable[_T]]) -> _T:
    from pydantic import BaseModel  # noqa: PLC0415 - see the module's docstring

    BaseModel.model_config["defer_build"] = True  # as the server does at its start

    from mcp import Client  # noqa: PLC0415
    from mcp_types import Implementation  # noqa: PLC0415

    from comet_mcp.server import create_server  # noqa: PLC0415

    info = Implementation(name=_NAME, version=__version__)
    outcome: list[_T] = []
    failure: list[Exception] = []
    async with Client(create_server(settings), elicitation_callback=person.asked, client_info=info) as client:
        try:
            outcome.append(await work(Calls(client, settings, person)))
        except (CometError, click.ClickException, click.Abort, OSError) as error:
            failure.append(error)  # raised in the client's task group it would come out as a group
    if failure:
        raise failure[0]
    return outcome[0]


@dataclass
class _Person:
    """The person in the terminal, or where `answers` asks them: what they were asked, and what they said."""

    says_yes: bool
    settings: Settings
    answers: Callable[[str], Awaitable[bool]] | None = None
    outcome: str = field(default="", init=False)
    waiting: Waiting | None = field(default=None, init=False)

    async def asked(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """The answer to a question of a tool."""
        from mcp_types import ElicitResult  # noqa: PLC0415 - see the module's docstring

        del context
        if self.answers is not None:
            question = for_people(params.message, self.settings.timezone)
            self.outcome = "" if await self.answers(question) else "no"
        elif not self.says_yes:
            self.outcome = self._answer(params.message)
        if self.outcome:
            # a quick no of a person must not be taken for that of a client which asks nobody
            said_no = ElicitResult(action="accept", content={"confirm": False})
            return said_no if self.outcome == "no" else ElicitResult(action="cancel")
        return ElicitResult(action="accept", content={"confirm": True})

    def _answer(self, question: str) -> str:
        """Why the answer is no yes; "" where it is."""
        if not can_ask():
            return "unasked"
        waiting = self.waiting or Waiting("")
        waiting.end()
        try:
            agreed = confirmed(for_people(question, self.settings.timezone), "")
        except click.Abort:
            return "interrupted"
        waiting.begin()
        return "" if agreed else "no"

    def require_agreed(self) -> None:
        """Raise what an answer other than yes means."""
        outcome, self.outcome = self.outcome, ""
        if outcome == "interrupted":
            raise click.Abort
        if outcome == "unasked":
            raise ConfirmationError(_UNASKED)
        if outcome == "no":
            raise ConfirmationError("Nothing was done.")


def _text_of(result: CallToolResult) -> str:
    return " ".join(content.text for content in result.content if content.type == "text")
