"""The stdio transport: JSON-RPC, one message a line, over asyncio's pipes.

Beside the SDK's own transport it adds what a server needs that holds somebody's money:

- A line has a cap. A longer one is answered with an error and skipped, never held in memory.
- Unanswered requests have a bound; at it, reading pauses and the client's pipe fills.
- Every request whose id can be read at all gets an answer, also one that is no valid message.
- It ends in order: at the end of input, on SIGTERM and on SIGINT no new call starts, and those under way get a while
  to finish. Nothing that a library prints reaches the client, for fd 1 leads to stderr meanwhile.

Where asyncio has no pipes (Windows), or stdin or stdout is a regular file, the SDK's transport serves instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import anyio
import mcp_types as types
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from pydantic_core import from_json

from comet_mcp.deliveries import Deliveries

MAX_LINE = 4 * 1024 * 1024
"""Longest line taken, in bytes."""

MAX_UNANSWERED = 256
"""Requests that may wait for their answers before reading pauses."""

GRACE = 1.5
"""Seconds that calls under way get at the end. Clients send SIGTERM 2 s after they closed stdin."""

_LAST_MOMENT = 0.25
_HEAD = 64 * 1024
_ID = str | int


class Ending:
    """Why and whether the server is ending. `signal` is None where the client closed its end."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.begun = anyio.Event()

    def begin(self, number: int | None = None) -> None:
        """Start no new call."""
        if not self.begun.is_set():
            self.signal = number
            self.begun.set()


@contextlib.asynccontextmanager
async def stdio_streams(
    ending: Ending, deliveries: Deliveries
) -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
    """The server's two streams over stdin and stdout. Where all ends in order, this leaves the process itself.

    Args:
        ending: Begun at the end of input, and by a signal.
        deliveries: Told of each answer once it is written.
    """
    if not pipes_serve():
        async with stdio_server() as (read, write):
            yield read, _Telling(write, deliveries)
        return
    wire_in, wire_out = _claim()
    loop = asyncio.get_running_loop()
    connection = _Connection(ending, deliveries)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.begin, number)
    reader, _ = await loop.connect_read_pipe(lambda: _Input(connection), wire_in)
    writer, output = await loop.connect_write_pipe(lambda: _Output(ending), wire_out)
    connection.reading, connection.output = reader, output
    output.transport = writer
    writer.set_write_buffer_limits(0)  # a line is written once none of it is left in the buffer
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.end_in_order)
        yield _Incoming(connection), _Outgoing(connection)
        await output.finish()
        leave(ending)


def pipes_serve() -> bool:
    """Whether asyncio can serve stdin and stdout here: connect_read_pipe refuses regular files."""
    if sys.platform == "win32":
        return False
    return all(_is_pipe(descriptor) for descriptor in (0, 1))


def _is_pipe(descriptor: int) -> bool:
    kind = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)


def _claim() -> tuple[Any, Any]:
    """Take the wire for us alone: fd 0 becomes empty, and fd 1 leads to stderr."""
    wire_in, wire_out = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return wire_in, wire_out


class _Connection:
    """What both directions share: the lines read, and the requests not answered yet."""

    def __init__(self, ending: Ending, deliveries: Deliveries) -> None:
        self.ending = ending
        self.deliveries = deliveries
        self.lines: deque[bytes | _TooLong] = deque()
        self.waiting: asyncio.Future[None] | None = None
        self.closed = False
        self.unanswered = 0
        self.idle = anyio.Event()
        self.reading: asyncio.ReadTransport
        self.output: _Output
        self._paused = False

    def took(self, request_id: str | int) -> ServerMessageMetadata:
        """Count a request that is handed to the server."""
        self.unanswered += 1
        self._throttle()

        async def unanswered() -> None:
            await self.deliveries.written(request_id, read=False)
            self.answered()

        return ServerMessageMetadata(on_request_unanswered=unanswered)

    def answered(self) -> None:
        """Count an answer, or that there will be none: the client cancelled the request."""
        self.unanswered -= 1
        self.settled()

    def settled(self) -> None:
        """Note that there is room again, and perhaps nothing left to do."""
        self._throttle()
        if not self.lines and not self.unanswered:
            self.idle.set()

    def wake(self) -> None:
        """Something was read, or the input has ended."""
        self._throttle()
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def _throttle(self) -> None:
        full = self.unanswered >= MAX_UNANSWERED or len(self.lines) >= MAX_UNANSWERED
        if full is not self._paused and not self.closed and not self.reading.is_closing():
            self._paused = full
            (self.reading.pause_reading if full else self.reading.resume_reading)()

    async def end_in_order(self) -> None:
        """Wait for the end of input or a signal; then give the calls under way their time, and close."""
        await self.ending.begun.wait()
        if self.ending.signal is not None:
            self.lines.clear()
        with anyio.move_on_after(GRACE):
            while self.lines or self.unanswered:
                self.idle = anyio.Event()
                await self.idle.wait()
        self.closed = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)
        await anyio.sleep(_LAST_MOMENT)
        leave(self.ending)  # a call that can't be cancelled is still at work: the journal knows of it


class _TooLong:
    """A line beyond the cap: its first bytes, from which the id may be read."""

    def __init__(self, head: bytes) -> None:
        self.head = head


