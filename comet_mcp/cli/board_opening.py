"""How the browser is opened at an address that is for this person alone.

A program's command line can be read by every user of a machine, so it gets a file that only this person can read, and
that leads on to the address. It lies in the home folder itself: browsers that are packed as snaps read no other.
"""

from __future__ import annotations

import os
import secrets
import webbrowser
from contextlib import suppress
from pathlib import Path

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>CometAPI keys</title>
"""


class Opener:
    """Opens the browser once. Its work is with files: it is called in a thread."""

    def __init__(self) -> None:
        self._file: Path | None = None

    def open(self, address: str) -> bool:
        """Open the browser at an address. False where that can't be done."""
        try:
            path = Path.home() / f"cometapi-board-{secrets.token_hex(4)}.html"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            self._file = path
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(_PAGE.format(address=address))
            return webbrowser.open(path.as_uri())
        except (OSError, RuntimeError, webbrowser.Error):  # RuntimeError: there is no home
            return False

    def forget(self) -> None:
        """Remove the file, which has led on."""
        if self._file is not None:
            with suppress(OSError):  # what is left leads nowhere: its token has served, or the page has ended
                self._file.unlink()
            self._file = None
