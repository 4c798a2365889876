"""What every request passes first: it is recorded, gets a request id and, where one was ordered, a fault."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comet_mcp.sandbox.app import call_of
from comet_mcp.sandbox.faults import ONLY, Fault, Faults
from comet_mcp.sandbox.wire_faults import Answer, Exchange, after, answered, before

FAULT_HEADER = "x-sandbox-fault"
"""A request that carries it gets the fault it names, written `NAME[=VALUE]`."""

MAX_REQUESTS = 10_000
"""So many requests are remembered; of a sandbox that runs for long, the latest."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the sandbox received it."""

    method: str
    path: str
    query: dict[str, str]
    call: str
    """One of `CALLS`."""
    headers: dict[str, str] = field(repr=False)
    """By lower-case name."""
    body: Any = field(repr=False)
    """The JSON value that was sent; the text where it was no JSON; None for none."""
    raw: bytes = field(repr=False)
    """The body as it came."""


class Front:
    """The outermost part of the application. `requests` grows by each request before it is answered."""

    def __init__(self, app: ASGIApp, faults: Faults, clock: Callable[[], float], *, gzips: bool) -> None:
        self.app = app
        self.packed = GZipMiddleware(app, minimum_size=0, compresslevel=1) if gzips else app
        self.faults = faults
        self.clock = clock
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"The sandbox speaks HTTP only, not {scope['type']}.")
        raw = await _body(receive)
        if raw is None:
            return
        request = _request(scope, raw)
        with self._lock:
            self.requests.append(request)
            del self.requests[:-MAX_REQUESTS]
        scope["sandbox.request_id"] = self._request_id()
        scope["sandbox.body"] = raw
        send = self._stamped(scope, send)
        try:
            fault = self._ordered(request)
        except ValueError as error:
            await Answer.json({"success": False, "message": f"{error}"}, 400).send(send)
            return
        await self._answer(fault, scope, _Replay(raw, receive), send)

    async def _answer(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None or (fault.fault in ONLY and fault.fault != "deferred_reset"):
            scope["sandbox.fault"] = fault
            app = self.packed if scope["path"].startswith("/api") else self.app
            await app(scope, receive, send)
        elif not await before(Exchange(fault, scope, receive, send)):
            scope["sandbox.fault"] = fault
            answer = await answered(self.app, scope, receive)
            await after(Exchange(fault, scope, receive, send, answer))

    def _ordered(self, request: Request) -> Fault | None:
        wanted = request.headers.get(FAULT_HEADER)
        if wanted is None:
            return self.faults.take(request.call)
        name, _, value = wanted.partition("=")
        return Fault(request.call, name.strip(), value=value.strip() if "=" in wanted else None)

    def _request_id(self) -> str:
        # The live servers begin it with the time as well.
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self.clock()))
        return f"{stamp}{secrets.token_hex(8)}"

    def _stamped(self, scope: Scope, send: Send) -> Send:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                stamps = [(b"date", formatdate(self.clock(), usegmt=True).encode())]
                # Measured: redirects are the only answers without a request id.
                if message["status"] not in (301, 307):
                    stamps.append((b"x-oneapi-request-id", scope["sandbox.request_id"].encode()))
                message["headers"] = [*message["headers"], *stamps]
            await send(message)

        return stamped


class _Replay:
    """Receives a body that has been read before; after it, whatever the connection has to tell."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _request(scope: Scope, raw: bytes) -> Request:
    text = raw.decode("utf-8", "replace")
    try:
        body = json.loads(text) if text else None
    except (ValueError, RecursionError):
        body = text
    query = scope["query_string"].decode("utf-8", "replace")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(query, keep_blank_values=True)),
        call=call_of(scope["method"], scope["path"]),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
        raw=raw,
    )
