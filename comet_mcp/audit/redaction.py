"""What of a call's arguments is written down: nothing that could be a secret, and of a long list what counts of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.models import ModelList
from comet_mcp.redaction import Redactor

_HIDDEN = "***"
_LONGEST = 2_000
_MOST_ENTRIES = 20
_WIDEST = 3
_EXACT = 2**53
"""Beyond it a number with a point is no exact whole number."""
_LARGEST = 2**63
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_~%]{24,}")
_NO_MODEL = re.compile(r"\Ask-[A-Za-z0-9_-]{8,}\Z|[A-Za-z0-9]{32}|[+=%~]")
"""What shows that an entry is no model's id, which may be as long as a key and have slashes as a token may; no id has
that many letters and digits in a row, or a token's other signs. Searched for, not matched as a whole with `.*` around:
that takes time with the third power of a text's length."""


def without_secrets(value: Any, redactor: Redactor, name: str = "") -> Any:
    """An argument without what could be a key or a token, and no longer than 2,000 characters a string.

    Args:
        value: As it was sent: also what no tool takes.
        redactor: Knows the secrets to leave out wherever they turn up.
        name: The argument's. Lists of models and of addresses are read as what they are.
    """
    if isinstance(value, list):
        shown = [without_secrets(entry, redactor) if isinstance(entry, str) else _HIDDEN for entry in value]
        more = len(shown) - _MOST_ENTRIES
        return [*shown[:_MOST_ENTRIES], f"… ({len(shown)} entries)"] if more > 0 else shown
    if isinstance(value, str):
        value = redactor.text(value)
        return _abridged(name, _models(value) if name == "model_limits" else _text(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)  # 2.0 is how a number of dollars is kept, 2 how it was given
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < _LARGEST):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else _HIDDEN


def measure(addresses: AddressList) -> str:
    """How long a list of addresses is, and which of its entries let most through."""
    return f"{len(addresses.entries)} entries, widest {', '.join(addresses.widest_first()[:_WIDEST])}"


def _abridged(name: str, text: str) -> str:
    """The text, cut where it is too long; of a list its measure and the digest of its form at the API come first."""
    if len(text) <= _LONGEST:
        return text
    if name == "allow_ips":
        addresses = AddressList.parse(text)
        return _summed_up(measure(addresses), addresses.entries, addresses.text)
    if name == "model_limits":
        models = ModelList.parse(text)
        return _summed_up(f"{len(models.ids)} entries", models.ids, models.text)
    return f"{text[:_LONGEST]}… ({len(text)} characters)"


def _summed_up(measured: str, entries: tuple[str, ...], text: str) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{measured[:_LONGEST]}, SHA-256 {digest}: {', '.join(entries)}"[:_LONGEST] + "…"


def _models(text: str) -> str:
    return ",".join(_HIDDEN if _NO_MODEL.search(entry.strip()) else entry for entry in text.split(","))


def _text(text: str) -> str:
    return _LONG_WORD.sub(_hidden, _KEY.sub(_HIDDEN, text))


def shortened(arguments: dict[str, Any], most: int = 240) -> dict[str, Any]:
    """Arguments that take about `most` characters as JSON: long values are cut, and a digest stands for the whole."""
    whole = json.dumps(arguments, sort_keys=True)
    if len(whole) <= most:
        return arguments
    each = max(most // (2 * len(arguments)), 8)
    cut = {name: _cut(value, each) for name, value in arguments.items()}
    return cut | {"sha256": hashlib.sha256(whole.encode()).hexdigest()[:16]}


def _cut(value: Any, most: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(json.dumps(text)) <= most + 2:
        return value
    return f"{ascii(text[:most])[1 : most // 2]}... ({len(text)} characters)"


def _hidden(found: re.Match[str]) -> str:
    """Three stars for a long word that could be a key or a token; names of files and of models stay readable."""
    word = found[0]
    is_name = "_" in word and word.lower() == word
    could_be = any(map(str.isdigit, word)) and any(map(str.isalpha, word)) and not is_name
    return _HIDDEN if could_be else word
