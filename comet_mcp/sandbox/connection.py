"""The TCP connection below a request, for the faults that break it."""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "sandbox.transport"
# Close at once and drop what is unsent: the peer gets a RST. Windows has two shorts where others have two ints.
_LINGER_NOT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class ConnectionProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which also tells the application about its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, and put it into the scope of its requests."""
        super().connection_made(transport)
        # asyncio does so itself only where the listening socket was made with the protocol's number. Without it, an
        # answer waits 40 ms for the client to acknowledge its headers.
        _set_option(transport, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app = _with_transport(self.app, transport)


def _with_transport(app: Any, transport: asyncio.Transport) -> Any:
    inner: ASGIApp = app

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_TRANSPORT] = transport
        # Only a stopping server cancels requests. uvicorn would report it as a failure of the application.
        with suppress(asyncio.CancelledError):
            await inner(scope, receive, send)

    return outer


def _set_option(transport: asyncio.Transport, level: int, option: int, value: int | bytes) -> None:
    # macOS refuses options of a connection whose other end has gone.
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(level, option, value)


async def reset(scope: Scope, receive: Receive, *, politely: bool = False) -> None:
    """Break the connection: with a RST or, politely, after what was sent so far and with a FIN.

    Raises:
        ConnectionResetError: there is no connection, because the application is called in-process.
    """
    transport: asyncio.Transport | None = scope.get(_TRANSPORT)
    if transport is None:
        raise ConnectionResetError("The sandbox resets the connection.")
    if politely:
        transport.close()
    else:
        _set_option(transport, socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
    # The protocol must have noticed before the application returns, or it would answer in the application's stead.
    while (await receive())["type"] != "http.disconnect":
        pass
