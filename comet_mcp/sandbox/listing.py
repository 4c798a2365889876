"""Pages of rows, and which rows a search finds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from comet_mcp.sandbox.account import Account, Key
from comet_mcp.sandbox.messages import Refused

DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100
_MAX_WILDCARDS = 2
_MIN_FUZZY_LENGTH = 2


def page(rows: Sequence[Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The page of `rows` that `p` and `page_size` name, in the API's shape.

    Measured: junk and 0 mean page 1 and 10 rows, `ps` and `size` stand in for `page_size`, more than 100 rows mean
    100, negative numbers are echoed and do not limit.
    """
    number = _integer(query.get("p")) or 1
    size = next((n for name in ("page_size", "ps", "size") if (n := _integer(query.get(name)))), DEFAULT_PAGE_SIZE)
    size = min(size, MAX_PAGE_SIZE)
    start = max((number - 1) * size, 0)
    items = list(rows[start:] if size < 0 else rows[start : start + size])
    return {"page": number, "page_size": size, "total": len(rows), "items": items}


def found(account: Account, query: Mapping[str, str]) -> list[Key]:
    """The keys that match `keyword` (the name) and `token` (the value), newest first.

    Measured on gateways: the whole name matches, in either case for ASCII letters, `%` being a wildcard. The
    documented dialect follows the official cli, which expects a part of the name to do.
    """
    name = query.get("keyword", "")
    secret = query.get("token", "").removeprefix("sk-")
    if account.dialect.search_pages:
        by_name, by_secret = _like(name), _like(secret)
    else:
        by_name, by_secret = _containing(name), _containing(secret)
    return [row for row in account.newest_first() if by_name.fullmatch(row.name) and by_secret.fullmatch(row.key)]


def _containing(part: str) -> re.Pattern[str]:
    return re.compile(f".*{re.escape(part)}.*", re.DOTALL | re.IGNORECASE)


def _like(pattern: str) -> re.Pattern[str]:
    if not pattern:
        return _containing("")
    if "%%" in pattern:
        raise Refused("search.double")
    if pattern.count("%") > _MAX_WILDCARDS:
        raise Refused("search.too_many")
    if "%" in pattern and len(pattern.replace("%", "").encode()) < _MIN_FUZZY_LENGTH:
        raise Refused("search.too_short")
    # SQLite's LIKE minds the case of everything but ASCII letters.
    return re.compile(".*".join(map(re.escape, pattern.split("%"))), re.DOTALL | re.IGNORECASE | re.ASCII)


def _integer(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[+-]?[0-9]{1,18}", text) else 0
