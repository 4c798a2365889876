"""`cometapi-mcp board`, as a process of its own or in a thread of this one, and what a program can ask of it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any
from unittest import mock

import pytest
from uvicorn import Server

from comet_mcp.cli import board_server
from comet_mcp.cli.board_changes import Changes
from comet_mcp.cli.calls import with_calls
from tests.support import Home

posix = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
"""For tests of `live`."""


@dataclass
class Live:
    """A board that is served."""

    port: int
    token: str
    session: str = ""
    asked: int = 0
    """The number of the last question that this page got."""
    ended: dict[str, Any] = field(default_factory=dict)
    """Once it has ended: its `status`, and the `errors` that it told."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"http://{self.host}/#{self.token}"

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, dict[str, str]]:
        """The status, the text and the headers of an answer; Host and Origin are the page's unless given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        own = {"Host": self.host, "Origin": f"http://{self.host}", "X-Board-Session": self.session}
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        sent = {name: text for name, text in (own | given).items() if text}
        connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, dict(answer.getheaders())

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """What the page would get."""
        got: dict[str, Any] = json.loads(self.send("POST", path, body)[1])
        self.asked = got.get("number", self.asked)
        return got

    def answer(self, *, agrees: bool) -> dict[str, Any]:
        """Answer the last question that this page got."""
        return self.ask("/answer", agrees=agrees, number=self.asked)

    def begin(self) -> None:
        """Trade the token for a session."""
        self.session = self.ask("/session", token=self.token)["session"]


@contextmanager
def live(home: Home, *, opens: bool = False, impatient: bool = False) -> Iterator[Live]:
    """A board that is served while the context lasts, and ends by Ctrl-C; `impatient` presses it again."""
    command = [sys.executable, "-m", "comet_mcp", "board", *([] if opens else ["--no-open"])]
    process = subprocess.Popen(
        command, env=home.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", cwd=home.directory,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        board = _board(process.stderr.readline())
        yield board
        process.send_signal(signal.SIGINT)
        if impatient:
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=40)
        board.ended = {"status": process.returncode, "out": out, "errors": errors}
    finally:
        process.kill()
        process.communicate()


@contextmanager
def live_here(home: Home) -> Iterator[Live]:
    """The same in a thread, which takes a tenth of a process; no browser is opened."""
    begun: SimpleQueue[Server] = SimpleQueue()

    class Told(board_server._Server):
        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            begun.put(self)
            await super().serve(sockets)

    errors = io.StringIO()
    with (
        mock.patch.dict(os.environ, home.environment),
        mock.patch.object(board_server, "_Server", Told),
        redirect_stderr(errors),
        closing(Changes()) as changes,
        ThreadPoolExecutor(1) as threads,
    ):

        def serve() -> None:
            with_calls(lambda calls: board_server.serve(calls, changes, opens=False), asks=True, answers=changes.asked)

        ended = threads.submit(serve)
        server = begun.get(timeout=20)
        try:
            yield _board(errors.getvalue())
        finally:
            server.should_exit = True
            ended.result(timeout=20)


def _board(told: str) -> Live:
    """The board whose address was told."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", told)
    assert found is not None, told
    return Live(int(found[1]), found[2])
