"""Pages of rows, and which rows a search finds."""

from collections.abc import Mapping, Sequence
from typing import Any

from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.key import Key
from comet_mcp.sandbox.queries import containing, integer, like

DEFAULT_PAGE_SIZE = 10


def page(rows: Sequence[Any], query: Mapping[str, str], dialect: Dialect) -> dict[str, Any]:
    """The page of `rows` that `p` and `page_size` name, in the API's shape.

    Measured: junk and 0 mean page 1 and 10 rows, `ps` and `size` stand in for `page_size`, more than 100 rows mean
    100, negative numbers are echoed and do not limit.
    """
    number = integer(query.get("p")) or 1
    size = next((n for name in ("page_size", "ps", "size") if (n := integer(query.get(name)))), DEFAULT_PAGE_SIZE)
    size = dialect.page_fixed or min(size, dialect.page_cap)
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
        by_name, by_secret = like(name), like(secret)
    else:
        by_name, by_secret = containing(name), containing(secret)
    return [row for row in account.newest_first() if by_name.fullmatch(row.name) and by_secret.fullmatch(row.key)]
