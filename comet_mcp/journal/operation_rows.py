"""Operations as rows: which ones are asked for, and how one is read and written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from comet_mcp.domain.key import KeySpec
from comet_mcp.journal.base import Reads
from comet_mcp.journal.operations import CLOSED, DIGEST, Lease, OldKey, Operation, State, Target, Watermark
from comet_mcp.journal.writes import Put

_COLUMNS = (
    "id, account, kind, state, spec, extra, begun, watermark, holder, lease_until, accepted, "
    "disconnected, acknowledged, key_id, key_created, old, target, lease"
)
_STORED = (
    "id, account, kind, state, spec, extra, begun, watermark, holder, lease_until, accepted, "
    "disconnected, acknowledged, key_id, key_created, old, old_id, target, lease"
)
_CHANGEABLE = ", ".join(f"{name} = excluded.{name}" for name in _STORED.split(", ")[2:])
_PUT = (
    f"INSERT INTO operation ({_STORED}) VALUES ({', '.join('?' * len(_STORED.split(', ')))}) "  # noqa: S608 - constants
    f"ON CONFLICT (id) DO UPDATE SET {_CHANGEABLE}"
)
_OPEN = (
    "kind IN ('create', 'rotate') AND state NOT IN ('not_done', 'released') "
    "AND (NOT acknowledged OR state IN ('abandoned', 'unstored'))"
)
_LEASED = "lease IS NOT NULL AND state NOT IN ('not_done', 'released') ORDER BY begun"
_OPEN_WRITE = "kind IN ('change', 'delete') AND state IN ('pending', 'outcome_unknown')"


def asked_for(db: sqlite3.Connection, reads: Reads) -> Iterator[Operation]:
    """The operations that a step asked for, oldest first."""
    if isinstance(reads.operations, tuple):
        for wanted in reads.operations:
            yield from _found(db, "id = ?", (wanted,))
    elif reads.operations == "open":
        yield from _found(db, f"account = ? AND {_OPEN} ORDER BY begun, rowid", (reads.account,))
    elif reads.operations == "leased":
        yield from _found(db, _LEASED, ())
    else:
        which = "account = ? AND key_id = ? AND kind IN ('change', 'delete') ORDER BY begun, rowid"
        yield from _found(db, which, (reads.account, reads.key_id))


def in_doubt(db: sqlite3.Connection, *, has_leases: bool = True) -> list[Operation]:
    """The operations of every account whose outcome is not known, or of which no client was told, oldest first.

    Not those with a lease, which end by themselves. `has_leases` is whether the file is of a version that knows them.
    """
    table = "operation" if has_leases else "(SELECT *, NULL AS lease FROM operation)"
    return _found(db, f"lease IS NULL AND (({_OPEN}) OR {_OPEN_WRITE}) ORDER BY begun", (), table)


def rotations_of(db: sqlite3.Connection, account: str | None, key_id: int | None) -> list[Operation]:
    """The rotations of the key of that id, oldest first."""
    return _found(db, "account = ? AND old_id = ? ORDER BY begun", (account, key_id))


def maker_of(db: sqlite3.Connection, account: str | None, key: tuple[int, int]) -> Operation | None:
    """The create or rotation that has a key, by its id and its time of creation; None where none has."""
    which = "account = ? AND key_id = ? AND key_created = ? AND kind IN ('create', 'rotate') AND state != 'released'"
    return next(iter(_found(db, which, (account, *key))), None)


def open_changes(db: sqlite3.Connection, account: str | None) -> list[Operation]:
    """The changes that may be on their way, or may still come, oldest first."""
    which = "account = ? AND kind = 'change' AND state IN ('pending', 'outcome_unknown') ORDER BY begun"
    return _found(db, which, (account,))


def put(db: sqlite3.Connection, entry: Put) -> None:
    """Write an operation, new or changed."""
    operation = entry.operation
    values = (
        operation.id,
        operation.account,
        operation.kind,
        operation.state.value,
        _kept(entry),
        json.dumps(operation.extra) if operation.extra and operation.state not in CLOSED else None,
        operation.begun,
        json.dumps(operation.watermark),
        operation.holder,
        operation.lease_until,
        int(operation.accepted),
        int(operation.disconnected),
        int(operation.acknowledged),
        operation.key_id,
        operation.key_created,
        json.dumps(operation.old) if operation.old else None,
        operation.old.id if operation.old else None,
        json.dumps(operation.target) if operation.target else None,
        json.dumps(operation.lease) if operation.lease else None,
    )
    # not OR REPLACE: that would remove another operation which has claimed the same key
    db.execute(_PUT, values)


def _found(db: sqlite3.Connection, where: str, values: tuple[Any, ...], table: str = "operation") -> list[Operation]:
    query = f"SELECT {_COLUMNS} FROM {table} WHERE {where}"  # noqa: S608 - constants
    return [_operation(row) for row in db.execute(query, values)]


def _operation(row: tuple[Any, ...]) -> Operation:
    (id_, account, kind, state, spec, extra, begun, mark, holder, lease, *rest) = row
    accepted, disconnected, acknowledged, key_id, created, old, target, leased = rest
    return Operation(
        id=id_,
        account=account,
        kind=kind,
        state=State(state),
        spec=_spec(spec),
        extra=json.loads(extra) if extra else None,
        begun=begun,
        watermark=Watermark(*json.loads(mark)),
        holder=holder,
        lease_until=lease,
        accepted=bool(accepted),
        disconnected=bool(disconnected),
        acknowledged=bool(acknowledged),
        key_id=key_id,
        key_created=created,
        old=OldKey(*json.loads(old)) if old else None,
        target=Target(*json.loads(target)) if target else None,
        lease=Lease(*json.loads(leased)) if leased else None,
    )


@lru_cache(maxsize=1024)
def _spec(text: str) -> KeySpec:
    """A key's settings, which do not change once they are read."""
    return KeySpec.model_validate_json(text)


def _kept(entry: Put) -> str:
    """The key's settings; of an operation that is closed a digest in their form, where nothing needs them any more."""
    operation = entry.operation
    text = operation.spec.model_dump_json()
    if entry.whole or operation.state not in CLOSED or not operation.has_spec:
        return text
    return json.dumps({"name": DIGEST + hashlib.sha256(text.encode()).hexdigest()[:32]})
