"""From the recording to the server: what was answered is made good, and what the server answers is recorded.

The server gets the lines that were answered first, and no other before it has answered those: its answers are held
against what was sent, and go no further. A difference is told on stderr, and drops the recording.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from threading import Event

from comet_mcp.threads import LateError, begin, run_blocking
from comet_mcp.transports.recording import OPENING, Cache, Recording, Request, is_plain_initialized, request_in
from comet_mcp.transports.replay import Taken

_LAST_MOMENT = 0.25
"""Seconds that saving may take where the process is about to end."""

log = logging.getLogger(__name__)


class Handover:
    """What one connection has to do with recordings: nothing, where it is given nothing.

    Args:
        taken: What was read and answered before the server was there.
        recorder: Makes the recording of this start; None where none is made.
    """

    def __init__(self, taken: Taken | None = None, recorder: Recorder | None = None) -> None:
        self.lines = list(taken.lines) if taken else []
        self._sent = dict(taken.answers) if taken else {}
        self._recording = taken.recording if taken else None
        self._to_read = len(self.lines)
        self._recorder = recorder

    @property
    def lets_pass(self) -> bool:
        """Whether the server may get the next line."""
        return self._to_read > 0 or not self._sent

    def read(self, line: bytes | None) -> None:
        """Note a line that the server gets; None for one that can be none of the handshake."""
        self._to_read -= self._to_read > 0
        if self._recorder is not None:
            self._recorder.read(line)

    def was_sent(self, request_id: str | int | None, line: bytes) -> bool:
        """Note an answer of the server's. Whether the client has it already."""
        if request_id is None:
            return False
        if self._recorder is not None:
            self._recorder.answered(request_id, line)
        sent = self._sent.pop(request_id, None)
        if sent is not None and sent != line and self._recording is not None:
            log.error("An answer from the recording of an earlier start is not what this one gives; it is dropped.")
            self._recording.drop()
            self._recorder = None
        return sent is not None

    def end(self) -> None:
        """The connection ends."""
        if self._recorder is not None:
            self._recorder.end()


class Recorder:
    """The recording of one start, saved once there comes something that is no part of a handshake.

    Args:
        cache: Where it goes.
        files: The config files that the answers depend on, each with the digest of what it holds.
        recording: The one that this start was answered from; it goes on where it is of the same files.
    """

    def __init__(self, cache: Cache, files: Mapping[str, str], recording: Recording | None = None) -> None:
        self._cache, self._files = cache, files
        self._recording = recording if recording is not None and recording.files == files else None
        self._open: dict[str | int, Request] = {}
        self._begun = self._over = self._is_new = False
        self._saved: Event | None = None
        """Is set once what was begun to be saved is saved, or can't be."""

    def read(self, line: bytes | None) -> None:
        """Note a line that the server gets."""
        if self._over or (self._begun and line is not None and is_plain_initialized(line)):
            return
        request = None if line is None else request_in(line)
        if request is None or request.id in self._open or (request.method == OPENING) is self._begun:
            self._over = True
            self._save_if_due()
            return
        if self._recording is None:
            self._recording = Recording(self._cache.path_of(request), self._files)
        self._begun = True
        self._open[request.id] = request

    def answered(self, request_id: str | int, line: bytes) -> None:
        """Note an answer of the server's."""
        request = self._open.pop(request_id, None)
        if request is not None and self._recording is not None:
            self._is_new |= self._recording.add(request, line)
            self._save_if_due()

    def _save_if_due(self) -> None:
        if self._over and self._is_new and not self._open and self._recording is not None:
            self._is_new = False
            self._saved = Event()
            begin(self._recording.save, [], self._saved.set)  # a cache that can't be written only costs the next start

    def end(self) -> None:
        """Save what there is now: the process is about to end, and what a thread has begun would end with it."""
        self._over = True
        if self._saved is not None:
            self._saved.wait(_LAST_MOMENT)
        if self._is_new and self._recording is not None:
            with contextlib.suppress(LateError, OSError):
                run_blocking(self._recording.save, _LAST_MOMENT)
