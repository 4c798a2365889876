"""Direct connections to the API's one host, kept open between requests: half the time of a pool that serves any host.

A connection is httpcore's own, TLS and the closing by the other side included; what is left is a stack of idle ones.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import httpcore
import httpx


class Connections(httpx.AsyncBaseTransport):
    """httpx's transport over connections to one host. Who uses it bounds how many there are at once.

    Args:
        trust: What certificates are trusted; None where no TLS is spoken.
        keep_alive: Seconds for which an idle connection is kept.
    """

    def __init__(self, trust: ssl.SSLContext | None, keep_alive: float) -> None:
        self._trust = trust
        self._keep_alive = keep_alive
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on the connection that was used last, or on a new one. Raises what httpx's own transport does."""
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        connection = await self._last_used() or httpcore.AsyncHTTPConnection(
            target.origin, self._trust, keepalive_expiry=self._keep_alive
        )
        try:
            with _errors_of_httpx(request):
                response = await connection.handle_async_request(sent)
        except BaseException:
            await _close(connection)
            raise
        return httpx.Response(response.status, headers=response.headers, stream=_Body(self, connection, response))

    async def _last_used(self) -> httpcore.AsyncHTTPConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await _close(connection)
        return None

    async def put_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection whose answer was read whole; close any other, and the oldest where its time is over."""
        if self._idle and self._idle[0].has_expired():
            await _close(self._idle.pop(0))
        if connection.is_idle():
            self._idle.append(connection)
        else:
            await _close(connection)

    async def aclose(self) -> None:
        """Close the idle ones."""
        while self._idle:
            await _close(self._idle.pop())


class _Body(httpx.AsyncByteStream):
    """What comes of an answer. Closed, it gives its connection back."""

    def __init__(
        self, owner: Connections, connection: httpcore.AsyncHTTPConnection, response: httpcore.Response
    ) -> None:
        self._owner, self._connection, self._response = owner, connection, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx(None):
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._response.aclose()
            await self._owner.put_back(self._connection)


async def _close(connection: httpcore.AsyncHTTPConnection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()


@contextmanager
def _errors_of_httpx(request: httpx.Request | None) -> Iterator[None]:
    """The errors of httpcore as those of the same name that httpx has."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error), request=request) from error
