"""The management calls about keys: /api/token/."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from comet_mcp.sandbox.answers import Asked, failure, success
from comet_mcp.sandbox.fields import BODY_FIELDS
from comet_mcp.sandbox.gojson import Kind, WrongBodyError, plain_value, read_object
from comet_mcp.sandbox.key import Key, new_secret
from comet_mcp.sandbox.listing import found, page
from comet_mcp.sandbox.messages import Refused

MAX_BATCH = 100
_AUTO_GROUPS: Mapping[str, Kind] = {"auto_groups": "[]string"}
_NO_STORE = "no-store, no-cache, must-revalidate, private, max-age=0"


def create(asked: Asked) -> Response:
    """Make a key. The answer names neither its id nor its value."""
    sent, fault = _body(asked), asked.fault
    name = fault.fault if fault else ""
    if fault and name in ("deferred", "deferred_reset"):
        asked.account.create_later(sent, fault.number)
        return success(with_data=False)
    if name == "normalise":
        sent["name"] = sent.get("name", "").strip()
        sent["model_limits"] = sent.get("model_limits", "").lower()
    row = asked.account.create(sent, listed_in=fault.number if fault and name == "late" else 0.0)
    if name == "duplicate":
        asked.account.create(sent)
    if fault and name == "create_with_id":
        return success({"id": int(fault.value)} if fault.value else {"id": row.id, "key": row.key})
    return success(with_data=False)


def list_(asked: Asked) -> Response:
    """A page of keys, newest first."""
    return success(_records(asked, page(asked.account.newest_first(), asked.query, asked.dialect)))


def search(asked: Asked) -> Response:
    """The keys that match; a page or, in the documented dialect, all of them."""
    rows = found(asked.account, asked.query)
    if asked.dialect.search_pages:
        return success(_records(asked, page(rows, asked.query, asked.dialect)))
    return success([asked.account.record(row) for row in rows])


def get(asked: Asked) -> Response:
    """One key."""
    return success(asked.account.record(asked.account.get(asked.id)))


def update(asked: Asked) -> Response:
    """Change a key; the answer is its record."""
    sent = _body(asked)
    row = asked.account.update(sent, status_only=bool(asked.query.get("status_only")))
    return success(asked.account.record(row))


def delete(asked: Asked) -> Response:
    """Remove a key for good."""
    try:
        wanted = asked.id
    except Refused:
        # Measured: what is not a number counts as no id.
        wanted = 0
    asked.account.delete(wanted)
    return success(with_data=False)


def delete_batch(asked: Asked) -> Response:
    """Remove several keys; answers how many there were."""
    ids = set(_ids(asked))
    with asked.account.lock:
        gone = [row for row in asked.account.keys if row.id in ids]
        for row in gone:
            asked.account.keys.remove(row)
    return success(len(gone))


def reveal(asked: Asked) -> Response:
    """The value of one key."""
    return _secret({"key": _value(asked, asked.account.get(asked.id))})


def reveal_batch(asked: Asked) -> Response:
    """The values of up to 100 keys; ids that are not there are left out."""
    ids = _ids(asked)
    if len(ids) > MAX_BATCH:
        raise Refused("batch.too_many", max=MAX_BATCH)
    wanted = set(ids)
    with asked.account.lock:
        values = {f"{row.id}": _value(asked, row) for row in asked.account.keys if row.id in wanted}
    return _secret({"keys": values})


def auto_groups(asked: Asked) -> Response:
    """The groups that the group `auto` chooses from."""
    return success({"groups": [group for group in asked.account.groups if group != "auto"], "max_count": 5})


def _value(asked: Asked, row: Key) -> str:
    if asked.fault is None or asked.fault.fault != "wrong_key":
        return row.key
    return next((other.key for other in asked.account.keys if other is not row), new_secret())


def _secret(data: dict[str, Any]) -> Response:
    answer = success(data)
    answer.headers["cache-control"] = _NO_STORE
    return answer


def _records(asked: Asked, rows: dict[str, Any]) -> dict[str, Any]:
    return rows | {"items": [asked.account.record(row) for row in rows["items"]]}


def _body(asked: Asked) -> dict[str, Any]:
    body, dialect = asked.body, asked.dialect
    # Measured: a wrong type in auto_groups is found first, wherever it stands.
    groups = read_object(body, _AUTO_GROUPS, struct=dialect.go_type) if dialect.auto_groups else {}
    if dialect.auto_groups and not groups and re.search(rb'"auto_groups"\s*:', body):
        # null is not the same as left out here: it empties the list (measured).
        groups = {"auto_groups": []}
    sent = groups | read_object(body, BODY_FIELDS, struct=dialect.go_type, path=dialect.go_path)
    if not dialect.extra_fields:
        return sent
    extra = {field.name for field in dialect.extra_fields}
    return sent | {name: value for name, value in (plain_value(body) or {}).items() if name in extra}


def _ids(asked: Asked) -> list[int]:
    try:
        ids: list[int] = read_object(asked.body, {"ids": "[]int"}, struct="controller.TokenBatch").get("ids", [])
    except WrongBodyError:
        ids = []
    if not ids:
        raise Refused("params.invalid")
    return ids


def unreadable(error: WrongBodyError) -> Response:
    """The answer to a body that is not what Go's decoder takes."""
    return failure(str(error))
