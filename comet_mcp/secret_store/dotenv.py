"""The text of a dotenv file: a value put into it, everything else left as it is.

python-dotenv parses; it does not write, for its `set_key` follows links and does not sync to the disk.
"""

from __future__ import annotations

import io
import re

from comet_mcp.errors import UnwrittenError

_BINDING = re.compile(
    r"""(?P<head>\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+)[^\S\r\n]*=[^\S\r\n]*)
    (?:'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|(?![\s'"\#])[^\r\n]*?|)
    (?P<tail>(?:(?:(?<=['"])|[^\S\r\n]+)\#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r)?)""",
    re.VERBOSE,
)
"""A binding by python-dotenv's own grammar, whose parser does not tell where the value stands."""


def quoted_value(value: str) -> str:
    """The value as sh and every dotenv reader take it; in quotes where it holds more than the usual characters.

    Raises:
        UnwrittenError: No dotenv file can hold it safely.
    """
    if re.fullmatch(r"[A-Za-z0-9._-]+", value):
        return value
    if re.fullmatch(r"[\x21-\x7e]+", value) and "'" not in value and "\\" not in value:
        return f"'{value}'"
    raise UnwrittenError("The API gave a key with characters that a dotenv file can't hold safely; it was not written.")


def with_value(text: str, variable: str, value: str) -> str:
    """The text with `variable` set to `value`: its last line is replaced, else one is added at the end.

    Other lines, comments, their order and the line ends stay. Raises UnwrittenError as `quoted_value` does.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where a file is edited

    parts = list(parse_stream(io.StringIO(text, newline="")))
    newline = "\r\n" if "\r\n" in text else "\n"
    last = max((number for number, part in enumerate(parts) if part.key == variable), default=None)
    line = f"{variable}={quoted_value(value)}"
    if last is None:
        between = "" if not text or text.endswith("\n") else newline
        return _checked(f"{text}{between}{line}{newline}", variable, value)
    edited = "".join(
        _with(part.original.string, line) if number == last else part.original.string
        for number, part in enumerate(parts)
    )
    return _checked(edited, variable, value)


def cleared(text: str, variable: str, value: str) -> str:
    """The text with an empty value in every line where `variable` has this one."""
    from dotenv.parser import parse_stream  # noqa: PLC0415

    return "".join(
        _with(part.original.string, f"{variable}=")
        if part.key == variable and part.value == value
        else part.original.string
        for part in parse_stream(io.StringIO(text, newline=""))
    )


def _with(binding: str, line: str) -> str:
    """A binding with the value of `line`: blank lines above it, `export`, its spaces, its comment and its end stay."""
    value = line.partition("=")[2]
    if found := _BINDING.fullmatch(binding):
        value = value or ("''" if "#" in found["tail"] else "")  # a comment behind nothing is read as the value
        gap = " " if found["tail"].startswith("#") else ""
        return f"{found['head']}{value}{gap}{found['tail']}"
    before = binding[: len(binding) - len(binding.lstrip())]
    return f"{before}{line}{binding[len(binding.rstrip()) :]}"


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
        raise UnwrittenError(
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
