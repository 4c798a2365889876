"""Bugs of the replay that somebody could write; `test_planted.py` has each found by the tests that there are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from comet_mcp.transports import recording
from comet_mcp.transports.handover import Handover
from tests.simulation.patches import Planted, attribute, constant, gives, sync

REPLAY = "transports.replay"
RECORDING = "transports.recording"
HANDOVER = "transports.handover"


def _used_ids_again(original: Any, taken: Any, cache: Any, line: bytes) -> Any:
    answers, taken.answers = taken.answers, {}
    try:
        return original(taken, cache, line)
    finally:
        taken.answers = {**answers, **taken.answers}


def _opens_twice(original: Any, taken: Any, cache: Any, line: bytes) -> Any:
    request = recording.request_in(line)
    if request is None or request.method != recording.OPENING:
        return original(taken, cache, line)
    lines, taken.lines = taken.lines, []
    try:
        return original(taken, cache, line)
    finally:
        taken.lines = lines + taken.lines


def _goes_on(original: Any, taken: Any, cache: Any, line: bytes) -> Any:
    return original(taken, cache, line) or b"tools/call" in line


def _ready_is_lost(original: Any, taken: Any, cache: Any, line: bytes) -> Any:
    answered = original(taken, cache, line)
    if answered and recording.is_plain_initialized(line):
        taken.lines.pop()
    return answered


def _any_ready(_: Any, line: bytes) -> bool:
    return b"notifications/initialized" in line


def _without_parameters(_: Any, line: bytes) -> Any:
    try:
        message = json.loads(line)
        request = recording.Request(message["id"], b"%d" % message["id"], message["method"], message["method"])
    except (ValueError, LookupError, TypeError):
        return None
    return request if request.method in {recording.OPENING, *recording.METHODS} else None


def _any_id(_: Any, value: object) -> bytes:
    return json.dumps(value).encode()


def _first_of_two(_: Any, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


def _its_own_id(original: Any, self: Any, request: Any) -> Any:
    line = original(self, request)
    return line and original(self, request._replace(id_text=b"0"))


def _errors_too(original: Any, self: Any, request: Any, line: bytes) -> bool:
    return bool(original(self, request, line.replace(b'"error"', b'"result"')))


def _no_look_at_whose(_: Any, path: Path) -> Any:
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest != recording._seal(path, text):
            return None
        content = json.loads(text)
        return recording.Recording(path, content["files"], content["answers"])
    except (OSError, ValueError, LookupError):
        return None


def _in_place(_: Any, self: Any) -> None:
    self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"files": self.files, "answers": self._answers}).encode()
    self.path.write_bytes(recording._seal(self.path, text) + b"\n" + text)


def _of_the_text_alone(_: Any, __: Path, text: bytes) -> bytes:
    return recording._digest(text).encode()


def _swallows(original: Any, self: Handover, request_id: Any, line: bytes) -> Any:
    return original(self, request_id, self._sent.get(request_id, line))


def _doubles(original: Any, self: Handover, request_id: Any, line: bytes) -> bool:
    original(self, request_id, line)
    return False


def _reads_everything(_: Any, path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return recording._digest(file.read())


def _unsized(original: Any, self: Any, request: Any, line: bytes) -> Any:
    self._size = 0
    return original(self, request, line)


def _kept(original: Any, self: Any, *args: Any) -> None:
    original(self, *args)
    self._recording = args[2] if len(args) > 2 else None


PLANTED = (
    Planted("ids", "an id that was used is answered again", ((f"{REPLAY}:_is_answered", sync(_used_ids_again)),)),
    Planted("ids", "any id is taken", ((f"{RECORDING}:_id_text", sync(_any_id)),)),
    Planted("ids", "an answer has the id of before", ((f"{RECORDING}:Recording.answer", sync(_its_own_id)),)),
    Planted("words", "a key that is there twice is taken", ((f"{RECORDING}:_without_doubles", sync(_first_of_two)),)),
    Planted("words", "parameters are not looked at", ((f"{RECORDING}:request_in", sync(_without_parameters)),)),
    Planted("words", "ready is taken whatever it says", ((f"{RECORDING}:is_plain_initialized", sync(_any_ready)),)),
    Planted("order", "a second opening is answered", ((f"{REPLAY}:_is_answered", sync(_opens_twice)),)),
    Planted("order", "a line that can't be answered is passed over", ((f"{REPLAY}:_is_answered", sync(_goes_on)),)),
    Planted("order", "ready is not handed over", ((f"{REPLAY}:_is_answered", sync(_ready_is_lost)),)),
    Planted("handover", "new lines do not wait", ((f"{HANDOVER}:Handover.lets_pass", attribute(True)),)),
    Planted("handover", "a difference is not looked for", ((f"{HANDOVER}:Handover.was_sent", sync(_swallows)),)),
    Planted("handover", "what was answered is answered again", ((f"{HANDOVER}:Handover.was_sent", sync(_doubles)),)),
    Planted("handover", "it goes on under other settings", ((f"{HANDOVER}:Recorder.__init__", sync(_kept)),)),
    Planted("file", "whose a recording is, is not looked at", ((f"{RECORDING}:recorded", sync(_no_look_at_whose)),)),
    Planted("file", "a recording holds under any name", ((f"{RECORDING}:_seal", sync(_of_the_text_alone)),)),
    Planted("file", "a damaged recording is taken", ((f"{RECORDING}:_seal", gives(b"the same")),)),
    Planted("file", "a recording is written in place", ((f"{RECORDING}:Recording.save", sync(_in_place)),)),
    Planted("file", "errors are recorded", ((f"{RECORDING}:Recording.add", sync(_errors_too)),)),
    Planted("file", "a dropped recording stays", ((f"{RECORDING}:Recording.drop", gives(None)),)),
    Planted("stale", "the config files are not looked at", ((f"{RECORDING}:_content", gives("")),)),
    Planted("stale", "variables are not looked at", ((f"{RECORDING}:_VARIABLES", constant(("NOTHING",))),)),
    Planted("stale", "the code is not looked at", ((f"{RECORDING}:_sources", gives(())),)),
    Planted("stale", "a config in a pipe is read", ((f"{RECORDING}:_content", sync(_reads_everything)),)),
    Planted("bounds", "recordings are many", ((f"{RECORDING}:MOST", constant(10**6)),)),
    Planted("bounds", "lines are many", ((f"{REPLAY}:_MOST", constant(10**6)),)),
    Planted("bounds", "answers are many", ((f"{RECORDING}:Recording.add", sync(_unsized)),)),
)
