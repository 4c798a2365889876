"""The text of a dotenv file: a value put into it, everything else left as it is.

python-dotenv parses; it does not write, for its `set_key` follows links and does not sync to the disk.
"""

from __future__ import annotations

import io
import re

from comet_mcp.errors import StoreError


def quoted_value(value: str) -> str:
    """The value as sh and every dotenv reader take it; in quotes where it holds more than the usual characters.

    Raises:
        StoreError: No dotenv file can hold it safely.
    """
    if re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return value
    if re.fullmatch(r"[\x21-\x7e]+", value) and "'" not in value and "\\" not in value:
        return f"'{value}'"
    raise StoreError("The API gave a key with characters that a dotenv file can't hold safely; it was not written.")


def with_value(text: str, variable: str, value: str) -> str:
    """The text with `variable` set to `value`: its last line is replaced, else one is added at the end.

    Other lines, comments, their order and the line ends stay. Raises StoreError as `quoted_value` does.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where a file is edited

    parts = list(parse_stream(io.StringIO(text, newline="")))
    newline = "\r\n" if "\r\n" in text else "\n"
    last = max((number for number, part in enumerate(parts) if part.key == variable), default=None)
    line = f"{variable}={quoted_value(value)}"
    if last is None:
        between = "" if not text or text.endswith("\n") else newline
        return _checked(f"{text}{between}{line}{newline}", variable, value)
    old = parts[last].original.string
    before = old[: len(old) - len(old.lstrip())]  # blank lines above count as part of the binding
    export = "export " if re.match(r"\s*export\s", old) else ""
    end = old[len(old.rstrip("\r\n")) :]
    comment = re.search(r"(?<![ \t])[ \t]+#[^\r\n]*$", old.rstrip("\r\n"))
    line += comment[0] if comment and not parts[last].value else ""
    edited = "".join(
        f"{before}{export}{line}{end}" if number == last else part.original.string for number, part in enumerate(parts)
    )
    return _checked(edited, variable, value)


def without_value(text: str, value: str) -> str | None:
    """The text of a key's own file without that key, its comment too; None where nothing else is set in it."""
    from dotenv.parser import parse_stream  # noqa: PLC0415

    parts = list(parse_stream(io.StringIO(text, newline="")))
    if not any(part.key and part.value != value for part in parts):
        return None
    return "".join(
        part.original.string
        for number, part in enumerate(parts)
        if part.value != value and (number or not part.original.string.startswith("# CometAPI key "))
    )


def _checked(text: str, variable: str, value: str) -> str:
    if value_of(text, variable) != value:
        raise StoreError(
            "The file has an open quotation, so a value put into it could not be read back; it was left alone."
        )
    return text


def value_of(text: str, variable: str) -> str | None:
    """What `variable` is in the text, None where it isn't there."""
    if variable not in text:
        return None  # parsing a large file takes a second
    from dotenv.parser import parse_stream  # noqa: PLC0415

    found = [part.value for part in parse_stream(io.StringIO(text, newline="")) if part.key == variable]
    return found[-1] if found else None
