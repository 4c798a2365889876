"""The stdio transport: JSON-RPC, one message a line.

Beside the SDK's own transport it adds what a server needs that holds somebody's money:

- A line has a cap. A longer one is answered with an error and skipped, never held in memory.
- Calls that are worked on have a bound; at it, reading pauses and the client's pipe fills. One that waits for an answer
  of the client's, to a question to a person, does not count: that answer has to be read. `confirmation` bounds those.
- Every request whose id can be read at all gets an answer, also one that is no valid message.
- It ends in order: at the end of input, on SIGTERM and on SIGINT no new call starts, and those under way get a while
  to finish; calls out of a file get all the time that they need. Nothing that a library prints reaches the client, for
  fd 1 leads to stderr meanwhile.

asyncio serves pipes. Where it has none (Windows), or stdin or stdout is a file, threads read and write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import NoReturn, Self, cast

import anyio
import mcp_types as types
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from comet_mcp.deliveries import Deliveries
from comet_mcp.transports.handover import Handover
from comet_mcp.transports.lines import Cutter, Line, complaint, parsed, size_of
from comet_mcp.transports.replay import Taken
from comet_mcp.transports.threads import ThreadReading, ThreadWriting
from comet_mcp.transports.wire import claim, pipes_serve

MAX_UNANSWERED = 256
"""Requests that may be worked on before reading pauses."""

MOST_BYTES = 256 * 1024
"""Bytes of requests that are worked on, and of lines, before reading pauses: parsed they take many times that."""

GRACE = 1.5
"""Seconds that calls under way get at the end. Clients send SIGTERM 2 s after they closed stdin."""

_LAST_MOMENT = 0.25


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
    ending: Ending,
    deliveries: Deliveries,
    handover: Handover | None = None,
    taken: Taken | None = None,
) -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
    """The server's two streams over stdin and stdout. Where all ends in order, this leaves the process itself.

    Args:
        ending: Begun at the end of input, and by a signal.
        deliveries: Told of each answer once it is written.
        handover: Knows what was answered before, and records this start.
        taken: The wire and what was read from it, where that was begun before.
    """
    connection = _Connection(ending, deliveries, handover or Handover(), from_file=stat.S_ISREG(os.fstat(0).st_mode))
    use_pipes = taken is not None or pipes_serve()
    wire_in, wire_out = taken.wire if taken else claim()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.begin, number)
    if use_pipes:
        await loop.connect_write_pipe(lambda: connection.output, wire_out)
        if taken is not None and taken.unwritten:
            connection.output.transport.write(taken.unwritten)
        await loop.connect_read_pipe(lambda: _Input(connection, taken.rest if taken else b""), wire_in)
    else:
        ThreadWriting(wire_out, connection.output)
        ThreadReading(wire_in, _Input(connection))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.end_in_order)
        yield _Incoming(connection), _Outgoing(connection)
        await connection.output.finish()
        connection.handover.end()
        leave(ending)


class _Connection:
    """What both directions share: the lines read, and the requests not answered yet."""

    def __init__(self, ending: Ending, deliveries: Deliveries, handover: Handover, *, from_file: bool) -> None:
        self.ending = ending
        self.deliveries = deliveries
        self.handover = handover
        self.lines: deque[Line] = deque(handover.lines)
        self.waiting: asyncio.Future[None] | None = None
        self.closed = False
        self.output = _Output(ending)
        self.reading: asyncio.ReadTransport | None = None
        self.asked: set[str | int] = set()
        """Our own requests that the client has not answered yet; a call waits behind each."""
        self._from_file = from_file
        self._unanswered = 0
        self._bytes: dict[str | int, int] = {}
        self._idle = anyio.Event()
        self._ended = False
        self._paused = False

    @property
    def is_busy(self) -> bool:
        """Whether something is left to do that needs nothing of the client."""
        return bool(self.lines) or self._worked_on > 0

    @property
    def _worked_on(self) -> int:
        return self._unanswered - len(self.asked)

    def took(self, request_id: str | int, size: int) -> ServerMessageMetadata:
        """Count a request of `size` bytes that is handed to the server."""
        self._unanswered += 1
        self._bytes[request_id] = self._bytes.get(request_id, 0) + size
        self._throttle()

        async def unanswered() -> None:
            await self.deliveries.written(request_id, read=False)
            self.answered(request_id)

        return ServerMessageMetadata(on_request_unanswered=unanswered)

    def answered(self, request_id: str | int | None) -> None:
        """Count an answer, or that there will be none: the client cancelled the request."""
        self._unanswered -= 1
        if request_id is not None:
            self._bytes.pop(request_id, None)
        self.settled()
        if self.lines and self.handover.lets_pass:
            self.wake()

    def ask(self, request_id: str | int) -> None:
        """Count a request of ours: the call behind it waits for the client."""
        self.asked.add(request_id)
        self.settled()

    def heard(self, request_id: object) -> None:
        """The client has answered a request of ours, or need not answer it any more."""
        if isinstance(request_id, str | int):
            self.asked.discard(request_id)
            self._throttle()

    def settled(self) -> None:
        """Note that there is room again, and perhaps nothing left to do."""
        self._throttle()
        if not self.is_busy:
            self._idle.set()
            if self._ended:
                self.ending.begin()

    def input_ended(self) -> None:
        """Nothing else comes. Whoever closed a pipe may soon not read any more; who gave a file reads it later."""
        self._ended = True
        self.wake()
        if self._from_file:
            self.settled()
        else:
            self.ending.begin()

    def wake(self) -> None:
        """Something was read, or the input has ended."""
        self._throttle()
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def _throttle(self) -> None:
        full = self._worked_on >= MAX_UNANSWERED or len(self.lines) >= MAX_UNANSWERED or self._is_heavy
        reading = self.reading
        if full is not self._paused and not self.closed and reading is not None and not reading.is_closing():
            self._paused = full
            (reading.pause_reading if full else reading.resume_reading)()

    @property
    def _is_heavy(self) -> bool:
        """Whether so much is held that reading waits; not while a question is open, for its answer has to be read."""
        return not self.asked and sum(self._bytes.values()) + sum(map(size_of, self.lines)) >= MOST_BYTES

    async def end_in_order(self) -> None:
        """Wait for the end of input or a signal; then give the calls under way their time, and close."""
        await self.ending.begun.wait()
        if self.ending.signal is not None:
            self.lines.clear()
        with anyio.move_on_after(GRACE):
            while self.is_busy:
                self._idle = anyio.Event()
                await self._idle.wait()
        self.closed = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)
        await anyio.sleep(_LAST_MOMENT)
        leave(self.ending)  # a call that can't be cancelled is still at work: the journal knows of it


class _Input(asyncio.Protocol):
    """What is read, as the connection's lines."""

    def __init__(self, connection: _Connection, read_before: bytes = b"") -> None:
        self._connection = connection
        self._cutter = Cutter(at_start=not connection.handover.lines)
        self._read_before = read_before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # here and not later: the first bytes may come at once
        self._connection.reading = cast("asyncio.ReadTransport", transport)
        self.data_received(self._read_before)

    def data_received(self, data: bytes) -> None:
        if self._connection.ending.begun.is_set():
            return
        self._connection.lines.extend(self._cutter.cut(data))
        self._connection.wake()

    def eof_received(self) -> None:
        self._connection.lines.extend(self._cutter.end())
        self._connection.input_ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface
        self._connection.input_ended()


