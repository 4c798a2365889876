"""The trail read as calls: what each pair of rows says together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comet_mcp.audit.chain import fields_of
from comet_mcp.journal.rows import AuditRow

UNDER_WAY_FOR = 330.0
"""Seconds in which a call without an end may still be running: a person's time to answer, and the call itself."""

_MORE = ("key_name", "confirmation", "policy")


def calls(rows: Iterable[AuditRow], moment: str) -> list[dict[str, Any]]:
    """The calls of a trail, oldest first, each with what its two rows say.

    `outcome` is null where a call has not ended, and `state` tells why: `ended`, `under_way` or `never_ended`.

    Args:
        rows: The trail.
        moment: Before this time a call without an end must have ended, in the form of `now`.
    """
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        fields = fields_of(row)
        if fields.get("kind") == "begin":
            found[row.id] = {
                "call": row.id,
                "begun": fields.get("time"),
                "ended": None,
                "state": "under_way" if fields.get("time", "") >= moment else "never_ended",
                "tool": fields.get("tool"),
                "arguments": fields.get("arguments"),
                "outcome": None,
                "key_ids": [fields["key_id"]] if fields.get("key_id") is not None else [],
                "client": fields.get("client"),
                "account": fields.get("account"),
            }
        elif fields.get("kind") == "end":
            number = fields.get("call", row.id)
            call = found.setdefault(
                number,
                {"call": number, "begun": None, "tool": fields.get("tool"), "arguments": None, "key_ids": []},
            )
            call |= {"ended": fields.get("time"), "state": "ended", "outcome": fields.get("outcome")}
            call |= {name: fields[name] for name in ("arguments", *_MORE) if name in fields}
            if fields.get("key_id") not in (None, *call["key_ids"]):
                call["key_ids"] = [*call["key_ids"], fields["key_id"]]
        elif fields.get("kind") == "refused":
            found[row.id] = _refused(row.id, fields)
        elif fields.get("kind") == "settled":
            found[row.id] = {
                "call": row.id,
                "begun": fields.get("time"),
                "ended": fields.get("time"),
                "state": "ended",
                "tool": "list_api_keys",
                "arguments": {},
                "outcome": "settled",
                "account": fields.get("account"),
                "key_ids": [fields["key_id"]] if "key_id" in fields else [],
                "key_name": fields.get("key_name"),
            }
        elif fields.get("kind") != "pruned":
            found[row.id] = {"call": row.id, "begun": None, "state": "unreadable", "tool": None, "key_ids": []}
    return list(found.values())


def _refused(number: int, fields: dict[str, Any]) -> dict[str, Any]:
    """The calls of one row that were refused."""
    return {
        "call": number,
        "begun": fields.get("first"),
        "ended": fields.get("last"),
        "state": "ended",
        "tool": fields.get("tool"),
        "arguments": fields.get("arguments"),
        "outcome": fields.get("outcome"),
        "count": fields.get("count", 1),
        "key_ids": [fields["key_id"]] if "key_id" in fields else [],
        "client": fields.get("client"),
        "account": fields.get("account"),
    } | {name: fields[name] for name in _MORE if name in fields}
