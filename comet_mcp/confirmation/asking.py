"""A person confirms what changes something, by MCP elicitation: a form with one checkbox, shown by the client.

A tool passes a gate before its first write and says there what it is about to do. Without an answer the gate ends the
call with `Asked`, having changed nothing; the question goes to the person, and with the answer the tool runs again from
its start. So what is asked is what is done: the checks and the policy come first, and the key is read again after the
answer. An answer holds for this tool, these arguments and the key as it was shown, within five minutes, once.

    2026-07-28          the question is the call's result (InputRequiredResult); the client repeats the call with the
                        answer, and with a state that this process sealed
    2025-11-25, before  the question is a request of its own in the middle of the call

The protocol's own types are loaded where they are used: `cometapi-mcp run` asks nobody, and starts without them.

It rests on the client: one that says yes without showing the question to anybody can't be told from one that does. A no
that comes faster than a person can read is the client's own: some decline or cancel at once where they run unattended.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import astuple, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from pydantic import ValidationError

from comet_mcp.audit.trail import Note
from comet_mcp.clock import Clock
from comet_mcp.confirmation.gate import OPEN, Asked, Gate, Grant, digest_of
from comet_mcp.errors import ConfirmationError, JournalError
from comet_mcp.journal.base import Journal
from comet_mcp.journal.steps import using_nonce
from comet_mcp.redaction import Redactor
from comet_mcp.settings import Settings

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.request_state import RequestStateCodec
    from mcp_types import CallToolRequestParams, CallToolResult, ElicitResult, InputRequests, InputRequiredResult

ANSWER_WITHIN = 300.0
"""Seconds a person has for an answer. They do not count against COMETAPI_MCP_TIMEOUT."""

MOST_QUESTIONS = 500
"""Calls that may wait for a person at the same time, where their questions stand in the middle of them."""

QUICKEST_PERSON = 1.0
"""Seconds that a person needs at least to say no. Seen: clients that ask nobody decline within 20 ms."""

_QUESTION = "confirm"
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "confirm": {
            "type": "boolean",
            "title": "Do it",
            "description": "Tick the box, or choose True or Yes, to have it done. Else nothing is done.",
            "default": False,
        }
    },
    "required": ["confirm"],
}


class _No(NamedTuple):
    """What an answer other than yes is: its code, and what the agent is told."""

    code: str
    said: str


_NOES = {
    "decline": _No(
        code="confirmation_declined",
        said="The user said no. Nothing was done. Do not call again unless the user asks for it.",
    ),
    "cancel": _No(
        code="confirmation_cancelled",
        said="The user closed the question. Nothing was done. Ask them what they want before you call again.",
    ),
    "accept": _No(
        code="confirmation_unticked",
        said="The question was accepted, but its box was not ticked, or False or No was left in it. Nothing was done: "
        "only the box ticked, or True or Yes chosen, is a yes. Tell the user so; if they want it, call again.",
    ),
    "clients": _No(
        code="confirmation_unasked",
        said="The client declined without asking a person, or nobody could be asked: its answer came faster than "
        "anybody can read. No person has said no. Nothing was done, and calling again here would get the same "
        "answer. Tell the user what you wanted to do, and that it takes a session of their client that can show "
        "them a question: README describes confirmation_unasked.",
    ),
}

_ASKED_IN_RESULTS_SINCE = "2026-07-28"

log = logging.getLogger(__name__)


class Confirmations:
    """Asks the person on behalf of one server process. What it seals opens in no other process."""

    def __init__(self, settings: Settings, journal: Journal, clock: Clock, redactor: Redactor) -> None:
        self._mode = settings.confirm
        self._fallback = settings.confirm_fallback
        self._journal = journal
        self._clock = clock
        self._redactor = redactor
        self._waiting = 0

    async def run(
        self,
        context: ServerRequestContext[Any],
        params: CallToolRequestParams,
        arguments: dict[str, Any],
        note: Note,
        call: Callable[[Gate], Awaitable[CallToolResult]],
        *,
        destructive: bool,
    ) -> CallToolResult | InputRequiredResult:
        """Run a writing call, after a person has confirmed it where the operator or the tool asks for that.

        Args:
            context: The request.
            params: The call as it came; in the newer era it may carry an answer.
            arguments: The call's arguments as they were checked.
            note: The audit trail's; what the person answered is written there.
            call: Runs the tool with a gate, within the time a call has.
            destructive: Whether the tool changes or ends a key that exists.

        Raises:
            ConfirmationError: Nobody could be asked, or the answer was no, too late, altered or used already.
            CometError: What the tool raises.
        """
        from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult  # noqa: PLC0415 - see above
        from mcp_types.version import is_version_at_least  # noqa: PLC0415

        asks = self._mode == "writes" or (self._mode == "destructive" and destructive)
        if not _can_ask(context):
            return await self._unasked(note, call) if asks else await call(OPEN)
        gate = Gate(self._use_up, asks)
        asked_for = digest_of(params.name, arguments)
        in_results = is_version_at_least(context.protocol_version, _ASKED_IN_RESULTS_SINCE)
        answer: object
        if in_results and params.request_state is not None:
            grant = self._opened(params.request_state, asked_for)
            answer = (params.input_responses or {}).get(_QUESTION)
        else:
            try:
                return await call(gate)
            except Asked as asked:
                question = asked.question
            text = self._redactor.text(question.text)
            expires = self._clock.now() + ANSWER_WITHIN
            nonce = secrets.token_urlsafe(16)
            grant = Grant(asked_for, question.state, expires, nonce, self._clock.monotonic(), question.otherwise)
            if in_results:
                note.outcome = "asked"
                form = ElicitRequestFormParams(message=text, requested_schema=_FORM)
                requests: InputRequests = {_QUESTION: ElicitRequest(params=form)}
                return InputRequiredResult(input_requests=requests, request_state=self._sealed(grant))
            answer = await self._asked(context, text, question.otherwise, note)
        await self._judge(answer, grant, note)
        return await call(replace(gate, grant=grant))

    async def _asked(self, context: ServerRequestContext[Any], text: str, otherwise: str, note: Note) -> ElicitResult:
        """The person's answer to a question in the middle of the call; `otherwise` is told where nobody was asked."""
        from mcp.shared.exceptions import MCPError  # noqa: PLC0415 - see above

        if self._waiting >= MOST_QUESTIONS:
            note.confirmation = "not asked: too many questions"
            raise ConfirmationError(
                f"{MOST_QUESTIONS} questions wait for the user's answer already, so this one was not asked. Nothing "
                "was done. Call again when the user has answered some of them.",
                code="confirmation_too_many",
            )
        self._waiting += 1
        try:
            with anyio.move_on_after(ANSWER_WITHIN):
                return await context.session.elicit_form(text, _FORM, context.request_id)
        except (MCPError, ValidationError) as error:
            note.confirmation = "not asked: the client failed"
            log.warning("the client did not show the question: %s", type(error).__name__)
            raise ConfirmationError(
                "The MCP client said it can show a question to the user, and then failed to. Nothing was done. Tell "
                f"the user. {otherwise}".rstrip(),
                code="confirmation_needed",
            ) from None
        finally:
            self._waiting -= 1
        note.confirmation = "timed out"
        raise _too_late()

    async def _unasked(self, note: Note, call: Callable[[Gate], Awaitable[CallToolResult]]) -> CallToolResult:
        note.confirmation = "not asked: the client can't"
        if self._fallback == "allow":
            return await call(OPEN)
        raise ConfirmationError(
            "The user has to confirm such a call in a question that their MCP client shows, and this client can't show "
            "one (it lacks form elicitation). Nothing was done. Tell the user what you wanted to do, and that it takes "
            "a client that can ask them. The person who runs the server decides whether anybody is asked: README "
            "describes COMETAPI_MCP_CONFIRM and COMETAPI_MCP_CONFIRM_FALLBACK.",
            code="confirmation_needed",
        )

    async def _judge(self, answer: object, grant: Grant, note: Note) -> None:
        """Return if the answer is yes and in time. A no uses the question up."""
        from mcp_types import ElicitResult  # noqa: PLC0415 - see above

        if self._clock.now() >= grant.expires:
            note.confirmation = "timed out"
            raise _too_late()
        if not isinstance(answer, ElicitResult):
            raise ConfirmationError(
                "The call came without an answer of the user. Nothing was done. Call again to ask.",
                code="confirmation_needed",
            )
        if answer.action == "accept" and (answer.content or {}).get("confirm") is True:
            note.confirmation = "confirmed"
            return
        is_clients = answer.action != "accept" and self._clock.monotonic() - grant.asked < QUICKEST_PERSON
        no = _NOES["clients" if is_clients else answer.action]
        note.confirmation = no.code.removeprefix("confirmation_")
        await self._use_up(grant)
        otherwise = grant.otherwise if is_clients else ""
        raise ConfirmationError(f"{no.said} {otherwise}".rstrip(), code=no.code)

    async def _use_up(self, grant: Grant) -> None:
        """Note on disk that this answer has served."""
        try:
            fresh = await self._journal.run(using_nonce(grant.nonce, self._clock.now()))
        except JournalError as error:
            raise ConfirmationError(
                f"That the user has answered could not be noted, so nothing was done. {error.args[0]}",
                code="journal_unavailable",
            ) from None
        if not fresh:
            raise ConfirmationError(
                "That answer of the user has served already. Nothing was done. Call again to ask anew.",
                code="confirmation_used",
            )

    @cached_property
    def _codec(self) -> RequestStateCodec:
        """The SDK's. Its middleware would refuse with a protocol error, which many clients keep from the model."""
        from mcp.server.request_state import AESGCMRequestStateCodec  # noqa: PLC0415 - it loads `cryptography`

        return AESGCMRequestStateCodec([secrets.token_bytes(32)])

    def _sealed(self, grant: Grant) -> str:
        return self._codec.seal(json.dumps(astuple(grant)).encode())

    def _opened(self, state: str, asked_for: str) -> Grant:
        """What `_sealed` made for the same call. Raises ConfirmationError for anything else."""
        from mcp.server.request_state import InvalidRequestState  # noqa: PLC0415 - as above

        with suppress(InvalidRequestState):
            grant = Grant(*json.loads(self._codec.unseal(state)))
            if grant.call == asked_for:
                return grant
        raise ConfirmationError(
            "The answer belongs to no question that this server has asked about this very call since it was started. "
            "Nothing was done. Call again without it to ask.",
            code="confirmation_invalid",
        )


def _too_late() -> ConfirmationError:
    return ConfirmationError(
        f"The user did not answer within {ANSWER_WITHIN / 60:g} minutes. Nothing was done. Call again to ask anew.",
        code="confirmation_timed_out",
    )


def _can_ask(context: ServerRequestContext[Any]) -> bool:
    """Whether the client shows forms; one that names no mode means forms, the only mode there was at first."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
