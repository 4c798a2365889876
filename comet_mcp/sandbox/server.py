"""A real HTTP server on a loopback port, in a background thread."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from comet_mcp.sandbox.connection import ConnectionProtocol

_GRACE = 0.05
"""Seconds that requests get to notice, when the server stops, that their client is gone."""
_KEEP_ALIVE = 60
"""Seconds that an idle connection stays open."""


@contextmanager
def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the application while the context lasts; gives the base URL, `http://127.0.0.1:54321`.

    Leaving the context drops open connections: it takes milliseconds, whatever clients are doing.

    Raises:
        OSError: the port is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Bound and listening here, so that errors are raised here and nobody has to wait for the thread.
    listener = socket.create_server((host, port), family=family, backlog=128)
    bound = listener.getsockname()[1]
    server = _Server(app, listener)
    thread = threading.Thread(target=server.run, name="cometapi-sandbox", daemon=True)
    thread.start()
    try:
        yield f"http://[{host}]:{bound}" if family is socket.AF_INET6 else f"http://{host}:{bound}"
    finally:
        server.stop()
        thread.join()


class _Protocol(ConnectionProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of its own, so that uvicorn's loggers stay as the host program has set them.
        self.logger = logging.getLogger("comet_mcp.sandbox")
        self.access_log = False


class _Server:
    # uvicorn.Server looks for its stop flag every 100 ms and waits for clients to go. Hundreds of tests start and
    # stop one each, with connections open, so the loop around uvicorn's protocol is written out here.
    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._listener = listener
        self._config = Config(
            app,
            lifespan="off",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._config.load()
        self._state = ServerState()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        """Serve until `stop`; the body of the thread."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Ask the thread to end."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        server = await self._loop.create_server(self._protocol, sock=self._listener)
        await self._stopping.wait()
        server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=_GRACE)
            for task in late:
                task.cancel()
        # A turn of the loop for each transport to close its socket.
        await asyncio.sleep(0)

    def _protocol(self) -> _Protocol:
        return _Protocol(self._config, self._state, {}, self._loop)
