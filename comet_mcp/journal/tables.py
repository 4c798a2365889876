"""The tables: what a step reads, and what it writes, as SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from comet_mcp.journal import operation_rows
from comet_mcp.journal.base import Reads, Rows
from comet_mcp.journal.operations import State
from comet_mcp.journal.rows import Account, AuditRow, KeyLease, Place, Share
from comet_mcp.journal.writes import (
    AddReveals,
    AppendAudit,
    DropAudit,
    DropGrants,
    DropPlace,
    Grant,
    Put,
    PutAccount,
    PutKeyLease,
    PutPlace,
    PutShares,
    TakePlace,
    UseNonce,
    Write,
)
from comet_mcp.policy.windows import LONGEST_WINDOW, Held, Spending

_ANY = "surrogateescape"  # a damaged row has to be read to be named
_SIZE = ("page_count", "freelist_count", "page_size")
_NONCE_KEPT = 86_400.0
_REVEAL_KEPT = 3_600.0
_OF_ACCOUNT = ("operation", "granted", "reveal", "key_lease", "alias", "place")
"""The tables whose rows belong to an account."""


def read(db: sqlite3.Connection, reads: Reads) -> Rows:
    """What the step asked for."""
    rows = Rows()
    if reads.operations != "none":
        rows.operations = list(operation_rows.asked_for(db, reads))
    if reads.rotations:
        rows.rotations = operation_rows.rotations_of(db, reads.account, reads.key_id)
    if reads.maker is not None:
        rows.maker = operation_rows.maker_of(db, reads.account, reads.maker)
    if reads.claims:
        replaced = (found.old[:2] for found in rows.operations if found.old is not None)
        asked = {*reads.claims, *replaced}
        rows.claimed = {claim for claim in asked if operation_rows.maker_of(db, reads.account, claim)}
    if reads.spending:
        rows.spending = _spending(db, reads.account)
    if reads.reveals:
        query = "SELECT at FROM reveal WHERE account = ? ORDER BY at"
        rows.reveals = [at for (at,) in db.execute(query, (reads.account,))]
    if reads.key_lease:
        query = "SELECT holder, until FROM key_lease WHERE account = ? AND key_id = ?"
        found = _one(db, query, reads.account, reads.key_id)
        rows.key_lease = KeyLease(*found) if found else None
    if reads.places is not None:
        query = "SELECT path, variable FROM place WHERE account = ? AND key_id = ? AND key_created = ? ORDER BY rowid"
        rows.places = [Place(*found) for found in db.execute(query, (reads.account, *reads.places))]
    if reads.holders is not None:
        query = "SELECT key_id, key_created FROM place WHERE path = ? AND variable = ? ORDER BY rowid"
        rows.holders = list(db.execute(query, (reads.holders.path, reads.holders.variable)))
    _read_shared(db, reads, rows)
    return rows


def _read_shared(db: sqlite3.Connection, reads: Reads, rows: Rows) -> None:
    """What is of no one account."""
    if reads.shares is not None:
        query = "SELECT server, calls, until FROM share WHERE origin = ?"
        rows.shares = [Share(*row) for row in db.execute(query, (reads.shares,))]
    if reads.accounts:
        rows.accounts = [Account(*row) for row in db.execute("SELECT id, base_url, user_id FROM account")]
        known = _one(db, "SELECT account FROM alias WHERE digest = ?", reads.alias)
        rows.known_as = known[0] if known else None
    if reads.nonce is not None:
        rows.nonce_used = _one(db, "SELECT 1 FROM answered WHERE nonce = ?", reads.nonce) is not None
    if reads.audit != "none":
        which = "ORDER BY id DESC LIMIT 1" if reads.audit == "tail" else "ORDER BY id"
        query = f"SELECT id, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM audit {which}"  # noqa: S608 - a constant
        rows.audit = [
            AuditRow(number, entry.decode(errors=_ANY), hash_.decode(errors=_ANY))
            for number, entry, hash_ in db.execute(query)
        ]
        # SQLite keeps the number that was given last, although the row may be gone
        last = _one(db, "SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
        rows.audit_last = int(last[0]) if last else 0
        pages, free, each = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZE)
        rows.size = (pages - free) * each


def _one(db: sqlite3.Connection, query: str, *values: object) -> tuple[Any, ...] | None:
    """The first row of a query, None where there is none."""
    row: tuple[Any, ...] | None = db.execute(query, values).fetchone()
    return row


def write(db: sqlite3.Connection, account: str | None, writes: Sequence[Write]) -> None:
    """Carry out what a step decided."""
    for entry in writes:
        _write(entry, db, account)


def _spending(db: sqlite3.Connection, account: str | None) -> Spending:
    """All that was given out, the entries that a window may still count, and what open changes hold back."""
    keys, units = db.execute(
        "SELECT COALESCE(SUM(keys), 0), COALESCE(SUM(units), 0) FROM granted WHERE account = ?", (account,)
    ).fetchone()
    newest = db.execute("SELECT MAX(at) FROM granted WHERE account = ?", (account,)).fetchone()[0] or 0.0
    recent = db.execute(
        "SELECT at, keys, units FROM granted WHERE account = ? AND at > ? ORDER BY at",
        (account, newest - LONGEST_WINDOW),
    ).fetchall()
    lost = operation_rows.open_changes(db, account)
    held = [
        Held(change.begun, change.key_id, change.target.again, change.state is State.OUTCOME_UNKNOWN)
        for change in lost
        if change.key_id is not None and change.target is not None
    ]
    return Spending(keys, units, tuple(recent), tuple(held))


@singledispatch
def _write(entry: Write, db: sqlite3.Connection, account: str | None) -> None:
    raise TypeError(f"no table for {type(entry).__name__} of {account} in {db}")


@_write.register
def _(entry: Put, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - it has its own
    operation_rows.put(db, entry)


@_write.register
def _(entry: Grant, db: sqlite3.Connection, account: str | None) -> None:
    db.execute(
        "INSERT INTO granted VALUES (?, ?, ?, ?, ?)", (account, entry.at, entry.keys, entry.units, entry.operation)
    )


@_write.register
def _(entry: DropGrants, db: sqlite3.Connection, account: str | None) -> None:
    db.execute("DELETE FROM granted WHERE account = ? AND operation = ?", (account, entry.operation))


@_write.register
def _(entry: AddReveals, db: sqlite3.Connection, account: str | None) -> None:
    db.execute("DELETE FROM reveal WHERE at < ?", (entry.at - _REVEAL_KEPT,))
    db.executemany("INSERT INTO reveal VALUES (?, ?)", [(account, entry.at)] * entry.calls)


@_write.register
def _(entry: PutKeyLease, db: sqlite3.Connection, account: str | None) -> None:
    if entry.lease is None:
        db.execute("DELETE FROM key_lease WHERE account = ? AND key_id = ?", (account, entry.key_id))
    else:
        values = (account, entry.key_id, entry.lease.holder, entry.lease.until)
        db.execute("INSERT OR REPLACE INTO key_lease VALUES (?, ?, ?, ?)", values)


@_write.register
def _(entry: PutPlace, db: sqlite3.Connection, account: str | None) -> None:
    values = (account, entry.key_id, entry.key_created, entry.place.path, entry.place.variable)
    db.execute("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?, ?)", values)


@_write.register
def _(entry: DropPlace, db: sqlite3.Connection, account: str | None) -> None:
    values = (account, entry.key_id, entry.key_created, entry.place.path, entry.place.variable)
    which = "account = ? AND key_id = ? AND key_created = ? AND path = ? AND variable = ?"
    db.execute(f"DELETE FROM place WHERE {which}", values)  # noqa: S608 - a constant


@_write.register
def _(entry: TakePlace, db: sqlite3.Connection, account: str | None) -> None:
    values = (entry.place.path, entry.place.variable, account, entry.key_id, entry.key_created)
    others = "path = ? AND variable = ? AND NOT (account = ? AND key_id = ? AND key_created = ?)"
    db.execute(f"DELETE FROM place WHERE {others}", values)  # noqa: S608 - a constant


@_write.register
def _(entry: PutShares, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - of all accounts
    db.execute(
        "DELETE FROM share WHERE origin = ? AND (server = ? OR until <= ?)", (entry.origin, entry.server, entry.at)
    )
    rows = [(entry.origin, share.server, share.calls, share.until) for share in entry.shares]
    db.executemany("INSERT INTO share VALUES (?, ?, ?, ?)", rows)


@_write.register
def _(entry: PutAccount, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - it names its own
    known = entry.account
    if entry.same_as is not None:
        for table in _OF_ACCOUNT:
            # what both have noted of one key is one row
            db.execute(f"UPDATE OR IGNORE {table} SET account = ? WHERE account = ?", (known.id, entry.same_as))  # noqa: S608
        db.execute("DELETE FROM account WHERE id = ?", (entry.same_as,))
    db.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", (known.id, known.base_url, known.user_id))
    if entry.alias is not None:
        db.execute("INSERT OR REPLACE INTO alias VALUES (?, ?)", (entry.alias, known.id))


@_write.register
def _(entry: UseNonce, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - of all accounts
    db.execute("DELETE FROM answered WHERE at < ?", (entry.at - _NONCE_KEPT,))
    db.execute("INSERT INTO answered VALUES (?, ?)", (entry.nonce, entry.at))


@_write.register
def _(entry: AppendAudit, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - of all accounts
    db.execute("INSERT INTO audit VALUES (?, ?, ?)", (entry.row.id, entry.row.entry, entry.row.hash))


@_write.register
def _(entry: DropAudit, db: sqlite3.Connection, account: str | None) -> None:  # noqa: ARG001 - of all accounts
    db.execute("DELETE FROM audit WHERE id <= ?", (entry.through,))
