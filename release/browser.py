"""A real browser without a window, driven over the two pipes of Chromium's `--remote-debugging-pipe`."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=IsolateSandboxedIframes",  # such a frame would be another page to talk to
    "--remote-debugging-pipe",
)
_START = """
import os, sys
reads, writes, *command = sys.argv[1:]
os.dup2(int(reads), 3)
os.dup2(int(writes), 4)
os.execv(command[0], command)
"""
"""Becomes Chromium, which reads its file 3 and writes its file 4."""


def chromium() -> str | None:
    """Where Chromium is; None where there is none, or no way to give it pipes."""
    return None if sys.platform == "win32" else next(filter(None, map(shutil.which, _NAMES)), None)


class BrowserError(Exception):
    """The browser refuses a command, or a script in a page has failed."""


class Page:
    """One page.

    Args:
        out: Where commands go.
        into: Where answers and events come from.
    """

    def __init__(self, out: int, into: int) -> None:
        self._out = out
        self._in = into
        self._read = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the page told unasked: errors of scripts, what the console says, requests."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def show(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True) -> None:
        """Load an address in a window of that size, and wait until it is there."""
        self.events.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Emulation.setScriptExecutionDisabled", value=not script)
        self._send("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def wait_for(self, event: str) -> None:
        """Wait until the page has told that."""
        while not any(told["method"] == event for told in self.events):
            self.events.append(self._message())

    def run(self, script: str, *, framed: bool = False) -> Any:
        """What an expression gives in the page, or in the last frame that it loaded; a promise is waited for."""
        where = {"contextId": self._frame()} if framed else {}
        done = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, **where)
        if "exceptionDetails" in done:
            raise BrowserError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def until(self, condition: str, *, framed: bool = False) -> None:
        """Wait until a condition holds in the page, or in its frame, for ten seconds at most."""
        poll = f"""(async () => {{
            for (let at = 0; at < 200 && !({condition}); at++) await new Promise((go) => setTimeout(go, 50));
            return Boolean({condition});
        }})()"""
        if not self.run(poll, framed=framed):
            raise BrowserError(f"never came: {condition}")

    def _frame(self) -> int:
        """Where scripts of the frame run that was loaded last."""
        made = [
            told["params"]["context"] for told in self.events if told["method"] == "Runtime.executionContextCreated"
        ]
        number: int = made[-1]["id"]
        return number

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def click(self, x: float, y: float, *, count: int = 1) -> None:
        """Press the mouse there and let it go; `count` 2 is the second of a double click."""
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def picture(self, *, scale: float = 1, most: float = math.inf) -> bytes:
        """The whole page as PNG, made so much larger or smaller, and cut below so many pixels of its own."""
        size = self._send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": scale}
        shot = self._send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while True:
            told = self._message()
            if told.get("id") == self._number:
                if "error" in told:
                    raise BrowserError(f"{method}: {told['error']}")
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            got = os.read(self._in, 1 << 20)
            if not got:
                raise BrowserError("Chromium has ended")
            self._read += got
        message, _, self._read = self._read.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a browser of its own, which ends with the context. Raises BrowserError where there is no Chromium."""
    program = chromium()
    if program is None:
        raise BrowserError("There is no Chromium here.")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}"]
        running = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_out, ours_in)
        finally:
            os.close(ours_out)
            os.close(ours_in)
            with suppress(subprocess.TimeoutExpired):
                running.wait(5)
            running.kill()
            running.wait()