class _Input(asyncio.Protocol):
    """Cuts what comes into lines."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rest = bytearray()
        self._skipping: bytes | None = None

    def data_received(self, data: bytes) -> None:
        if self._connection.ending.begun.is_set():
            return
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._finish(data[start:end])
            start = end + 1
        self._keep(data[start:])
        self._connection.wake()

    def eof_received(self) -> None:
        if self._rest:
            self._finish(b"")  # a last line without its end
        self._connection.wake()
        self._connection.ending.begin()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface
        self._connection.ending.begin()

    def _finish(self, piece: bytes) -> None:
        self._keep(piece)
        if self._skipping is not None:
            self._connection.lines.append(_TooLong(self._skipping))
        elif line := bytes(self._rest).strip():
            self._connection.lines.append(line)
        self._skipping = None
        self._rest.clear()

    def _keep(self, piece: bytes) -> None:
        if self._skipping is not None:
            return
        self._rest += piece
        if len(self._rest) > MAX_LINE:
            self._skipping = bytes(self._rest[:_HEAD])
            self._rest.clear()


class _Output(asyncio.Protocol):
    """Tells when the client reads too slowly."""

    def __init__(self, ending: Ending) -> None:
        self.transport: asyncio.WriteTransport
        self._ending = ending
        self.disconnected = False
        self._ready = anyio.Event()
        self._ready.set()
        self._closed = anyio.Event()

    def pause_writing(self) -> None:
        self._ready = anyio.Event()

    def resume_writing(self) -> None:
        self._ready.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface
        self.disconnected = True
        self._ending.begin()  # nobody would be told of a key that is made now
        self._ready.set()
        self._closed.set()

    async def write(self, line: bytes) -> None:
        """Send a line; raises BrokenResourceError where nobody reads any more."""
        if not self._ready.is_set():
            await self._ready.wait()
        if self.disconnected:
            raise anyio.BrokenResourceError
        self.transport.write(line)
        if not self._ready.is_set():  # the pipe is full: it is written when the client has read on
            await self._ready.wait()
            if self.disconnected:
                raise anyio.BrokenResourceError

    async def finish(self) -> None:
        """Write what is left, and close."""
        self.transport.close()
        with anyio.move_on_after(_LAST_MOMENT):
            await self._closed.wait()


class _Stream:
    """What both stream interfaces have beside their one method."""

    async def aclose(self) -> None:
        """Nothing: the connection is closed as one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        await self.aclose()
        return None


class _Incoming(_Stream):
    """The messages of the client. What is no message is answered here."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> SessionMessage | Exception:
        """The next message. Raises EndOfStream."""
        connection = self._connection
        while True:
            while connection.lines:
                line = connection.lines.popleft()
                message = None if isinstance(line, _TooLong) else _parsed(line)
                if isinstance(message, types.JSONRPCRequest):
                    return SessionMessage(message, connection.took(message.id))
                if message is not None:
                    return SessionMessage(message)
                await connection.output.write(_complaint(line))
            if connection.closed:
                raise anyio.EndOfStream
            connection.settled()
            connection.waiting = asyncio.get_running_loop().create_future()
            await connection.waiting


class _Outgoing(_Stream):
    """The messages to the client."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message; waits while the client reads too slowly."""
        message = item.message
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        written = False
        try:
            await self._connection.output.write(line)
            written = True
        finally:
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                with anyio.CancelScope(shield=True):
                    await self._connection.deliveries.written(message.id, read=written)
                self._connection.answered()


class _Telling(_Stream):
    """The SDK's stream to the client, which tells of the answers that were written."""

    def __init__(self, stream: WriteStream[SessionMessage], deliveries: Deliveries) -> None:
        self._stream = stream
        self._deliveries = deliveries

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message."""
        await self._stream.send(item)
        if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
            await self._deliveries.written(item.message.id)

    async def aclose(self) -> None:
        """Close the SDK's stream."""
        await self._stream.aclose()


def _parsed(line: bytes) -> types.JSONRPCMessage | None:
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        return None


def _complaint(line: bytes | _TooLong) -> bytes:
    """The error that answers a line which is no message, with its id where one can be read."""
    if isinstance(line, _TooLong):
        code, text = types.INVALID_REQUEST, f"The message is longer than {MAX_LINE} bytes and was skipped."
        found = _id_in(line.head, partial=True)
    else:
        found = _id_in(line, partial=False)
        try:
            from_json(line)
            code, text = types.INVALID_REQUEST, "This is no JSON-RPC message."
        except ValueError:
            code, text = types.PARSE_ERROR, "This is no valid JSON: bad syntax, bad UTF-8 or a lone surrogate."
    error = {"jsonrpc": "2.0", "id": found, "error": {"code": code, "message": text}}
    return json.dumps(error).encode() + b"\n"


def _id_in(text: bytes, *, partial: bool) -> _ID | None:
    """The id of a message that can't be taken; None where it is none, or can't be read."""
    value: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        value = from_json(text, allow_partial=True) if partial else json.loads(text.decode("utf-8", "replace"))
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def leave(ending: Ending) -> NoReturn:
    """End the process as it was asked to: by the signal that came, else with status 0.

    os._exit skips what the interpreter would tidy up, which takes longer than everything else at the end.
    """
    sys.stderr.flush()
    if ending.signal is not None and sys.platform != "win32":
        signal.signal(ending.signal, signal.SIG_DFL)
        os.kill(os.getpid(), ending.signal)
    os._exit(0)
