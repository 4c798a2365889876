"""Numbers as people write them, as ASCII digits: full-width ones, kanji, English words."""

from __future__ import annotations

import re

_FULL_WIDTH = {ord("\u3000"): " "} | {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_DIGITS = {kanji: value for value, kanji in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_KANJI = re.compile(f"[{''.join([*_DIGITS, *_TENS])}]+")
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {word: value for value, word in enumerate(_ONES, 1)}
_WORDS |= {
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "ninety": 90,
    "hundred": 100,
}
_ENGLISH = re.compile(rf"\b(?:a )?({'|'.join(_WORDS)})\b")


def with_digits(text: str) -> str:
    """The text in lower case, with plain digits for each of these numbers: "三十天" is "30天", "two days" "2 days"."""
    text = text.translate(_FULL_WIDTH).lower()
    text = _KANJI.sub(lambda found: str(_kanji(found[0])), text)
    return _ENGLISH.sub(lambda found: str(_WORDS[found[1]]), text)


def _kanji(run: str) -> int:
    """二十五 is 25, 二〇二七 is 2027."""
    if not any(char in _TENS for char in run):
        return int("".join(str(_DIGITS[char]) for char in run))
    total, count = 0, None
    for char in run:
        if char in _DIGITS:
            count = _DIGITS[char]
        else:
            total += (1 if count is None else count) * _TENS[char]
            count = None
    return total + (count or 0)
