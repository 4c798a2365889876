"""The rows of the trail as a chain of hashes in the journal: added to, verified, pruned."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from comet_mcp.state.file import Database

NO_HASH = "0" * 64
"""What stands before the first row of a trail."""

_ANY = "surrogateescape"  # a damaged row has to be read to be named
_TYPES: dict[str, type] = {"call": int, "key_id": int, "through": int, "rows": int, "arguments": dict}
"""What is no text in an entry."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it. `entry` is JSON, unless somebody altered it."""

    id: int
    entry: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """The entry, without what is of another type than it was written with; empty where it is no JSON object."""
        try:
            fields = json.loads(self.entry)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(fields, dict):
            return {}
        return {name: value for name, value in fields.items() if isinstance(value, _TYPES.get(name, str))}


@dataclass(frozen=True, slots=True)
class Verified:
    """What an examination of the chain found: `fault` is a sentence about the first row that is wrong, or None.

    `before` tells, in sentences, what was wrong with rows that were dropped since.
    """

    rows: int
    head: str
    fault: str | None
    before: tuple[str, ...] = ()


def now() -> str:
    """The time as entries have it: ISO, UTC, milliseconds. Such times are in order as text."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A moment in the form of `now`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def append(db: Database, entry: dict[str, Any]) -> int:
    """Add a row at the end of the chain, inside a writing transaction. Returns its number."""
    last = db.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    number, previous = last or (0, NO_HASH)
    number = max(number, _last_number(db)) + 1
    text = json.dumps(entry, separators=(",", ":"))
    db.execute("INSERT INTO audit VALUES (?, ?, ?)", (number, text, hashed(previous, number, text)))
    return number


def hashed(previous: str, number: int, entry: str) -> str:
    """The hash of a row: SHA-256 of the hash before it, its number and its entry, in hexadecimal."""
    return hashlib.sha256(f"{previous}\n{number}\n{entry}".encode(errors=_ANY)).hexdigest()


def rows_of(db: Database) -> list[Row]:
    """The whole trail, oldest first."""
    found = db.execute("SELECT id, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM audit ORDER BY id")
    return [Row(number, entry.decode(errors=_ANY), hash_.decode(errors=_ANY)) for number, entry, hash_ in found]


def verify(db: Database) -> Verified:
    """Go through the chain from its begin, or from where it was pruned, to the number of the row written last."""
    rows = rows_of(db)
    head = rows[-1].hash if rows else NO_HASH
    previous, expected = NO_HASH, 1
    for row in rows:
        fields = row.fields
        through = fields.get("through")
        if fields.get("kind") == "pruned" and isinstance(through, int) and expected <= through:
            previous, expected = str(fields.get("hash")), through + 1
    for row in rows:
        if row.id < expected:
            return Verified(len(rows), head, f"Row {row.id} was put in.")
        if row.id != expected:
            return Verified(len(rows), head, _missing(expected, row.id - 1))
        if row.hash != hashed(previous, row.id, row.entry):
            before = " (or the one before it was, and its hash with it)" if row.id > 1 else ""
            return Verified(len(rows), head, f"Row {row.id} was altered{before}.")
        previous, expected = row.hash, expected + 1
    last = _last_number(db)
    return Verified(len(rows), head, _missing(expected, last) if last >= expected else None, _dropped_faults(rows))


def _dropped_faults(rows: list[Row]) -> tuple[str, ...]:
    return tuple(
        f"When the rows up to {fields.get('through')} were dropped ({fields.get('time')}): {fields['fault']}"
        for fields in (row.fields for row in rows)
        if fields.get("kind") == "pruned" and "fault" in fields
    )


def holds(db: Database, head: str) -> bool:
    """Whether the hash is one of this chain's: of a row that is there, or of the last one that was pruned."""
    rows = rows_of(db)
    pruned = (row.fields.get("hash") for row in rows if row.fields.get("kind") == "pruned")
    return head in (*(row.hash for row in rows), *pruned)


def prune(db: Database, before: str) -> int:
    """Drop the rows at the begin of the trail that are older than `before`, and note that. Returns how many.

    The note has the hash of the last dropped row, from which the chain then begins, and what was wrong with the chain.
    """
    old = list(takewhile(lambda row: row.fields.get("time", "") < before, rows_of(db)))
    if old:
        entry = {"kind": "pruned", "time": now(), "through": old[-1].id, "rows": len(old), "hash": old[-1].hash}
        fault = verify(db).fault
        append(db, entry | {"fault": fault} if fault else entry)
        db.execute("DELETE FROM audit WHERE id <= ?", (old[-1].id,))
    return len(old)


def _last_number(db: Database) -> int:
    """The number of the row written last, which SQLite keeps although the row may be gone."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return int(found[0]) if found else 0


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."
