"""What is in the journal: whether it can be used, the audit trail's chain, and what operations are in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from comet_mcp.audit import chain
from comet_mcp.audit.trail import MOST_BYTES
from comet_mcp.clock import SYSTEM
from comet_mcp.doctor.findings import Finding
from comet_mcp.journal.base import Rows
from comet_mcp.journal.examination import Unusable, examine
from comet_mcp.journal.operations import Operation, State
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_NEARLY = 0.8
"""The part of its largest size from which a journal is said to be large."""
_SHOWN = 5
_LATE = 900.0
"""Seconds after which a change that was lost does not come any more."""


def check_records(settings: Settings) -> Iterator[Finding]:
    """Read the journal, if there is one, and say what is in it."""
    path = settings.state
    if not path.is_file():
        return
    found = examine(path)
    if isinstance(found, Unusable):
        yield Finding("records", "problem", f"{found.reason}.", f"{found.advice}.")
        return
    older = ", of an older version, which the next start of a server upgrades" if found.older else ""
    yield Finding("records", "ok", f"the journal can be read and is whole{older}")
    yield from _trail(found.trail)
    yield from _in_doubt(found.in_doubt)


def _trail(trail: Rows) -> Iterator[Finding]:
    verified = chain.verify(trail)
    if verified.fault or verified.before:
        says = " ".join(filter(None, (verified.fault, *verified.before)))
        cure = (
            "Find out who or what changed the journal's file. To begin anew, end all servers and move the file away; "
            "keep it."
        )
        yield Finding("audit", "problem", f"The audit trail is not whole. {says}", cure)
        return
    size = f"{trail.size / 2**20:.0f} of the {MOST_BYTES / 2**20:.0f} MB that it may have"
    if trail.size >= MOST_BYTES * _NEARLY:
        state = "problem" if trail.size >= MOST_BYTES else "warning"
        says = f"The journal with the audit trail has {size}; then calls get no row any more."
        cure = "Run: cometapi-mcp audit prune --before 90d"
        yield Finding("audit", "problem" if state == "problem" else "warning", says, cure)
    else:
        yield Finding("audit", "ok", f"whole, {verified.rows} rows; the journal has {size}")


def _in_doubt(operations: tuple[Operation, ...]) -> Iterator[Finding]:
    now = SYSTEM.now()
    open_ones = [one for one in operations if not one.is_held(now) and not _is_past(one, now)]
    for operation in open_ones[:_SHOWN]:
        says, cure = _words(operation)
        yield Finding("operations", "warning", says, cure)
    if len(open_ones) > _SHOWN:
        says = f"{len(open_ones) - _SHOWN} more operations are in doubt."
        yield Finding("operations", "warning", says, "Ask your assistant to list the keys: that looks at all of them.")
    if not open_ones:
        yield Finding("operations", "ok", "none is in doubt")


def _is_past(operation: Operation, now: float) -> bool:
    """Whether nothing can come of it any more."""
    return operation.state is State.ABANDONED and not operation.is_recognisable(now)


def _words(operation: Operation) -> tuple[str, str]:
    """What is not known of an operation, and what to do, for a person."""
    begun = datetime.fromtimestamp(operation.begun, UTC).strftime("%Y-%m-%d %H:%M UTC")
    name = f" {quoted(operation.spec.name)}" if operation.has_spec else ""
    lists = "Ask your assistant to list the keys: that looks for it, and notes what came of it."
    if operation.kind in ("change", "delete"):
        verb = "changes" if operation.kind == "change" else "deletes"
        lost = f"The answer to a call of {begun} that {verb} key {operation.key_id} was lost"
        return (
            f"{lost}; up to {_LATE / 60:.0f} minutes after it, it may still be carried out.",
            f"Ask your assistant to show key {operation.key_id}; the next change of that key settles it.",
        )
    what = "replacing key " + str(operation.old.id) if operation.old else "making a key"
    if operation.state is State.UNSTORED:
        return (
            f"Key {operation.key_id}{name} was made, and its value could not be stored.",
            f"Ask your assistant to save key {operation.key_id}, or run: cometapi-mcp save {operation.key_id} FILE",
        )
    if operation.key_id is not None:
        return (
            f"Key {operation.key_id}{name} was made on {begun}, and no client was told of it.",
            f"{lists} If nobody needs it, ask to delete it.",
        )
    return f"Whether {what}{name}, begun on {begun}, succeeded is not known.", f"{lists} Do not make it by hand."
