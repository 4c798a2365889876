"""The handshake from a recording, while the server that could give it is still being loaded.

The main thread claims the wire, and a second one loads the server. As long as each line is the opening that a recording
was made of, or a request after it that the recording has an answer to, the answer goes out with the request's id put
in: the same bytes that the SDK wrote for the same words under the same code and settings. The first line that is
anything else ends it for good. Then the server gets all lines, those that were answered too; what it answers to them
is held against what was sent and goes no further, and it sees no other line before that is done (`handover.py`).
Nothing of the protocol is known here beyond the names of the methods: no version, no check, no state.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from threading import Thread
from typing import BinaryIO, Generic, TypeVar

from comet_mcp.transports.recording import OPENING, Cache, Recording, is_plain_initialized, recorded, request_in
from comet_mcp.transports.wire import claim, is_piped

_T = TypeVar("_T")

_LONGEST = 64 * 1024
"""Bytes of a line that can be one of the handshake."""

_MOST = 64
"""Lines that are answered. No client asks more before it calls, and each is kept until the server has answered it."""

_TURN = 0.0005
"""Seconds until the loading thread lets this one have its turn; Python's own are ten times as many."""


class Taken:
    """What was read and answered before the server was there."""

    def __init__(self, wire: tuple[BinaryIO, BinaryIO]) -> None:
        self.wire = wire
        self.lines: list[bytes] = []
        """Those that were answered, or need no answer."""
        self.rest = b""
        """What was read after them."""
        self.answers: dict[str | int, bytes] = {}
        """The lines that were written, by the ids of the requests."""
        self.unwritten = b""
        """The end of the last of them, where the client has not read so far."""
        self.recording: Recording | None = None


def answered_while_loading(load: Callable[[], _T], cache: Cache | None) -> tuple[_T, Taken | None]:
    """What `load` gives, and what was answered meanwhile: None where there was nothing to answer from."""
    if cache is None or cache.is_empty:
        return load(), None
    taken, loading, before = Taken(claim()), _Loading(load), sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        _answer(taken, cache, loading.done)
        loading.thread.join()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        sys.setswitchinterval(before)
    return loading.result(), taken


def cache_for_this_start() -> Cache | None:
    """The recordings, where a program is at the other end; None in a terminal, with files, and on Windows."""
    try:
        return Cache() if is_piped() else None
    except (OSError, RuntimeError):  # a folder that Python takes modules from is gone, or the user has no home
        return None


class _Loading(Generic[_T]):
    """The server being loaded on a thread of its own."""

    def __init__(self, load: Callable[[], _T]) -> None:
        self._load = load
        self._loaded: list[_T] = []
        self._error: BaseException | None = None
        self.done, self._tell = os.pipe()
        """Has an end to be read once it is loaded."""
        self.thread = Thread(target=self._run, name="loading", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._loaded.append(self._load())
        except BaseException as error:  # noqa: BLE001 - raised by `result`, on the thread that waits for it
            self._error = error
        finally:
            os.close(self._tell)

    def result(self) -> _T:
        """What was loaded; raises what went wrong."""
        os.close(self.done)
        if self._error is not None:
            raise self._error
        return self._loaded[0]


def _answer(taken: Taken, cache: Cache, done: int) -> None:
    """Answer what the recording knows until there comes something else, or the server is there."""
    wire = taken.wire[0].fileno()
    something = select.poll()  # select.select can't, where a client has left many files open for its programs
    for descriptor in (wire, done):
        something.register(descriptor, select.POLLIN)
    while done not in dict(something.poll()):
        try:
            data = os.read(wire, _LONGEST)
        except ConnectionResetError:
            return
        if not data:
            if not taken.rest and taken.answers:
                os._exit(0)  # all is answered, and nothing else can come
            return
        taken.rest += data
        while (end := taken.rest.find(b"\n")) >= 0:
            if not _is_answered(taken, cache, taken.rest[:end].strip()):
                return
            taken.rest = taken.rest[end + 1 :]
            if taken.unwritten or len(taken.lines) >= _MOST:
                return
        if len(taken.rest) > _LONGEST:
            return


def _is_answered(taken: Taken, cache: Cache, line: bytes) -> bool:
    """Answer a line, where an answer is known and the client did not use the id before."""
    if taken.recording is not None and is_plain_initialized(line):
        taken.lines.append(line)
        return True
    request = request_in(line)
    if request is None or request.id in taken.answers or (request.method == OPENING) is bool(taken.lines):
        return False
    if request.method == OPENING:
        taken.recording = recorded(cache.path_of(request))
    answer = taken.recording and taken.recording.answer(request)
    if not answer:
        return False
    taken.lines.append(line)
    taken.answers[request.id] = answer
    taken.unwritten = _not_written(taken.wire[1].fileno(), answer)
    return True


def _not_written(descriptor: int, text: bytes) -> bytes:
    """Write as much of a line as the client has room for; gives what is left."""
    os.set_blocking(descriptor, False)
    try:
        while text:
            text = text[os.write(descriptor, text) :]
    except BlockingIOError:
        return text
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody is there any more, and nothing was begun
    return b""
