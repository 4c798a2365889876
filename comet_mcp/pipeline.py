"""What every call passes, as lists of small steps; a tool is what stands at their end.

errors        a failure becomes a tool's answer
audited       a row of the trail before the first change and after, also where the arguments are wrong; after, what the
              answer has told of is noted too
understood    the arguments are what the tool takes
confirmed     a person's yes, where one is asked for; their time does not count
in_time       the call answers within its time-out
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from mcp_types import CallToolRequestParams, CallToolResult, InputRequiredResult, TextContent

from comet_mcp.concurrency import Deadline
from comet_mcp.context import Context, Services
from comet_mcp.errors import CometError, RefusedError, UnsentError
from comet_mcp.services.delivery import acknowledging, released
from comet_mcp.text import printable

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from comet_mcp.confirmation.gate import Gate
    from comet_mcp.tools.base import Tool

log = logging.getLogger(__name__)

Answer = CallToolResult | InputRequiredResult

_NAME_SHOWN, _NAMES_SHOWN = 60, 10


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool on its way through the steps."""

    tool: Tool
    params: CallToolRequestParams
    request: ServerRequestContext[Services]
    context: Context
    arguments: dict[str, Any]
    wrong: CometError | None = None
    """What is wrong with the arguments that were sent; there are none then."""

    @property
    def given(self) -> dict[str, Any]:
        """The arguments that the caller gave; of those that no tool has, some names."""
        sent = self.params.arguments or {}
        if self.wrong is None:
            return {name: value for name, value in self.arguments.items() if sent.get(name) is not None}
        known = self.tool.arguments.model_fields
        others = [printable(name, _NAME_SHOWN) for name in sent if name not in known]
        return {name: sent[name] for name in known if name in sent} | dict.fromkeys(others[:_NAMES_SHOWN], "***")


Next = Callable[[Call], Awaitable[Answer]]
Step = Callable[[Call, Next], Awaitable[Answer]]


async def answer(tool: Tool, request: ServerRequestContext[Services], params: CallToolRequestParams) -> Answer:
    """What a call gives, after all its steps."""
    app = request.lifespan_context
    context = Context(app, Deadline(app.clock, app.settings.timeout))
    try:
        app.settings.require_usable()
    except CometError as error:
        log.info("%s: %s", tool.name, error.code)
        return failure(app.redactor.text(str(error)))
    arguments: dict[str, Any] = {}
    wrong = None
    try:
        arguments = tool.parse(params.arguments or {})
    except CometError as error:
        wrong = error  # raised by `understood`, inside the rows of the trail
    return await _through(WRITING if tool.writes else READING, Call(tool, params, request, context, arguments, wrong))


async def errors(call: Call, go_on: Next) -> Answer:
    """A failure that was foreseen becomes an answer; a bug becomes one too, and must not end the server."""
    name = call.tool.name
    try:
        result = await go_on(call)
    except CometError as error:
        log.info("%s: %s", name, error.code)
        return failure(call.context.app.redactor.text(str(error)))
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a bug must not end the server
        log.error("%s failed at %s", name, where(error))  # noqa: TRY400 - see `where`
        return failure(
            f"[internal_error] {name} failed in a way that was not foreseen "
            f"({type(error).__name__}): a bug of cometapi-mcp. Call list_api_keys before you repeat anything."
        )
    log.info("%s: %s", name, "ok" if isinstance(result, CallToolResult) else "asked")
    return result


async def audited(call: Call, go_on: Next) -> Answer:
    """Rows of the trail around the call; the one after it, and what was told, once the answer is written."""
    app, note, told = call.context.app, call.context.note, call.context.told
    begun: list[int | None] = []
    written = False

    async def begin() -> None:
        if not begun:
            begun.append(await app.audit.begin(call.tool.name, call.given, _client_of(call.request)))
            note.arguments = call.given

    await app.audit.require_writable()
    try:
        result = await go_on(replace(call, context=replace(call.context, begin=begin)))
        # what the call did last may have been shielded from a cancellation that has come
        await anyio.lowlevel.checkpoint_if_cancelled()
        written = not app.client_disconnected.is_set()
        if isinstance(result, CallToolResult):
            _describe(call, result.structured_content or {})
    except CometError as error:
        note.outcome = error.code
        note.policy = str(error.args[0]) if error.code.startswith("policy") else None
        if isinstance(error, RefusedError | UnsentError):
            note.arguments = {}  # it changed nothing
        written = not app.client_disconnected.is_set()
        raise
    except Exception:
        note.outcome = "internal_error"
        raise
    except BaseException:
        note.outcome = "cancelled"
        raise
    finally:
        note.key_id = told.key_id if note.key_id is None else note.key_id
        note.key_name = told.key_name if note.key_name is None else note.key_name
        with anyio.CancelScope(shield=True):  # the client may have given up the call: the trail has not
            await _finish(call, begun, written=written)
    return result


