"""The calls about what was spent: the log, its sums, and the hourly sums of the dashboard."""

import csv
import io
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from starlette.responses import Response

from comet_mcp.sandbox.answers import Asked, success
from comet_mcp.sandbox.listing import page
from comet_mcp.sandbox.messages import Refused
from comet_mcp.sandbox.queries import integer
from comet_mcp.sandbox.usage_log import Entry, hour

LONGEST_RANGE = 2_592_000
"""Seconds between the two timestamps of a question for hourly sums, at most: 30 days."""

_K = TypeVar("_K", bound=Hashable)


def log(asked: Asked) -> Response:
    """A page of what happened, newest first; the id of a row is its position (measured)."""
    found = page(asked.account.log.selected(asked.query), asked.query, asked.dialect)
    # As far as Go counts: before the first page, positions are negative.
    first = (found["page"] - 1) * found["page_size"] + 1
    return success(found | {"items": [entry.shown(first + index) for index, entry in enumerate(found["items"])]})


def log_search(asked: Asked) -> Response:
    """What happened, by a word; gateways have retired the call."""
    if not asked.dialect.public_catalog:
        raise Refused("log.retired")
    word = asked.query.get("keyword", "")
    rows = asked.account.log.selected(asked.query)
    found = [entry for entry in rows if word in f"{entry.model_name} {entry.token_name}"]
    return success([entry.shown(position) for position, entry in enumerate(found, start=1)])


def log_export(asked: Asked) -> Response:
    """What happened, as CSV."""
    out = io.StringIO()
    columns = ("created_at", "token_name", "model_name", "quota", "prompt_tokens", "completion_tokens", "request_id")
    rows = csv.DictWriter(out, columns)
    rows.writeheader()
    for entry in asked.account.log.selected(asked.query):
        rows.writerow({name: getattr(entry, name) for name in columns})
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8")


def stat(asked: Asked) -> Response:
    """The sum of quota units over the log, and the requests and tokens of the last minute."""
    return success(asked.account.log.sums(asked.query, asked.account.now()))


def hourly(asked: Asked) -> Response:
    """The sums of each model and hour, unsorted; up to five minutes late (measured)."""
    start, end = (integer(asked.query.get(name)) for name in ("start_timestamp", "end_timestamp"))
    if end - start > LONGEST_RANGE:
        raise Refused("data.too_long")
    owner, rows = asked.account, _exported(asked, start, end)
    sums = _summed(rows, [(hour(entry.created_at), entry.model_name) for entry in rows])
    return success(
        [
            {"id": 0 if asked.dialect.quota_flow else number}
            | {"user_id": owner.user_id, "username": owner.username, "model_name": model, "created_at": created_at}
            | ({"use_group": "", "token_id": 0, "channel_id": 0, "node_name": ""} if asked.dialect.quota_flow else {})
            | values
            for number, ((created_at, model), values) in enumerate(sums.items(), start=1)
        ]
    )


def flow(asked: Asked) -> Response:
    """The sums of each key, group and model over the whole range, the dearest first; as late as the hourly ones."""
    start, end = (integer(asked.query.get(name)) for name in ("start_timestamp", "end_timestamp"))
    if start <= 0 or _is_junk(asked.query["start_timestamp"]):
        raise Refused("data.start")
    if end <= 0 or _is_junk(asked.query["end_timestamp"]):
        raise Refused("data.end")
    if end < start:
        raise Refused("data.range")
    if end - start > LONGEST_RANGE:
        raise Refused("data.too_long")
    rows = _exported(asked, start, end)
    sums = _summed(rows, [(entry.token_id, entry.group, entry.model_name) for entry in rows])
    with asked.account.lock:
        names = {row.id: row.name for row in asked.account.keys}
    found: list[dict[str, Any]] = []
    for (token_id, group, model), values in sorted(sums.items(), key=lambda item: -item[1]["quota"]):
        # Today's name, and none for a key that is gone (measured).
        name = {"token_name": names[token_id]} if names.get(token_id) else {}
        found.append({"token_id": token_id} | name | {"use_group": group, "model_name": model} | values)
    return success(found)


def _exported(asked: Asked, start: int, end: int) -> list[Entry]:
    owner = asked.account
    if not owner.settings.enable_data_export:
        return []
    return owner.log.exported(start, end, owner.exported_until)


def _summed(rows: Iterable[Entry], keys: Iterable[_K]) -> dict[_K, dict[str, int]]:
    sums: dict[_K, dict[str, int]] = defaultdict(lambda: {"token_used": 0, "count": 0, "quota": 0})
    for key, entry in zip(keys, rows, strict=True):
        sums[key]["token_used"] += entry.prompt_tokens + entry.completion_tokens
        sums[key]["count"] += 1
        sums[key]["quota"] += entry.quota
    return sums


def _is_junk(text: str) -> bool:
    # Elsewhere Go takes the nearest number for one that is too large; this call does not (measured).
    return abs(integer(text)) >= 2**63 - 1 and text.lstrip("+-0") != f"{2**63 - 1}"
