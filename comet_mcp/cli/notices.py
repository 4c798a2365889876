"""Where `watch` says what it has to say: stderr, a notice on the desktop, or a command of the person's.

No text of the account's ever stands in a command line that a shell or a scripting language reads: it goes in as an
argument of its own or on standard input.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable

import click

from comet_mcp.commands import CommandError, run, words_of
from comet_mcp.errors import ArgumentError, CometError
from comet_mcp.text import escaped, quoted

Notify = Callable[[str], None]
"""Says a text. Raises CometError where that failed."""

_WITHIN = 30
"""Seconds that a program has."""
_TITLE = "cometapi-mcp"
_COMMAND = "command:"
_APPLE = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")
_WINDOWS = """
[Console]::InputEncoding = [Text.Encoding]::UTF8
$text = [Console]::In.ReadToEnd()
Add-Type -AssemblyName System.Windows.Forms, System.Drawing
$icon = New-Object System.Windows.Forms.NotifyIcon
$icon.Icon = [System.Drawing.SystemIcons]::Information
$icon.Visible = $true
$icon.ShowBalloonTip(10000, 'cometapi-mcp', $text, 'Warning')
Start-Sleep -Seconds 6
$icon.Dispose()
"""


def way_of(text: str) -> Notify:
    """The way that "stderr", "desktop" or "command:PROGRAM ARGUMENT ..." names. Raises ArgumentError."""
    if text == "stderr":
        return _on_stderr
    if text == "desktop":
        return _on_desktop
    if text.startswith(_COMMAND) and (words := words_of(text.removeprefix(_COMMAND))):
        return lambda said: _run(words, said)
    raise ArgumentError(f'{quoted(text)} is no way to be told. Give stderr, desktop or "command:PROGRAM ARGUMENT ...".')


def _on_stderr(text: str) -> None:
    click.echo(escaped(text, sys.stderr.encoding or "utf-8"), err=True)


def _on_desktop(text: str, platform: str = sys.platform) -> None:
    if platform == "darwin":
        script = [word for line in _APPLE for word in ("-e", line)]
        _run(["osascript", *script, _TITLE, text], "")
    elif platform == "win32":
        _run(["powershell", "-NoProfile", "-NonInteractive", "-Command", _WINDOWS], text)
    else:  # the text may hold marks of HTML by the desktop's rules
        _run(["notify-send", f"--app-name={_TITLE}", "--urgency=critical", "--", _TITLE, html.escape(text)], "")


def _run(command: list[str] | str, text: str) -> None:
    """Run a program with a text on its standard input, without our own settings. Raises CometError."""
    try:
        run(command, text, within=_WITHIN)
    except CommandError as error:
        raise CometError(f"{error} The notice was not given.", code="not_notified") from None
