"""The board as a page on this machine, for the person who started it and nobody else.

The address that is opened has a token behind its `#`, which no request and no other page gets to see. The page trades
it, once, for a session that it keeps to itself; everything but the empty page asks for that. A request has to name this
server's own address as its Host and, where it asks for anything, as its Origin: no other site and no other name for
this machine gets an answer.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

import anyio
import click
from anyio.abc import TaskGroup
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from comet_mcp.board.changes import tools_for
from comet_mcp.board.page import content, document, security_policy
from comet_mcp.cli.board_changes import Action, Answer, Changes
from comet_mcp.cli.board_opening import Opener
from comet_mcp.cli.board_reading import Reading
from comet_mcp.cli.calls import Calls
from comet_mcp.cli.people import why
from comet_mcp.errors import CometError
from comet_mcp.server import offered_by

_HOST = "127.0.0.1"
_LONGEST = 4096
"""Bytes of a request's body."""
_SENT_WITHIN = 5.0
"""Seconds in which it comes: the end of the server waits for requests."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_Body = TypeVar("_Body", bound=BaseModel)


class _Token(BaseModel):
    model_config = ConfigDict(strict=True)
    token: str = Field(max_length=100)


class _Query(BaseModel):
    model_config = ConfigDict(strict=True)
    is_new: bool = False


class _Agreement(BaseModel):
    model_config = ConfigDict(strict=True)
    agrees: bool
    number: int


class _RefusedError(Exception):
    """What a request gets that may not ask."""


async def serve(calls: Calls, changes: Changes, *, opens: bool) -> None:
    """Serve the page until Ctrl-C. A change that is under way then is waited for.

    Args:
        calls: The tools.
        changes: What changes keys.
        opens: Whether the browser is opened.
    """
    with socket.create_server((_HOST, 0)) as listener:
        async with anyio.create_task_group() as tasks:
            desk = Desk(calls, changes, tasks, f"{_HOST}:{listener.getsockname()[1]}")
            address = f"http://{desk.host}/#{desk.token}"
            click.echo(f"The board, for one browser: {address}\nCtrl-C ends it.", err=True)
            if opens:
                tasks.start_soon(_open, desk.opener, address)
            config = Config(
                desk.app(),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
            try:
                await _Server(config, changes).serve([listener])
            finally:
                desk.opener.forget()
                tasks.cancel_scope.cancel()


class _Server(Server):
    """Ends by Ctrl-C once all requests are answered; by a second one at once, where no change is under way."""

    def __init__(self, config: Config, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes
        logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        if self._changes.under_way:
            click.echo("A change is under way, and waited for.", err=True)
        self.force_exit = self.should_exit and not self._changes.under_way
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waits = self._changes.under_way
        await super().shutdown(sockets)
        if waits:
            click.echo(self._changes.last_ended, err=True)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """What was cut off at the end is no fault to be told of."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


async def _open(opener: Opener, address: str) -> None:
    if not await anyio.to_thread.run_sync(opener.open, address, abandon_on_cancel=True):
        click.echo("No browser could be opened. Open that address yourself.", err=True)


@dataclass
class Desk:
    """What answers the page.

    Args:
        calls: The tools.
        changes: What changes keys.
        tasks: Where changes go on while the person is asked.
        host: Where the page is served, "127.0.0.1:54321".
    """

    calls: Calls
    changes: Changes
    tasks: TaskGroup
    host: str
    token: str = field(default_factory=secrets.token_urlsafe, init=False)
    """Serves once."""
    opener: Opener = field(default_factory=Opener, init=False)
    _session: str = field(default="", init=False)
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock, init=False)

    def __post_init__(self) -> None:
        self._reading = Reading(self.calls.settings)
        self._tools = tools_for(self.calls.settings, offered_by(self.calls.settings))

    def app(self) -> Starlette:
        """The web application."""
        asks: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "/board": self._board,
            "/action": self._action,
            "/answer": self._answer,
        }
        routes = [
            Route("/", self._page),
            Route("/session", self._guarded(self._begin), methods=["POST"]),
            *(Route(path, self._guarded(self._in_session(work)), methods=["POST"]) for path, work in asks.items()),
        ]
        return Starlette(routes=routes)

    async def _page(self, request: Request) -> Response:
        if request.headers.get("host") != self.host:
            return PlainTextResponse("This page has another address.", 403, _HEADERS)
        policy = security_policy("live") + "; frame-ancestors 'none'"
        return HTMLResponse(document(None, mode="live"), headers=_HEADERS | {"Content-Security-Policy": policy})

    def _guarded(self, work: Callable[[Request], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
        """Answers a request of the page itself, one at a time."""

        async def answered(request: Request) -> Response:
            headers = request.headers
            if headers.get("host") != self.host or headers.get("origin") != f"http://{self.host}":
                return JSONResponse({"error": "Only the page itself may ask."}, 403, _HEADERS)
            try:
                request.state.content = await _content(request)  # who sends it slowly keeps nobody waiting
                async with self._one_at_a_time:
                    return JSONResponse(await work(request), headers=_HEADERS)
            except _RefusedError as error:
                return JSONResponse({"error": str(error)}, 403, _HEADERS)
            except ValidationError:
                return JSONResponse({"error": "The page sent what is not understood. Load it anew."}, 400, _HEADERS)
            except CometError as error:
                return JSONResponse({"error": why(error)}, headers=_HEADERS)
            except ClientDisconnect:  # in the middle of what it asked: nobody hears this
                return Response(status_code=400)

        return answered

    def _in_session(self, work: Callable[[Request], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Answer]]:
        async def allowed(request: Request) -> Answer:
            if not _same(request.headers.get("x-board-session", ""), self._session):
                raise _RefusedError("This page is of an earlier run. Run cometapi-mcp board again.")
            return await work(request)

        return allowed

    async def _begin(self, request: Request) -> Answer:
        given = _body(request, _Token)
        if not _same(given.token, self.token):
            raise _RefusedError("This address served once. Run cometapi-mcp board again to see your keys.")
        self.token, self._session = "", secrets.token_urlsafe()
        await anyio.to_thread.run_sync(self.opener.forget)
        return {"session": self._session}

    async def _board(self, request: Request) -> Answer:
        query = _body(request, _Query)
        await self.changes.drop()
        board = await self._reading.board(is_new=query.is_new)
        return {"html": content(board, tools=self._tools)}

    async def _action(self, request: Request) -> Answer:
        return await self.changes.begin(self.calls, self.tasks, _body(request, Action))

    async def _answer(self, request: Request) -> Answer:
        given = _body(request, _Agreement)
        return await self.changes.answer(given.number, agrees=given.agrees)


async def _content(request: Request) -> bytes:
    """The request's body. Raises _RefusedError."""
    content = b""
    with anyio.move_on_after(_SENT_WITHIN):
        async for piece in request.stream():
            content += piece
            if len(content) > _LONGEST:
                raise _RefusedError("That is too long.")
        return content
    raise _RefusedError("That came too slowly.")


def _body(request: Request, kind: type[_Body]) -> _Body:
    """What the request says. Raises ValidationError."""
    return kind.model_validate_json(request.state.content)


def _same(given: str, expected: str) -> bool:
    """Whether a secret is the one that there is; "" is none."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
