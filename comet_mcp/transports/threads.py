"""asyncio's two halves of a connection, on threads: for files, and for Windows, where it has no pipes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import BinaryIO

_AT_ONCE = 64 * 1024


class ThreadReading(asyncio.ReadTransport):
    """Reads a file for a protocol, one piece after the other. The thread ends with the process, or at the end."""

    def __init__(self, file: BinaryIO, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._file, self._protocol = file, protocol
        self._loop = asyncio.get_running_loop()
        self._go_on = Event()
        self._paused = False
        self._ended = False
        protocol.connection_made(self)
        self._go_on.set()
        Thread(target=self._read, name="stdin", daemon=True).start()

    def pause_reading(self) -> None:
        """Read nothing after the piece that is on its way."""
        self._paused = True

    def resume_reading(self) -> None:
        """Read on."""
        self._paused = False
        self._go_on.set()

    def is_closing(self) -> bool:
        """Whether the end was read."""
        return self._ended

    def _read(self) -> None:
        data = b"more"
        while data:
            self._go_on.wait()
            self._go_on.clear()
            try:
                data = self._file.read(_AT_ONCE)
            except OSError:
                data = b""
            _on_loop(self._loop, self._take, data)

    def _take(self, data: bytes) -> None:
        if data:
            self._protocol.data_received(data)
        else:
            self._ended = True
            self._protocol.eof_received()
        if not self._paused:
            self._go_on.set()


class ThreadWriting(asyncio.WriteTransport):
    """Writes to a file for a protocol, whose writing is paused until all that it gave is written."""

    def __init__(self, file: BinaryIO, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._file, self._protocol = file, protocol
        self._loop = asyncio.get_running_loop()
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._unwritten = 0
        protocol.connection_made(self)
        Thread(target=self._write, name="stdout", daemon=True).start()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing: writing is paused while anything is left."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Have it written."""
        self._unwritten += 1
        if self._unwritten == 1:
            self._protocol.pause_writing()
        self._lines.put(bytes(data))

    def close(self) -> None:
        """Write what is left, and close."""
        self._lines.put(None)

    def _write(self) -> None:
        lost: OSError | None = None
        while lost is None and (line := self._lines.get()) is not None:
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError as error:
                lost = error
            _on_loop(self._loop, self._written)
        _on_loop(self._loop, self._protocol.connection_lost, lost)

    def _written(self) -> None:
        self._unwritten -= 1
        if not self._unwritten:
            self._protocol.resume_writing()


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(call, *arguments)
