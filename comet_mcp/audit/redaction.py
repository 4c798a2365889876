"""What of a call's arguments is written down: nothing that could be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_LONGEST = 2_000
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{8,}")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_~%]{24,}")


def without_secrets(value: Any, known: Iterable[str] = ()) -> Any:
    """An argument without what could be a key or a token, and no longer than 2,000 characters a string."""
    if isinstance(value, list):
        return [without_secrets(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for secret in known:
        value = value.replace(secret, "***")
    shown = _LONG_WORD.sub(_hidden, _KEY.sub("***", value))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)"


def _hidden(found: re.Match[str]) -> str:
    """Three stars for a long word that could be a key or a token; ids of models and names of files stay readable."""
    word = found[0]
    is_name = "_" in word and word.lower() == word
    could_be = any(map(str.isdigit, word)) and any(map(str.isalpha, word)) and not is_name
    return "***" if could_be else word
