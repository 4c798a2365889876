"""Lines of JSON-RPC: cut from what is read, parsed, and answered where they are no message."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from pydantic_core import from_json

MAX_LINE = 512 * 1024
"""Longest line taken, in bytes. The largest key there can be takes 130 kB; small objects take 80 times their text."""

_HEAD = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line beyond the cap: its first bytes, from which the id may be read."""

    head: bytes


Line = bytes | TooLong


def size_of(line: Line) -> int:
    """The bytes that are kept of a line."""
    return len(line.head if isinstance(line, TooLong) else line)


class Cutter:
    """Cuts what comes into lines. Blank ones are dropped, and a byte order mark that some clients begin with."""

    def __init__(self, *, at_start: bool = True) -> None:
        """`at_start` is whether nothing came before."""
        self._rest = bytearray()
        self._skipping: bytes | None = None
        self._at_start = at_start

    def cut(self, data: bytes) -> Iterator[Line]:
        """The lines that end in these bytes."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield from self._finished(data[start:end])
            start = end + 1
        self._keep(data[start:])

    def end(self) -> Iterator[Line]:
        """The last line, where the input ended without its end."""
        yield from self._finished(b"")

    def _finished(self, piece: bytes) -> Iterator[Line]:
        self._keep(piece)
        if self._skipping is not None:
            yield TooLong(self._skipping)
        elif line := bytes(self._rest).strip():
            yield line
        self._skipping = None
        self._rest.clear()

    def _keep(self, piece: bytes) -> None:
        if self._skipping is not None:
            return
        self._rest += piece
        if self._at_start and len(self._rest) >= len(_BYTE_ORDER_MARK):
            self._at_start = False
            self._rest = self._rest.removeprefix(_BYTE_ORDER_MARK)
        if len(self._rest) > MAX_LINE:
            self._skipping = bytes(self._rest[:_HEAD])
            self._rest.clear()


def parsed(line: Line) -> types.JSONRPCMessage | None:
    """The message in a line; None where it is none."""
    if isinstance(line, TooLong):
        return None
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        return None


def complaint(line: Line) -> bytes:
    """The error that answers a line which is no message, with its id where one can be read."""
    if isinstance(line, TooLong):
        code, text = types.INVALID_REQUEST, f"The message is longer than {MAX_LINE} bytes and was skipped."
        found = _id_in(line.head, partial=True)
    else:
        found = _id_in(line, partial=False)
        try:
            from_json(line)
            code, text = types.INVALID_REQUEST, "This is no JSON-RPC message."
        except ValueError:
            code, text = types.PARSE_ERROR, "This is no valid JSON: bad syntax, bad UTF-8 or a lone surrogate."
    error = {"jsonrpc": "2.0", "id": found, "error": {"code": code, "message": text}}
    return json.dumps(error).encode() + b"\n"


def _id_in(text: bytes, *, partial: bool) -> str | int | None:
    """The id of a message that can't be taken; None where it is none, or can't be read."""
    value: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        value = from_json(text, allow_partial=True) if partial else json.loads(text.decode("utf-8", "replace"))
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None
