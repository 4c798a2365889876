"""The MCP server: its tools on one screen, and the one place where an error becomes a tool's answer."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Container
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextContent,
)

from comet_mcp import __version__, prompts, resources
from comet_mcp.app import App
from comet_mcp.errors import ArgumentError, CometError, NotFoundError
from comet_mcp.policy.words import words
from comet_mcp.protocol.tool import Tool
from comet_mcp.text import printable, quoted
from comet_mcp.tools import account, keys, plan

if TYPE_CHECKING:
    import httpx
    from mcp.server.context import ServerRequestContext

    from comet_mcp.audit.trail import Note
    from comet_mcp.confirmation import Gate
    from comet_mcp.settings import Settings

INSTRUCTIONS = (
    "Makes and manages API keys of a CometAPI account. To make one, call plan_api_key and then create_api_key with "
    "what it returns. Give every key a budget and an expiry unless the user says otherwise. {units} quota units are "
    "1 USD. Key values are stored for the user's programs and never shown here: never ask the user for one."
)

REPLACING = (
    "Manages API keys of a CometAPI account. To replace a key by a new one, call rotate_api_key; this server is set up "
    "so that it can't make any other. {units} quota units are 1 USD. Key values are stored for the user's programs and "
    "never shown here: never ask the user for one."
)

READING = (
    "Shows API keys of a CometAPI account; it is set up so that it can't make any. {units} quota units are 1 USD. Key "
    "values are never shown here: never ask the user for one."
)

log = logging.getLogger(__name__)
_T = TypeVar("_T")


def tools() -> list[Tool]:
    """Every tool, in the order in which clients show them."""
    return [
        Tool.of(plan.plan_api_key, "Plan an API key", read_only=True),
        Tool.of(keys.create_api_key, "Create an API key"),
        Tool.of(keys.list_api_keys, "List API keys", read_only=True),
        Tool.of(keys.get_api_key, "Show an API key", read_only=True),
        Tool.of(keys.update_api_key, "Change an API key", destructive=True),
        Tool.of(keys.delete_api_key, "Delete an API key", destructive=True, idempotent=True),
        Tool.of(keys.rotate_api_key, "Replace an API key", destructive=True),
        Tool.of(keys.save_api_key, "Store an API key's value", idempotent=True),
        Tool.of(keys.verify_api_key, "Check an API key", read_only=True),
        Tool.of(account.list_models, "List models", read_only=True),
        Tool.of(account.get_account, "Show the account", read_only=True),
    ]


def create_server(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, gone: anyio.Event | None = None
) -> Server[App]:
    """The server for one account.

    Args:
        settings: What it was told.
        transport: Replaces the network in tests.
        gone: Set once the client has closed its end; it may not read answers any more.
    """
    known = tools()
    left_out = {tool.name: by for tool in known if (by := left_out_by(tool, settings))}
    offered = {tool.name: tool for tool in known if tool.name not in left_out}

    @asynccontextmanager
    async def lifespan(_: Server[App]) -> AsyncIterator[App]:
        app = App.of(settings, transport, gone)
        try:
            yield app
        finally:
            await app.aclose()

    async def list_tools(
        _context: ServerRequestContext[App], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[tool.description for tool in offered.values()])

    async def call_tool(
        context: ServerRequestContext[App], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        if params.name in left_out:  # a result, since many clients keep a protocol error from the model
            return _failure(_switched_off(params.name, left_out[params.name]))
        tool = offered.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {quoted(params.name)}. Call tools/list.")
        try:
            settings.require_usable()
            arguments = tool.parse(params.arguments or {})
            result = await (_written if tool.writes else _read)(tool, context, params, arguments)
        except CometError as error:
            log.info("%s: %s", tool.name, error.code)
            return _failure(str(error))
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a bug must not end the server
            log.error("%s failed at %s", tool.name, _where(error))  # noqa: TRY400 - see _where
            return _failure(
                f"[internal_error] {tool.name} failed in a way that was not foreseen "
                f"({type(error).__name__}): a bug of cometapi-mcp. Call list_api_keys before you repeat anything."
            )
        log.info("%s: %s", tool.name, "ok" if isinstance(result, CallToolResult) else "asked")
        return result

    async def answered(work: Awaitable[_T]) -> _T:
        """What `work` gives; its failure as a protocol error, since only tools have results that are errors."""
        try:
            with anyio.fail_after(settings.timeout):
                return await work
        except CometError as error:
            code = INVALID_PARAMS if isinstance(error, NotFoundError | ArgumentError) else INTERNAL_ERROR
            raise MCPError(code, str(error)) from None
        except TimeoutError:
            raise MCPError(INTERNAL_ERROR, f"[timed_out] No answer within {settings.timeout:g} seconds.") from None
        except Exception as error:  # noqa: BLE001 - the outermost boundary; its text could hold a value
            log.error("failed at %s", _where(error))  # noqa: TRY400 - see _where
            raise MCPError(INTERNAL_ERROR, "[internal_error] That is a bug of cometapi-mcp.") from None

    async def list_resources(
        _context: ServerRequestContext[App], _params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return ListResourcesResult(resources=[])  # the keys are many: the template and its completion find them

    async def list_templates(
        _context: ServerRequestContext[App], _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=[resources.KEY])

    async def read_resource(
        context: ServerRequestContext[App], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        return await answered(resources.read_resource(context.lifespan_context, str(params.uri)))

    async def list_prompts(
        _context: ServerRequestContext[App], _params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        return ListPromptsResult(
            prompts=[p for p in prompts.PROMPTS if p is not prompts.MAKE or "create_api_key" in offered]
        )

    async def get_prompt(context: ServerRequestContext[App], params: GetPromptRequestParams) -> GetPromptResult:
        if params.name == prompts.MAKE.name and "create_api_key" in left_out:
            raise MCPError(INVALID_PARAMS, _switched_off("create_api_key", left_out["create_api_key"]))
        return await answered(prompts.get_prompt(context.lifespan_context, params.name, params.arguments or {}))

    async def complete(context: ServerRequestContext[App], params: CompleteRequestParams) -> CompleteResult:
        return CompleteResult(completion=await answered(resources.complete(context.lifespan_context, params)))

    server = Server(
        "cometapi-mcp",
        version=__version__,
        title="CometAPI keys",
        instructions=_instructions(offered).format(units=settings.units.per_usd) + _demands(settings),
        website_url="https://github.com/cometapi-mcp/cometapi-mcp",
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    server.middleware.clear()  # the SDK's tracing, which costs a span a message where nobody collects them
    return server


def _instructions(offered: Container[str]) -> str:
    """What the language model is told first, by the tools that make keys."""
    if "create_api_key" in offered:
        return INSTRUCTIONS
    return REPLACING if "rotate_api_key" in offered else READING


def _demands(settings: Settings) -> str:
    """The rules of the policy that are set, in a sentence for the language model."""
    if settings.policy.problems:
        return " The policy of this server can't be used: every writing call is refused until a person corrects it."
    said = [text for _, text in words(settings.policy, settings.units)]
    return f" The person who runs this server demands: {'; '.join(said)}." if said else ""


def left_out_by(tool: Tool, settings: Settings) -> str:
    """The setting that leaves the tool out, "" for one that is offered."""
    if settings.read_only and tool.writes:
        return "COMETAPI_MCP_READ_ONLY"
    return "COMETAPI_MCP_DISABLE_TOOLS" if tool.name in settings.disable_tools else ""


def _switched_off(name: str, by: str) -> str:
    error = CometError(
        f"{name} is switched off on this server ({by}). Nothing was done. Tell the user: the person who runs the "
        "server can change that.",
        code="tool_left_out",
    )
    return str(error)


async def _read(
    tool: Tool, context: ServerRequestContext[App], _params: CallToolRequestParams, arguments: dict[str, Any]
) -> CallToolResult:
    return await _in_time(tool, context.lifespan_context, arguments)


async def _written(
    tool: Tool, context: ServerRequestContext[App], params: CallToolRequestParams, arguments: dict[str, Any]
) -> CallToolResult | InputRequiredResult:
    """What a writing tool gives: with its rows in the audit trail, and a person's yes where one is asked for."""
    app = context.lifespan_context

    async def call(gate: Gate) -> CallToolResult:
        return await _in_time(tool, replace(app, gate=gate, untold=untold), arguments)

    sent = params.arguments or {}
    given = {name: value for name, value in arguments.items() if sent.get(name) is not None}
    async with app.keys.telling() as untold, app.audit.call(tool.name, given, _client_of(context)) as note:
        result = await app.confirmations.run(context, params, arguments, note, call, destructive=tool.destructive)
        if isinstance(result, CallToolResult):
            _describe(note, result.structured_content)
        return result


