"""Text that came from elsewhere, made safe to show in one line."""

from __future__ import annotations

import json
import re

_UNFILLED = re.compile(r"\$\{|\{\{|\$\(|^\$(env:)?[a-z_]\w*$|^%[a-z_]\w*%$|^<[^<>]*>$", re.IGNORECASE)
"""What shells, clients and examples write where a value is to be put: $VAR, ${VAR}, %VAR%, {{VAR}}, <your-token>."""
_TAG = re.compile(r"<[^<>]*>")
_SECRET = re.compile(r"[A-Za-z0-9+/=_%.~-]{24,}")
"""What could be a token or key, in any encoding: no word of a message is that long."""


def printable(text: str, limit: int = 200) -> str:
    r"""`text` on one line, at most `limit` characters, everything that does not print as an escape.

    Control characters, line separators, direction marks and lone surrogates appear as `\n`, `\u001b`, `\ud800`.
    """
    return _cut(escaped(text[: limit + 1]), limit)


def escaped(text: str, encoding: str = "utf-8") -> str:
    """The whole of `text`, with an escape of JSON for what does not print, and for what `encoding` does not have."""
    if text.isascii() and text.isprintable():
        return text  # nearly always, and quickly said
    return "".join(char if _shows(char, encoding) else json.dumps(char)[1:-1] for char in text)


def quoted(text: str, limit: int = 80) -> str:
    r"""`text` as `printable` shows it, between double quotes; its own appear as `\"`, so that it can't end them."""
    marked = text[: limit + 1].replace("\\", r"\\").replace('"', r"\"")
    return f'"{_cut(escaped(marked), limit)}"'


def backend_text(text: str) -> str:
    """A message of the API fit to be quoted: no tags, nothing that could be a secret, folded white space, cut."""
    return printable(" ".join(_SECRET.sub("***", _TAG.sub(" ", text[:20_000])).split()), 200)


def is_placeholder(text: str) -> bool:
    """Whether the text stands for a value that was never put in its place."""
    return _UNFILLED.search(text.strip()) is not None


def _shows(char: str, encoding: str) -> bool:
    if char.isascii() or not char.isprintable():
        return char.isprintable()
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _cut(shown: str, limit: int) -> str:
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
