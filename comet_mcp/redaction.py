"""The secrets that this process knows, taken out of every text that leaves it.

An API or a proxy may repeat what it was sent: the access token as a user's name, in a message, as the id of a
request. A whole secret is hidden wherever it stands. So is a piece of one: of 12 characters in a row anywhere, and of
8 where the text was cut, for no word is that long by chance. Secrets of less than 4 characters can't be told from
words.

Upper and lower case are one, and a text is looked through as it is and as its reader may decode it: from the escapes of
addresses, of HTML and of JSON, one within the other too. Of the secrets of the settings, base64 and hexadecimal digits
are known beside. Not hidden is what was taken apart (spaces between) or turned round.

Each run of 8 characters of a secret is known; a piece is where one follows another. So the work grows with the text's
length alone, and no secret hides another one's pieces.
"""

from __future__ import annotations

import base64
import io
import re
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from pydantic import SecretStr

HIDDEN = "***"
_AT_CUT = 8
"""Characters of a secret that are hidden where a text or a quotation in it begins or ends, or has an ellipsis."""
_ANYWHERE = 12
_AS_WORD = 4
"""Characters of the shortest secret that is hidden; one of less than `_AT_CUT` only where it is a word of its own."""
_MOST_VALUES = 1000
_BEFORE = ("…", "...", HIDDEN, '"', "(")
_BEHIND = ("…", "...", HIDDEN, '"', ")")
"""What stands beside a piece where something was cut; quotation marks and brackets are put around what others say."""
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_ESCAPE = re.compile(
    r"%(?P<percent>[0-9a-f]{2})"
    r"|(?P<html>&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});)"
    r"|\\u(?P<json>[0-9a-f]{4})"
    r'|\\(?P<sign>["/\\])',
    re.IGNORECASE,
)
_DEEPEST = 3
"""How often a text is decoded, such as JSON in an address in JSON."""

_SHORT, _MOST_CLEAN = 200, 4096
"""The longest text that is remembered as clean, in characters, and how many are."""