class _Output(asyncio.Protocol):
    """Tells when the client reads too slowly."""

    def __init__(self, ending: Ending) -> None:
        self.transport: asyncio.WriteTransport
        self._ending = ending
        self.disconnected = False
        self._ready = anyio.Event()
        self._ready.set()
        self._closed = anyio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.transport.set_write_buffer_limits(0)  # a line is written once none of it is left in the buffer

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
            while connection.lines and connection.handover.lets_pass:
                line = connection.lines.popleft()
                connection.handover.read(line if isinstance(line, bytes) else None)
                message = parsed(line)
                if isinstance(message, types.JSONRPCRequest):
                    return SessionMessage(message, connection.took(message.id, size_of(line)))
                if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                    connection.heard(message.id)
                if message is not None:
                    return SessionMessage(message)
                await connection.output.write(complaint(line))
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
        connection, message = self._connection, item.message
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if isinstance(message, types.JSONRPCRequest):
            connection.ask(message.id)
        elif isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            connection.heard((message.params or {}).get("requestId"))
        answer = message if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) else None
        written = False
        try:
            if answer is None or not connection.handover.was_sent(answer.id, line):
                await connection.output.write(line)
            written = True
        finally:
            if answer is not None:
                with anyio.CancelScope(shield=True):
                    await connection.deliveries.written(answer.id, read=written)
                connection.answered(answer.id)


def leave(ending: Ending) -> NoReturn:
    """End the process as it was asked to: by the signal that came, else with status 0.

    os._exit skips what the interpreter would tidy up, which takes longer than everything else at the end.
    """
    sys.stderr.flush()
    if ending.signal is not None and sys.platform != "win32":
        signal.signal(ending.signal, signal.SIG_DFL)
        os.kill(os.getpid(), ending.signal)
    os._exit(0)
