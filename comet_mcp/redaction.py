"""The secrets that this process knows, taken out of every text that leaves it.

An API or a proxy may repeat what it was sent: the access token as a user's name, in a message, as the id of a
request. A whole secret is hidden wherever it stands. So is a piece of one: of 12 characters in a row anywhere, and of
8 where the text was cut, for no word is that long by chance. Secrets of less than 4 characters can't be told from
words.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any, TextIO, cast
from urllib.parse import quote

from pydantic import SecretStr

HIDDEN = "***"
_AT_CUT = 8
"""Characters of a secret that are hidden where a text or a quotation in it begins or ends, or has an ellipsis."""
_ANYWHERE = 12
_AS_WORD = 4
"""Characters of the shortest secret that is hidden; one of less than `_AT_CUT` only where it is a word of its own."""
_STEP = _ANYWHERE - _AT_CUT
_MOST_VALUES = 1000
_BEFORE = ("…", "...", HIDDEN, '"', "(")
_BEHIND = ("…", "...", HIDDEN, '"', ")")
"""What stands beside a piece where something was cut; quotation marks and brackets are put around what others say."""


class Redactor:
    """Hides secrets: those it was made with, and the newest 1,000 values of keys that it was told of."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._parts: dict[str, tuple[str, int]] = {}
        self._words: list[re.Pattern[str]] = []
        self._values: dict[str, None] = {}
        for secret in {form for plain in secrets for form in _forms(plain)}:
            if len(secret) >= _AT_CUT:
                self._add(secret)
            elif len(secret) >= _AS_WORD:
                self._words.append(re.compile(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"))

    def learn(self, value: SecretStr) -> None:
        """Hide the value of a key from now on."""
        plain = value.get_secret_value().removeprefix("sk-")
        if plain in self._values or len(plain) < _AT_CUT:
            return
        if len(self._values) == _MOST_VALUES:
            oldest = next(iter(self._values))
            del self._values[oldest]
            self._parts = {part: found for part, found in self._parts.items() if found[0] != oldest}
        self._values[plain] = None
        self._add(plain)

    def text(self, text: str) -> str:
        """The text with `***` for each secret and each piece of one."""
        shown: list[str] = []
        done, parts = 0, self._parts
        for at in range(len(text) - _AT_CUT + 1):
            if text[at : at + _AT_CUT] in parts and at >= done:
                begin, end = self._piece(text, at, done)
                if begin < end:
                    shown += [text[done:begin], HIDDEN]
                    done = end
        clear = "".join([*shown, text[done:]]) if shown else text
        for word in self._words:
            clear = word.sub(HIDDEN, clear)
        return clear

    def data(self, value: Any) -> Any:
        """JSON with every text in it redacted. A SecretStr is what the operator wants shown: it is unwrapped."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.data(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    def stream(self, stream: TextIO) -> TextIO:
        """A stream that writes to another one what is left of a text."""
        return cast("TextIO", _RedactedStream(self, stream))

    def _add(self, secret: str) -> None:
        """Note every fourth run of 8 characters, and the last: each piece that is to be hidden holds one of them."""
        for place in {*range(0, len(secret) - _AT_CUT, _STEP), len(secret) - _AT_CUT}:
            self._parts.setdefault(secret[place : place + _AT_CUT], (secret, place))

    def _piece(self, text: str, at: int, done: int) -> tuple[int, int]:
        """Where the piece of a secret begins and ends of which a part is at `at`; (at, at) where it is too short."""
        secret, place = self._parts[text[at : at + _AT_CUT]]
        begin, first = at, place
        while begin > done and first > 0 and text[begin - 1] == secret[first - 1]:
            begin, first = begin - 1, first - 1
        end, last = at + _AT_CUT, place + _AT_CUT
        while end < len(text) and last < len(secret) and text[end] == secret[last]:
            end, last = end + 1, last + 1
        begins = first == 0 or begin == 0 or text.endswith(_BEFORE, 0, begin)
        ends = last == len(secret) or end == len(text) or text.startswith(_BEHIND, end)
        return (begin, end) if last - first >= _ANYWHERE or (begins and ends) else (at, at)


class _RedactedStream(io.TextIOBase):
    def __init__(self, redactor: Redactor, stream: TextIO) -> None:
        self._redactor = redactor
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.text(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def _forms(secret: str) -> list[str]:
    """A secret as a message may have it: as it is, between quotation marks, in an address."""
    return [secret, secret.replace("\\", r"\\").replace('"', r"\""), quote(secret, safe="")]