def _describe(note: Note, result: dict[str, Any]) -> None:
    """Put what a writing tool's result says into the note for the audit trail."""
    key, changed = result.get("new_key", result), result.get("changed")
    note.key_id = key.get("id")
    note.key_name = changed["name"][0] if changed and "name" in changed else key.get("name")
    if result.get("nothing_done") or result.get("deleted") is False or changed == {}:
        note.outcome = "nothing_done"


async def _in_time(tool: Tool, app: App, arguments: dict[str, Any]) -> CallToolResult:
    timeout = app.settings.timeout
    with anyio.move_on_after(timeout):
        return await tool.run(app, arguments)
    advice = "Call list_api_keys before you repeat it." if tool.writes else "Try again."
    raise CometError(f"{tool.name} was not done within {timeout:g} seconds. {advice}", code="timed_out")


def _client_of(context: ServerRequestContext[App]) -> str:
    """Name and version of the program that calls, "" where it does not say."""
    client = context.session.client_params
    return printable(f"{client.client_info.name} {client.client_info.version}", 100) if client else ""


def _failure(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _where(error: BaseException) -> str:
    """The type and the lines of a crash, without its message: that could hold a value nobody may see."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # what a task group of ours wraps it in says nothing
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in " + " < ".join(
        f"{frame.filename.rsplit('comet_mcp', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-4:])
    )
