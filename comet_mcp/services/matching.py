"""Which row of the API is which create's. Pure: rows and operations in, the row out.

A row is a create's if it is above its watermark, equal after what releases are known to normalise, nobody's yet, and
not the key that is being replaced. Equal rows are interchangeable. A row that differs in more is never taken for it:
"outcome unknown" is better than another person's key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.journal.operations import OldKey, Operation, State

LATEST = 900.0
"""Seconds after its begin in which an abandoned create's row was made, if it is taken for it without asking."""

_FIELDS = tuple(KeySpec.model_fields)
_LONGEST = 500
"""Characters of a field that are shown in a sentence."""


@dataclass(frozen=True, slots=True)
class Match:
    """The row that is an operation's, or the ids of those among which nobody can tell."""

    row: Key | None = None
    ambiguous: tuple[int, ...] = ()


def match(
    operation: Operation, rows: Iterable[Key], claimed: set[tuple[int, int]], others: Iterable[Operation], now: float
) -> Match:
    """The row of an operation, if one is there.

    An accepted create takes any equal row. One whose outcome is unknown waits until each equal create that is owed a
    row has it. A key that is replaced by an equal one, and that may be this create's, is waited for until it is listed.
    Where more rows are left than there are creates to own them, somebody else made equal keys at the same moment: then
    nothing is taken.

    Args:
        operation: The create.
        rows: Rows above its watermark.
        claimed: Those that other operations have, as (id, time of creation), and so of the keys that others replace.
        others: The other operations that are open.
        now: Unix seconds.
    """
    rows = list(rows)
    left = [row for row in equal_rows(operation, rows) if (row.id, row.created_time) not in claimed]
    if operation.state is State.ABANDONED:
        left = [row for row in left if row.created_time <= operation.begun + LATEST]
    rivals = [
        other
        for other in others
        if other.id != operation.id
        and is_rival(operation, other, now)
        and any(other.watermark.is_below(row) for row in left)
    ]
    if len(left) > len(rivals) + 1:
        return Match(ambiguous=tuple(sorted(row.id for row in left)))
    known = {(row.id, row.created_time) for row in left} | claimed
    if any(old[:2] not in known and operation.watermark.is_below_key(*old[:2]) for old in _replaced(rivals)):
        return Match()  # its key is there, and none of these is: only the equal one that replaces it
    owed = [other for other in rivals if other.state is State.ACCEPTED_UNLISTED or other.is_held(now)]
    if not operation.accepted and len(left) <= len(owed):
        # what was there before each of them began is nobody's but this one's
        left = [row for row in left if not any(other.watermark.is_below(row) for other in owed)]
    return Match(min(left, key=lambda row: row.id)) if left else Match()


def _replaced(rivals: Iterable[Operation]) -> list[OldKey]:
    """The keys that are replaced by equal ones."""
    return [rival.old for rival in rivals if rival.old is not None]


def is_rival(operation: Operation, other: Operation, now: float) -> bool:
    """Whether a row that is equal to an operation's spec may be the other's as well."""
    return other.kind in ("create", "rotate") and other.awaits_row(now) and other.spec.is_equal(operation.spec)


def equal_rows(operation: Operation, rows: Iterable[Key]) -> list[Key]:
    """The rows above the watermark that are equal to what was asked for."""
    return [
        row
        for row in operation.watermark.above(rows)
        if not differences(operation.spec, row, tolerated=True)
        and (operation.old is None or (row.id, row.created_time) != operation.old[:2])
    ]


def namesakes(operation: Operation, rows: Iterable[Key], claimed: set[tuple[int, int]]) -> list[Key]:
    """The rows of the same name that nobody has: they may be the create's, changed by the API, or another person's."""
    return [
        row
        for row in operation.watermark.above(rows)
        if row.name.strip().casefold() == operation.spec.name.strip().casefold()
        and (row.id, row.created_time) not in claimed
        and (operation.old is None or row.id != operation.old.id)
    ]


def differences(spec: KeySpec, row: Key, *, tolerated: bool = False) -> list[str]:
    """Where a row differs from what was sent, as sentences.

    Args:
        spec: What was sent.
        row: What the API has.
        tolerated: Leave out what a release is known to change. Measured: the newest stores `cross_group_retry` as
            false unless the group is `auto`.
    """
    found = []
    for name in _FIELDS:  # many rows are compared with many specs: no dictionary is made of either
        sent, stored = getattr(spec, name), getattr(row, name)
        if name == "allow_ips":
            sent = sent or ""  # measured: null is stored as "" on create and as null on update
        if name == "cross_group_retry" and tolerated and not stored and spec.group != "auto":
            continue
        if sent != stored:
            found.append(f"{name} was sent as {_shown(sent)} and stored as {_shown(stored)}.")
    return found


def _shown(value: object) -> str:
    """A field's value in a sentence; what the API has stored may be of any length."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