async def understood(call: Call, go_on: Next) -> Answer:
    """Go on with arguments that the tool takes, and with no others."""
    if call.wrong is not None:
        raise call.wrong
    return await go_on(call)


async def acknowledged(call: Call, go_on: Next) -> Answer:
    """What a reading call's answer has told of is noted once it is written."""
    result = await go_on(call)
    if call.context.told.operations or call.context.told.ambiguous:
        await _finish(call, [None], written=not call.context.app.client_disconnected.is_set())
    return result


async def confirmed(call: Call, go_on: Next) -> Answer:
    """A person's yes before the tool's first write, where one is asked for."""

    async def run(gate: Gate) -> CallToolResult:
        app = call.context.app
        gate = replace(gate, begin=call.context.begin)
        context = replace(call.context, gate=gate, deadline=Deadline(app.clock, app.settings.timeout))
        result = await go_on(replace(call, context=context))
        assert isinstance(result, CallToolResult)  # noqa: S101 - only this step asks
        return result

    return await call.context.app.confirmations.run(
        call.request, call.params, call.arguments, call.context.note, run, destructive=call.tool.destructive
    )


async def in_time(call: Call, go_on: Next) -> Answer:
    """The call answers within its time-out, or says that it did not."""
    timeout = call.context.app.settings.timeout
    with anyio.move_on_after(timeout):
        return await go_on(call)
    call.context.told.cut_short = True
    advice = "Call list_api_keys before you repeat it." if call.tool.writes else "Try again."
    raise CometError(f"{call.tool.name} was not done within {timeout:g} seconds. {advice}", code="timed_out")


async def run_tool(call: Call, _: Next) -> Answer:
    """The tool itself."""
    return await call.tool.run(call.context, call.arguments)


READING: tuple[Step, ...] = (errors, understood, acknowledged, in_time, run_tool)
WRITING: tuple[Step, ...] = (errors, audited, understood, confirmed, in_time, run_tool)


async def _through(steps: tuple[Step, ...], call: Call) -> Answer:
    first, *rest = steps
    return await first(call, lambda later: _through(tuple(rest), later))


async def _finish(call: Call, begun: list[int | None], *, written: bool) -> None:
    """Note the end of a call: now, or once the transport says that the answer was written.

    Args:
        call: It.
        begun: The number of its row in the trail, None where it has none; empty where it did not come so far.
        written: Whether somebody may read the answer.
    """
    app, told = call.context.app, call.context.told

    async def finish(read: bool) -> None:
        is_told = read and not told.cut_short
        done = [(acknowledging if is_told else released)(told)] if told.operations or told.ambiguous else []
        with anyio.CancelScope(shield=True):
            if begun:
                await app.audit.end(begun[0], call.tool.name, call.context.note, *done)
            else:
                client = _client_of(call.request)
                await app.audit.unbegun(call.tool.name, call.given, client, call.context.note, *done)

    request_id = call.request.request_id
    if written and app.deliveries is not None and request_id is not None:
        app.deliveries.expect(request_id, finish)
    else:
        await finish(written)


def _describe(call: Call, result: dict[str, Any]) -> None:
    """Put what a writing tool's result says into the note for the audit trail."""
    note = call.context.note
    key = result.get("new_key", result)
    note.key_id = key.get("id")
    note.key_name = note.key_name or key.get("name")  # the name that it had, where the call has changed it
    if result.get("nothing_done") or result.get("deleted") is False:
        note.outcome = "nothing_done"


def _client_of(request: ServerRequestContext[Services]) -> str:
    """Name and version of the program that calls, "" where it does not say."""
    client = request.session.client_params
    return printable(f"{client.client_info.name} {client.client_info.version}", 100) if client else ""


def failure(text: str) -> CallToolResult:
    """An answer that says what went wrong."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def where(error: BaseException) -> str:
    """The type and the lines of a crash, without its message: that could hold a value nobody may see."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # what a task group of ours wraps it in says nothing
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in " + " < ".join(
        f"{frame.filename.rsplit('comet_mcp', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-4:])
    )
