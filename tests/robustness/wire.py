"""A CometAPI behind a wire that breaks: many sandboxes on one socket, one for each base URL, and more faults."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from comet_mcp.sandbox import Fault, Sandbox
from comet_mcp.sandbox.connection import reset
from comet_mcp.sandbox.front import Front
from comet_mcp.sandbox.server import serve
from comet_mcp.sandbox.wire_faults import answered

# By the module that tells the sandbox's calls apart.
from comet_mcp.sandbox.app import call_of  # isort: skip

WIRE_FAULTS = ("reset_during", "too_long", "too_short", "no_gzip", "no_http")
"""The faults made here. `too_long` and `too_short` are said of the Content-Length."""

UNCONNECTED = ("refused", "unknown_host", "no_tls", "connect_timeout")
"""The faults of a connection that is never made."""

_TRANSPORT = "sandbox.transport"


@dataclass
class Order:
    """The next `times` requests of `call`, after the first `after`, get `fault`."""

    call: str
    fault: str
    after: int = 0
    times: int = 1
    value: str | None = None


class Wire:
    """One sandbox, and what happens on the way to it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.seen: list[str] = []
        self._orders: list[Order] = []
        self._lock = threading.Lock()

    def order(self, order: Order) -> None:
        """Order a fault of either kind."""
        if order.fault in WIRE_FAULTS:
            self._orders.append(order)
        else:
            fault = Fault(order.call, order.fault, times=order.times, after=order.after, value=order.value)
            self.sandbox.faults.order(fault)

    def _take(self, call: str) -> str:
        with self._lock:
            self.seen.append(call)
            for order in self._orders:
                if order.call != call or not order.times:
                    continue
                if order.after:
                    order.after -= 1
                    continue
                order.times -= 1
                return order.fault
            return ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        fault = self._take(call_of(scope["method"], scope["path"]))
        if fault == "reset_during":
            await reset(scope, receive)  # the headers are here, the body is not read
        elif fault:
            front = self.sandbox.app
            assert isinstance(front, Front)
            answer = await answered(front.app, scope, receive)
            await _raw(scope, receive, _spoilt(fault, answer.body))
        else:
            await self.sandbox.app(scope, receive, send)


def _spoilt(fault: str, body: bytes) -> bytes:
    headers = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if fault == "too_long":
        return headers + b"Content-Length: %d\r\n\r\n" % (len(body) + 100) + body
    if fault == "too_short":
        return headers + b"Content-Length: %d\r\n\r\n" % (len(body) - 3) + body
    if fault == "no_gzip":
        return headers + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return b"SSH-2.0-OpenSSH_9.9\r\n" + body


async def _raw(scope: Scope, receive: Receive, text: bytes) -> None:
    """Put bytes on the connection, past the HTTP server, and close it."""
    transport = scope[_TRANSPORT]
    transport.write(text)
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


class Exchange:
    """Wires on one socket, told apart by the first segment of the path."""

    def __init__(self) -> None:
        self.url = ""
        self._wires: dict[str, Wire] = {}

    def add(self, wire: Wire) -> str:
        """Put a wire on the socket; gives its base URL."""
        name = f"w{len(self._wires)}"
        self._wires[name] = wire
        return f"{self.url}/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its wire."""
        _, name, rest = scope["path"].split("/", 2)
        inner = {**scope, "path": f"/{rest}", "raw_path": scope["raw_path"].removeprefix(f"/{name}".encode())}
        await self._wires[name](inner, receive, send)


@contextlib.contextmanager
def exchange() -> Iterator[Exchange]:
    """An exchange on a loopback port."""
    it = Exchange()
    with serve(it) as it.url:
        yield it


@contextlib.contextmanager
def hanging_port() -> Iterator[int]:
    """A port to which no connection of this process is made, nor refused: a network that swallows what is sent.

    Connecting waits below the HTTP client. A listener whose backlog is full would depend on the system's own queues.
    """
    with socket.socket() as kept:  # so that nobody else gets the port
        kept.bind(("127.0.0.1", 0))
        port: int = kept.getsockname()[1]
        connect = anyio.connect_tcp

        async def connect_tcp(remote_host: str, remote_port: int, **options: Any) -> object:
            if remote_port == port:
                await anyio.sleep_forever()
            return await connect(remote_host, remote_port, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(anyio, "connect_tcp", connect_tcp)
            yield port


def closed_port() -> int:
    """A port of this machine where nothing listens: a low one, which nobody gets by chance."""
    return 9


class Unconnected(httpx.AsyncHTTPTransport):
    """A network on which some requests find no connection."""

    def __init__(self, order: Order, stuck_port: int) -> None:
        super().__init__(verify=False)  # loopback; and loading certificates takes long
        self.tried = 0
        self._order = order
        self._stuck_port = stuck_port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to where the order wants it."""
        path = "/" + request.url.path.split("/", 2)[2]
        if call_of(request.method, path) == self._order.call:
            self.tried += 1
            if self._order.after < self.tried <= self._order.after + self._order.times:
                return await self._unconnected(request)
        return await super().handle_async_request(request)

    async def _unconnected(self, request: httpx.Request) -> httpx.Response:
        elsewheres: dict[str, dict[str, Any]] = {
            "refused": {"port": closed_port()},
            "no_tls": {"scheme": "https"},
            "connect_timeout": {"port": self._stuck_port},
        }
        url = elsewheres.get(self._order.fault)
        if url is None:
            cause = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            raise httpx.ConnectError("no such host", request=request) from cause
        elsewhere = httpx.Request(
            request.method,
            request.url.copy_with(**url),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(elsewhere)
