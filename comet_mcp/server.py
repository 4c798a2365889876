"""The MCP server: its tools on one screen, and the one place where an error becomes a tool's answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
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
)
from pydantic import BaseModel

from comet_mcp import __version__, prompts, resources
from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.concurrency import working_beside
from comet_mcp.context import Services
from comet_mcp.deliveries import Deliveries
from comet_mcp.errors import ArgumentError, CometError, NotFoundError
from comet_mcp.pipeline import answer, failure, where
from comet_mcp.redaction import Redactor
from comet_mcp.text import quoted
from comet_mcp.tools import (
    create_api_key,
    delete_api_key,
    get_account,
    get_api_key,
    get_usage,
    list_api_keys,
    list_models,
    plan_api_key,
    rotate_api_key,
    save_api_key,
    tidy_api_keys,
    update_api_key,
    verify_api_key,
)
from comet_mcp.tools.base import Tool

if TYPE_CHECKING:
    import httpx
    from mcp.server.context import ServerRequestContext

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

_LISTS: tuple[CacheableMethod, ...] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)
"""What stays as it is while the server runs, for the settings are read at its start."""
_FRESH = CacheHint(ttl_ms=600_000)

_LISTS_GO_FIRST = 0.02
"""Seconds from the list of the tools until the HTTP client is loaded: its answer and the other lists go before."""

log = logging.getLogger(__name__)
_Result = TypeVar("_Result", bound=BaseModel)
_Request: TypeAlias = "ServerRequestContext[Services]"


TOOLS = (
    plan_api_key.TOOL,
    create_api_key.TOOL,
    list_api_keys.TOOL,
    get_api_key.TOOL,
    update_api_key.TOOL,
    delete_api_key.TOOL,
    tidy_api_keys.TOOL,
    rotate_api_key.TOOL,
    save_api_key.TOOL,
    verify_api_key.TOOL,
    list_models.TOOL,
    get_account.TOOL,
    get_usage.TOOL,
)
"""Every tool, in the order in which clients show them."""


class _Surface:
    """What this server offers under its settings, as the handlers of the protocol's requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.listed = anyio.Event()
        """Set once the client has asked for the tools: calls may come soon."""
        self.left_out = {tool.name: settings.source(by) for tool in TOOLS if (by := left_out_by(tool, settings))}
        self.offered = offered_by(settings)

    async def list_tools(self, context: _Request, _params: PaginatedRequestParams | None) -> ListToolsResult:
        self.listed.set()
        tools = [tool.description for tool in self.offered.values()]
        if _shows_apps(context):
            tools = [tool.model_copy(update={"meta": resources.SHOWN_BY.get(tool.name)}) for tool in tools]
        return ListToolsResult(tools=tools)

    async def call_tool(self, context: _Request, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        if params.name in self.left_out:  # a result, since many clients keep a protocol error from the model
            return failure(_switched_off(params.name, self.left_out[params.name]))
        tool = self.offered.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {quoted(params.name)}. Call tools/list.")
        return await answer(tool, context, params)

    async def list_resources(self, context: _Request, _params: PaginatedRequestParams | None) -> ListResourcesResult:
        # the keys are many: the template finds them
        return ListResourcesResult(resources=[resources.BOARD] if _shows_apps(context) else [])

    async def list_templates(
        self, _context: _Request, _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=[resources.KEY])

    async def read_resource(self, context: _Request, params: ReadResourceRequestParams) -> ReadResourceResult:
        app = context.lifespan_context
        return await self._answered(app.redactor, resources.read_resource(app, str(params.uri), self.offered))

    async def list_prompts(self, _context: _Request, _params: PaginatedRequestParams | None) -> ListPromptsResult:
        makes = "create_api_key" in self.offered
        return ListPromptsResult(prompts=[p for p in prompts.PROMPTS if p is not prompts.MAKE or makes])

    async def get_prompt(self, context: _Request, params: GetPromptRequestParams) -> GetPromptResult:
        if params.name == prompts.MAKE.name and "create_api_key" in self.left_out:
            raise MCPError(INVALID_PARAMS, _switched_off("create_api_key", self.left_out["create_api_key"]))
        app = context.lifespan_context
        return await self._answered(app.redactor, prompts.get_prompt(app, params.name, params.arguments or {}))

    async def _answered(self, redactor: Redactor, work: Awaitable[_Result]) -> _Result:
        """What `work` gives, redacted. Its failure is a protocol error: only tools have results that are errors."""
        timeout = self._settings.timeout
        try:
            with anyio.fail_after(timeout):
                result = await work
            return type(result).model_validate(redactor.data(result.model_dump(mode="json", exclude_unset=True)))
        except CometError as error:
            code = INVALID_PARAMS if isinstance(error, NotFoundError | ArgumentError) else INTERNAL_ERROR
            raise MCPError(code, redactor.text(str(error))) from None
        except TimeoutError:
            raise MCPError(INTERNAL_ERROR, f"[timed_out] No answer within {timeout:g} seconds.") from None
        except Exception as error:  # noqa: BLE001 - the outermost boundary; its text could hold a value
            log.error("failed at %s", where(error))  # noqa: TRY400 - see `where`
            raise MCPError(INTERNAL_ERROR, "[internal_error] That is a bug of cometapi-mcp.") from None


def create_server(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Clock = SYSTEM,
    deliveries: Deliveries | None = None,
    client_disconnected: anyio.Event | None = None,
    redactor: Redactor | None = None,
    beside: Callable[[Services], Coroutine[Any, Any, None]] | None = None,
) -> Server[Services]:
    """The server for one account.

    Args:
        settings: What it was told.
        transport: Replaces the network in tests.
        clock: Replaces time in tests.
        deliveries: Told by the transport which answers were written; None where an answer counts as written at once.
        client_disconnected: Set once the client has closed its end; it may not read answers any more.
        redactor: Hides secrets, on stderr too; None for one of the server's own.
        beside: Goes on beside the calls, from the start until it has an end.
    """
    surface = _Surface(settings)

    @asynccontextmanager
    async def lifespan(_: Server[Services]) -> AsyncIterator[Services]:
        app = Services.of(
            settings,
            transport=transport,
            clock=clock,
            deliveries=deliveries,
            client_disconnected=client_disconnected,
            redactor=redactor,
        )

        async def load_behind() -> None:
            await surface.listed.wait()
            await clock.sleep(_LISTS_GO_FIRST)
            await app.api.load()

        try:
            others = [partial(beside, app)] if beside is not None else []
            async with working_beside(app.give_back_calls, load_behind, *others):
                yield app
        finally:
            await app.aclose()

    server = Server(
        "cometapi-mcp",
        version=__version__,
        title="CometAPI keys",
        instructions=_instructions(surface.offered).format(units=settings.units.per_usd)
        + _account(settings)
        + _demands(settings),
        website_url="https://github.com/cometapi-mcp/cometapi-mcp",
        cache_hints=dict.fromkeys(_LISTS, _FRESH),
        lifespan=lifespan,
        on_list_tools=surface.list_tools,
        on_call_tool=surface.call_tool,
        on_list_resources=surface.list_resources,
        on_list_resource_templates=surface.list_templates,
        on_read_resource=surface.read_resource,
        on_list_prompts=surface.list_prompts,
        on_get_prompt=surface.get_prompt,
    )
    server.middleware.clear()  # the SDK's tracing, which costs a span a message where nobody collects them
    return server


def _shows_apps(context: _Request) -> bool:
    capabilities = context.session.client_capabilities
    return resources.shows_apps(capabilities.extensions if capabilities else None)


def _instructions(offered: Container[str]) -> str:
    """What the language model is told first, by the tools that make keys."""
    if "create_api_key" in offered:
        return INSTRUCTIONS
    return REPLACING if "rotate_api_key" in offered else READING


def _account(settings: Settings) -> str:
    """Whose keys these are, in a sentence for the language model: several servers may be there side by side."""
    profile = f"of the profile {quoted(settings.profile)} " if settings.profile else ""
    return f" The account is the one {profile}at {urlsplit(settings.base_url).netloc}."


def _demands(settings: Settings) -> str:
    """The rules of the policy that are set, in a sentence for the language model."""
    if settings.policy.problems:
        return " The policy of this server can't be used: every writing call is refused until a person corrects it."
    said = [text for _, text in settings.policy.words(settings.units)]
    return f" The person who runs this server demands: {'; '.join(said)}." if said else ""


def offered_by(settings: Settings) -> dict[str, Tool]:
    """The tools that the settings do not leave out, by their names."""
    return {tool.name: tool for tool in TOOLS if not left_out_by(tool, settings)}


def left_out_by(tool: Tool, settings: Settings) -> str:
    """The setting that leaves the tool out, "" for one that is offered."""
    if settings.read_only and tool.writes:
        return "COMETAPI_MCP_READ_ONLY"
    return "COMETAPI_MCP_DISABLE_TOOLS" if {tool.name, tool.only_with} & settings.disable_tools else ""


def _switched_off(name: str, by: str) -> str:
    error = CometError(
        f"{name} is switched off on this server ({by}). Nothing was done. Tell the user: the person who runs the "
        "server can change that.",
        code="tool_left_out",
    )
    return str(error)
