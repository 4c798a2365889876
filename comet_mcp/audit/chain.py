"""The rows of the trail as a chain of hashes in the journal: added to, verified, pruned."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from comet_mcp.clock import Clock
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.rows import AuditRow
from comet_mcp.journal.writes import AppendAudit, DropAudit

NO_HASH = "0" * 64
"""What stands before the first row of a trail."""

_ANY = "surrogateescape"  # a damaged row has to be read to be named
_TYPES: dict[str, type] = {"call": int, "key_id": int, "through": int, "rows": int, "count": int, "arguments": dict}
"""What is no text in an entry."""


def fields_of(row: AuditRow) -> dict[str, Any]:
    """The entry, without what is of another type than it was written with; empty where it is no JSON object."""
    try:
        fields = json.loads(row.entry)
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


def now(clock: Clock) -> str:
    """The time as entries have it: ISO, UTC, milliseconds. Such times are in order as text."""
    return stamp(datetime.fromtimestamp(clock.now(), UTC))


def stamp(moment: datetime) -> str:
    """A moment in the form of `now`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def appended(rows: Rows, entry: dict[str, Any]) -> AppendAudit:
    """The row that puts an entry at the end of the chain. `rows` are those of a step that reads the audit's tail."""
    last = rows.audit[-1] if rows.audit else AuditRow(0, "", NO_HASH)
    number = max(last.id, rows.audit_last) + 1
    text = json.dumps(entry, separators=(",", ":"))
    return AppendAudit(AuditRow(number, text, hashed(last.hash, number, text)))


def appending(entry: dict[str, Any], *, durable: bool) -> Step[int]:
    """Puts an entry at the end of the chain. Gives the number of its row."""

    def decide(rows: Rows) -> Decision[int]:
        write = appended(rows, entry)
        return Decision(write.row.id, [write])

    return Step(Reads(audit="tail"), decide, durable=durable)


def hashed(previous: str, number: int, entry: str) -> str:
    """The hash of a row: SHA-256 of the hash before it, its number and its entry, in hexadecimal."""
    return hashlib.sha256(f"{previous}\n{number}\n{entry}".encode(errors=_ANY)).hexdigest()


def reading() -> Step[Rows]:
    """Gives the whole trail, oldest first."""
    return Step(Reads(audit="all"), Decision, durable=False)


def verify(trail: Rows) -> Verified:
    """Go through the chain from its begin, or from where it was pruned, to the number of the row written last."""
    rows = trail.audit
    head = rows[-1].hash if rows else NO_HASH
    previous, expected = NO_HASH, 1
    for row in rows:
        fields = fields_of(row)
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
    last = trail.audit_last
    return Verified(len(rows), head, _missing(expected, last) if last >= expected else None, _dropped_faults(rows))


def _dropped_faults(rows: list[AuditRow]) -> tuple[str, ...]:
    return tuple(
        f"When the rows up to {fields.get('through')} were dropped ({fields.get('time')}): {fields['fault']}"
        for fields in map(fields_of, rows)
        if fields.get("kind") == "pruned" and "fault" in fields
    )


def holds(trail: Rows, head: str) -> bool:
    """Whether the hash is one of this chain's: of a row that is there, or by a note the last one that was pruned."""
    return proven_by(trail, head) is not None or head in (note.get("hash") for note in prunings(trail))


def proven_by(trail: Rows, head: str) -> int | None:
    """The number of the row that has this hash: up to it a whole chain is what it was. None where no row has it.

    A note of a pruning that names the hash proves nothing: whoever has read the trail can write one.
    """
    return next((row.id for row in trail.audit if row.hash == head), None)


def prunings(trail: Rows) -> list[dict[str, Any]]:
    """The notes of rows that were dropped, oldest first."""
    return [fields for fields in map(fields_of, trail.audit) if fields.get("kind") == "pruned"]


def pruning(before: str, clock: Clock) -> Step[int]:
    """Drops the rows at the begin of the trail that are older than `before`, and notes that. Gives how many.

    The note has the hash of the last dropped row, from which the chain then begins.
    """

    def decide(rows: Rows) -> Decision[int]:
        old = list(takewhile(lambda row: fields_of(row).get("time", "") < before, rows.audit))
        if not old:
            return Decision(0)
        entry = {"kind": "pruned", "time": now(clock), "through": old[-1].id, "rows": len(old), "hash": old[-1].hash}
        return Decision(len(old), [appended(rows, entry), DropAudit(old[-1].id)])

    return Step(Reads(audit="all"), decide)


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."