class Redactor:
    """Hides secrets: those it was made with, and the newest 1,000 values of keys that it was told of."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._runs: dict[str, str] = {}
        """Each run, with the newest value that has it, "" for a secret of the settings."""
        self._first: set[str] = set()
        self._last: set[str] = set()
        self._words: list[re.Pattern[str]] = []
        self._values: dict[str, None] = {}
        self._clean: set[str] = set()
        """Short texts that were looked through and have nothing to hide: lists say the same again and again."""
        for plain in secrets:
            if len(plain) >= _AT_CUT:
                for form in (*_forms(plain), *_encoded(plain)):
                    self._add(form, "")
            elif len(plain) >= _AS_WORD:
                known = "|".join(map(re.escape, _forms(plain)))
                self._words.append(re.compile(rf"(?<![A-Za-z0-9])(?:{known})(?![A-Za-z0-9])"))

    def learn(self, value: SecretStr) -> None:
        """Hide the value of a key from now on."""
        plain = value.get_secret_value().removeprefix("sk-")
        if plain in self._values or len(plain) < _AT_CUT:
            return
        if len(self._values) == _MOST_VALUES:
            self._forget(next(iter(self._values)))
        self._values[plain] = None
        self._clean.clear()
        for form in _forms(plain):
            self._add(form, plain)

    def text(self, text: str) -> str:
        """The text with `***` for each secret and each piece of one."""
        if len(text) < (_AS_WORD if self._words else _AT_CUT):
            return text
        if text in self._clean:
            return text
        shown: list[str] = []
        done = 0
        for begin, end in _merged(self._hidden(text)):
            shown += [text[done:begin], HIDDEN]
            done = end
        if shown:
            return "".join([*shown, text[done:]])
        if len(text) <= _SHORT:
            if len(self._clean) >= _MOST_CLEAN:
                self._clean.clear()
            self._clean.add(text)
        return text

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

    def _add(self, form: str, owner: str) -> None:
        runs = list(_runs(form))
        for run in runs:
            if self._runs.get(run) != "":
                self._runs[run] = owner
        self._first.update(runs[:1])
        self._last.update(runs[-1:])

    def _forget(self, value: str) -> None:
        del self._values[value]
        for form in _forms(value):
            for run in _runs(form):
                if self._runs.get(run) == value:
                    del self._runs[run]
                    self._first.discard(run)
                    self._last.discard(run)

    def _hidden(self, text: str) -> list[tuple[int, int]]:
        """Where the text as it is has what is to be hidden in any of its readings."""
        found: list[tuple[int, int]] = []
        for reading, places in _readings(text):
            plain = _lower(reading)
            spans = [(begin, end) for begin, end in self._stretches(plain) if self._is_piece(plain, begin, end)]
            spans += [word.span() for known in self._words for word in known.finditer(plain)]
            found += [(places[begin], places[end]) for begin, end in spans] if places else spans
        return found

    def _stretches(self, text: str) -> Iterator[tuple[int, int]]:
        """Where runs of secrets follow each other without a gap."""
        if self._runs.keys().isdisjoint(_runs(text)):
            return  # nearly always, and quickly said
        begin = last = -1
        for at, run in enumerate(_runs(text)):
            if run in self._runs:
                if begin < 0:
                    begin = at
                last = at
            elif begin >= 0:
                yield begin, last + _AT_CUT
                begin = -1
        if begin >= 0:
            yield begin, last + _AT_CUT

    def _is_piece(self, text: str, begin: int, end: int) -> bool:
        """Whether a stretch is long enough to be hidden where it stands, or is a whole short secret."""
        if end - begin >= _ANYWHERE:
            return True
        starts = text[begin : begin + _AT_CUT] in self._first or begin == 0 or text.endswith(_BEFORE, 0, begin)
        ends = text[end - _AT_CUT : end] in self._last or end == len(text) or text.startswith(_BEHIND, end)
        return starts and ends


class _RedactedStream(io.TextIOBase):
    def __init__(self, redactor: Redactor, stream: TextIO) -> None:
        self._redactor = redactor
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.text(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def _runs(text: str) -> Iterator[str]:
    return (text[at : at + _AT_CUT] for at in range(len(text) - _AT_CUT + 1))


def _lower(text: str) -> str:
    """The text with its ASCII letters in lower case: `lower` alone may change the number of characters."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _forms(secret: str) -> list[str]:
    """A secret in each of its readings: one with a `%` in it is read otherwise where the text around it is decoded."""
    return list(dict.fromkeys(_lower(reading) for reading, _ in _readings(secret)))


def _encoded(secret: str) -> Iterator[str]:
    """Hexadecimal digits and base64 of a secret, in both alphabets, wherever in three bytes it begins."""
    data = secret.encode(errors="surrogatepass")
    yield data.hex()
    for before, unsure in ((0, 0), (1, 2), (2, 3)):  # so many first characters tell of what stands before it, too
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[unsure:].lower()


def _readings(text: str) -> Iterator[tuple[str, array[int] | None]]:
    """A text as it is, and decoded once and again; with each, where in the text its characters and its end come from.

    None stands for a text as it is.
    """
    yield text, None
    places = None
    for _ in range(_DEEPEST):
        if not ("%" in text or "&" in text or "\\" in text):
            return
        before, (text, origins) = text, _decoded(text)
        if text == before:
            return
        places = array("I", map(places.__getitem__, origins)) if places else origins
        yield text, places


def _decoded(text: str) -> tuple[str, array[int]]:
    """The text without its escapes, and where in it each character and the end come from."""
    parts: list[str] = []
    origins = array("I")
    done = 0
    for found in _ESCAPE.finditer(text):
        meant = _meant(found)
        parts += [text[done : found.start()], meant]
        origins.extend(range(done, found.start()))
        origins.extend([found.start()] * len(meant))
        done = found.end()
    origins.extend(range(done, len(text) + 1))
    return "".join([*parts, text[done:]]), origins


def _meant(found: re.Match[str]) -> str:
    if found["html"]:
        from html import unescape  # noqa: PLC0415 - few texts have one

        return unescape(found["html"])
    return found["sign"] or chr(int(found["percent"] or found["json"], 16))


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order; those that touch are one."""
    begin = end = -1
    for first, last in sorted(spans):
        if first > end:
            if end >= 0:
                yield begin, end
            begin, end = first, last
        else:
            end = max(end, last)
    if end >= 0:
        yield begin, end
