"""The values of a query, as the API's server reads them."""

import re

from comet_mcp.sandbox.messages import Refused

_MAX_WILDCARDS = 2
_MIN_FUZZY_LENGTH = 2
_INT64 = 2**63


def containing(part: str) -> re.Pattern[str]:
    """What holds `part`, in either case."""
    return re.compile(f".*{re.escape(part)}.*", re.DOTALL | re.IGNORECASE)


def like(pattern: str) -> re.Pattern[str]:
    """What a gateway finds by `pattern`: whole texts, in either case for ASCII letters, `%` being a wildcard.

    Raises:
        Refused: the wildcards would find nearly everything.
    """
    if not pattern:
        return containing("")
    if "%%" in pattern:
        raise Refused("search.double")
    if pattern.count("%") > _MAX_WILDCARDS:
        raise Refused("search.too_many")
    if "%" in pattern and len(pattern.replace("%", "").encode()) < _MIN_FUZZY_LENGTH:
        raise Refused("search.too_short")
    # SQLite's LIKE minds the case of everything but ASCII letters.
    return re.compile(".*".join(map(re.escape, pattern.split("%"))), re.DOTALL | re.IGNORECASE | re.ASCII)


def integer(text: str | None) -> int:
    """A number in a query as Go reads it: junk is 0, what 64 bits do not hold is the nearest they hold (measured)."""
    if not text or not re.fullmatch(r"[+-]?[0-9]+", text):
        return 0
    digits = text.lstrip("+-0")[:20] or "0"
    number = -int(digits) if text.startswith("-") else int(digits)
    return max(-_INT64, min(number, _INT64 - 1))
