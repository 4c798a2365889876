"""`cometapi-mcp board` as a process of its own, and what a program can ask of it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support import Home


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
def live(home: Home, *, opens: bool = False) -> Iterator[Live]:
    """A board that is served while the context lasts, and ends by Ctrl-C."""
    command = [sys.executable, "-m", "comet_mcp", "board", *([] if opens else ["--no-open"])]
    process = subprocess.Popen(
        command, env=home.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", cwd=home.directory,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", process.stderr.readline())
        assert found is not None, process.stderr.read()
        board = Live(int(found[1]), found[2])
        yield board
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
        board.ended = {"status": process.returncode, "out": out, "errors": errors}
    finally:
        process.kill()
        process.communicate()
