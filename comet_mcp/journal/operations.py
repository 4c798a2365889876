"""Operations: each create, rotation, change and delete is noted before it is sent, so that a lost answer loses nothing.

What an operation has come to is its state, and `TRANSITIONS` has every change of state that there is. Beside the state
stand who works on it (`holder`, while its lease lasts), whether the client has gone (`disconnected`), and whether the
client was told (`acknowledged`: the answer was written).

A rotation is a create whose key takes another one's place: its last step is the old key's end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from comet_mcp.domain.key import Key, KeySpec

LEASE = 6.0
"""Seconds for which an operation is its holder's; renewed while the holder works on it."""

_LONGEST_LEASE = 60.0
"""No lease lasts longer: one that seems to was written by a clock that was wrong."""

_CLOCKS_APART = 2
"""Seconds by which the clocks of one gateway's nodes may differ."""

RENEW_EVERY = 2.0
"""Seconds after which the lease of an operation that takes long is renewed."""

RECOGNISABLE_FOR = 86_400.0
"""Seconds for which the row of an abandoned create is still known for what it is when it shows."""

Kind = Literal["create", "rotate", "change", "delete"]
OldKeyEnd = Literal["grace", "disable", "delete"]


class State(StrEnum):
    """How far an operation has come."""

    PENDING = "pending"
    """On disk; what it writes may leave at any moment."""
    ACCEPTED = "accepted"
    """The API said yes; the key's row is being looked for."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """It left, and no usable answer came."""
    ACCEPTED_UNLISTED = "accepted_unlisted"
    """The API said yes, and the call ended before a row showed."""
    MATCHED = "matched"
    """The key is known; its value is not stored yet."""
    UNSTORED = "unstored"
    """The key is known; its value could not be stored."""
    STORED = "stored"
    """The value is where values go."""
    RETIRED = "retired"
    """The key that was replaced has its end too."""
    SETTLED = "settled"
    """The changed key is as it was meant to be, or the difference was told; the deleted one is gone."""
    ABANDONED = "abandoned"
    """No row showed for a minute. One that shows within a day is still recognised."""
    NOT_DONE = "not_done"
    """It provably had no effect."""
    RELEASED = "released"
    """There is no key of it any more, or nobody can tell which one it is."""


class Transition(NamedTuple):
    """An allowed change of state: of which kinds, from where, to where, by whom, and when."""

    kinds: tuple[Kind, ...]
    before: State
    after: State
    by: Literal["holder", "reconciler", "anyone"]
    when: str


_MAKING: tuple[Kind, ...] = ("create", "rotate")
_WRITE: tuple[Kind, ...] = ("change", "delete")

TRANSITIONS = (
    Transition(_MAKING, State.PENDING, State.ACCEPTED, "holder", "the API said yes and the row takes its time"),
    Transition(_MAKING, State.PENDING, State.OUTCOME_UNKNOWN, "holder", "no usable answer came"),
    Transition(_MAKING, State.PENDING, State.ACCEPTED_UNLISTED, "holder", "the API said yes, and no row showed"),
    Transition(_MAKING, State.PENDING, State.MATCHED, "holder", "its row was found"),
    Transition(_MAKING, State.PENDING, State.NOT_DONE, "holder", "provably unsent, or refused and no row is there"),
    Transition(_MAKING, State.PENDING, State.RELEASED, "holder", "several equal rows, and nothing tells whose"),
    Transition(_MAKING, State.ACCEPTED, State.MATCHED, "holder", "its row was found"),
    Transition(_MAKING, State.ACCEPTED, State.ACCEPTED_UNLISTED, "holder", "no row showed before the call ended"),
    Transition(_MAKING, State.ACCEPTED, State.RELEASED, "holder", "several equal rows, and nothing tells whose"),
    Transition(_MAKING, State.OUTCOME_UNKNOWN, State.MATCHED, "holder", "its row was found"),
    Transition(_MAKING, State.OUTCOME_UNKNOWN, State.RELEASED, "holder", "several equal rows, and nothing tells whose"),
    Transition(_MAKING, State.ACCEPTED_UNLISTED, State.MATCHED, "reconciler", "its row was found"),
    Transition(_MAKING, State.ACCEPTED_UNLISTED, State.RELEASED, "reconciler", "several equal rows"),
    Transition(
        _MAKING, State.PENDING, State.ABANDONED, "reconciler", "its server died, and no row showed for a minute"
    ),
    Transition(_MAKING, State.ACCEPTED, State.ABANDONED, "reconciler", "its server died, and no row showed"),
    Transition(_MAKING, State.OUTCOME_UNKNOWN, State.ABANDONED, "reconciler", "no row showed for a minute"),
    Transition(_MAKING, State.ACCEPTED_UNLISTED, State.ABANDONED, "reconciler", "no row showed for a minute"),
    Transition(_MAKING, State.ABANDONED, State.MATCHED, "reconciler", "its row showed within a day"),
    Transition(_MAKING, State.ABANDONED, State.RELEASED, "reconciler", "several equal rows, or a day has passed"),
    Transition(_MAKING, State.MATCHED, State.STORED, "anyone", "its value is stored"),
    Transition(_MAKING, State.MATCHED, State.UNSTORED, "anyone", "its value could not be stored"),
    Transition(_MAKING, State.UNSTORED, State.STORED, "anyone", "its value is stored"),
    Transition(_MAKING, State.UNSTORED, State.MATCHED, "reconciler", "another call takes it up"),
    Transition(_MAKING, State.STORED, State.MATCHED, "reconciler", "nobody was told: another call takes it up"),
    Transition(_MAKING, State.MATCHED, State.RELEASED, "reconciler", "the key was deleted"),
    Transition(_MAKING, State.UNSTORED, State.RELEASED, "reconciler", "the key was deleted"),
    Transition(_MAKING, State.STORED, State.RELEASED, "reconciler", "the key was deleted"),
    Transition(("rotate",), State.STORED, State.RETIRED, "holder", "the old key has its end"),
    Transition(("rotate",), State.MATCHED, State.RETIRED, "holder", "that its value is stored was not noted"),
    Transition(("rotate",), State.UNSTORED, State.RETIRED, "holder", "that its value is stored was not noted"),
    Transition(("rotate",), State.RETIRED, State.RELEASED, "reconciler", "the new key was deleted"),
    Transition(_WRITE, State.PENDING, State.SETTLED, "holder", "the key was read again, as it was meant, or is gone"),
    Transition(_WRITE, State.PENDING, State.NOT_DONE, "holder", "provably unsent or refused"),
    Transition(
        _WRITE, State.PENDING, State.OUTCOME_UNKNOWN, "anyone", "an answer was lost, or its server died; it may come"
    ),
    Transition(_WRITE, State.PENDING, State.SETTLED, "reconciler", "its server died; the next write read the key"),
    Transition(_WRITE, State.PENDING, State.NOT_DONE, "reconciler", "its server died before anything arrived"),
    Transition(_WRITE, State.OUTCOME_UNKNOWN, State.SETTLED, "reconciler", "the key shows it, or is gone"),
    Transition(_WRITE, State.OUTCOME_UNKNOWN, State.NOT_DONE, "reconciler", "nothing of it came in fifteen minutes"),
)
"""Every change of state that there is."""

_ALLOWED = {(kind, step.before, step.after) for step in TRANSITIONS for kind in step.kinds}

ROWLESS = frozenset([State.PENDING, State.ACCEPTED, State.OUTCOME_UNKNOWN, State.ACCEPTED_UNLISTED])
"""Creates whose row is looked for."""

KNOWN = frozenset([State.MATCHED, State.UNSTORED, State.STORED, State.RETIRED])
"""Creates whose key is known."""

WORKED_ON = ROWLESS | {State.MATCHED, State.UNSTORED, State.STORED, State.ABANDONED}
"""States in which a call may be at work; its answer is too."""

CLOSED = frozenset([State.NOT_DONE, State.RELEASED, State.SETTLED])
"""States that nothing leads out of."""

DIGEST = "sha256:"
"""What the name of a spec begins with of which a digest is kept."""


class Watermark(NamedTuple):
    """What a create's row is above: rows with another id than those up to `id`, made at `since` or later.

    Both times are in Unix seconds by the API's clock. `since` is 0 where `id` alone is certain. `created` is when the
    row of that id was made: a row that is younger and has no higher id shows that ids have begun anew.
    """

    id: int
    since: int = 0
    created: int = 0

    def is_below(self, row: Key) -> bool:
        """Whether a row is above."""
        return self.is_below_key(row.id, row.created_time)

    def is_below_key(self, key_id: int, created: int) -> bool:
        """The same of a key by its id and its time of creation."""
        anew = self.created and created > self.created + _CLOCKS_APART
        return created >= self.since and (key_id > self.id or bool(anew))

    def above(self, rows: Iterable[Key]) -> list[Key]:
        """The rows that are above."""
        return [row for row in rows if self.is_below(row)]


class OldKey(NamedTuple):
    """The key that a rotation replaces, and how it ends: it expires at `until` (Unix seconds), is disabled or deleted.

    `left` are the quota units that the new key was given for it.
    """

    id: int
    created: int
    end: OldKeyEnd = "grace"
    until: int = 0
    left: int = 0


class Target(NamedTuple):
    """What a change means a key to have in all (`total`, in quota units; None without a budget).

    `total_before` is what it had, `used_before` what of it was used; `seen` is the total that was read last, once the
    change is settled or was looked for. `status` is what its writes carry, or what was read last. `added` was
    counted as given; `again` is what it may give beside that if it comes late, counted for as long as it may.
    """

    total: int | None
    total_before: int
    used_before: int
    seen: int | None = None
    status: int | None = None
    added: int = 0
    again: int = 0


class Lease(NamedTuple):
    """That a created key is deleted once its work is done, or at `until` (Unix seconds).

    `id` names the lock that the holder has while it lives. `spent` is what the key had used when it was deleted, in
    quota units; None before that, and where nobody saw it.
    """

    id: str
    until: float
    spent: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One create, rotation, change or delete as the journal has it.

    Args:
        id: Chosen before anything is written, so that a step that is run again is the same step.
        account: The account's id in the journal.
        kind: What it is.
        state: How far it came.
        spec: The key that is asked for; of a change, the fields that it writes; of a delete, those it had.
        extra: Fields of the key that this version does not know, to be sent with it.
        begun: When it began, in Unix seconds.
        watermark: What a create's row is above.
        holder: The server that works on it, by the random id of its start.
        lease_until: Until when it is the holder's, in Unix seconds.
        accepted: Whether the API ever said that it made the key.
        disconnected: Whether the client that asked for it gave up, so that an equal create may take it up.
        acknowledged: Whether a client was told of its outcome.
        key_id: The key that it made, changes or deletes.
        key_created: That key's time of creation: ids begin anew when a gateway's database does.
        old: The key that a rotation replaces.
        target: What a change means the key to be.
        lease: Until when the key of a create is needed, where that is known before.
    """

    id: str
    account: str
    kind: Kind
    state: State
    spec: KeySpec
    begun: float
    holder: str
    lease_until: float
    watermark: Watermark = field(default_factory=lambda: Watermark(0))
    extra: dict[str, Any] | None = None
    accepted: bool = False
    disconnected: bool = False
    acknowledged: bool = False
    key_id: int | None = None
    key_created: int | None = None
    old: OldKey | None = None
    target: Target | None = None
    lease: Lease | None = None

    def moved(self, state: State, **changes: Any) -> Operation:
        """The operation in its next state. Raises ValueError for a transition that there is not."""
        if state != self.state and (self.kind, self.state, state) not in _ALLOWED:
            raise ValueError(f"a {self.kind} can't go from {self.state} to {state}")
        accepted = self.accepted or state in (State.ACCEPTED, State.ACCEPTED_UNLISTED)
        return replace(self, state=state, **{"accepted": accepted, **changes})

    def is_held(self, now: float) -> bool:
        """Whether a call is at work on it."""
        return self.state in WORKED_ON and is_current(self.lease_until, now)

    def is_recognisable(self, now: float) -> bool:
        """Whether its row, which never showed, is still known for what it is."""
        return self.state is State.ABANDONED and self.begun > now - RECOGNISABLE_FOR

    def awaits_row(self, now: float) -> bool:
        """Whether a row of the account may still turn out to be its."""
        return self.state in ROWLESS or self.is_recognisable(now)

    @property
    def has_spec(self) -> bool:
        """Whether `spec` is what was asked for, and not a digest of it."""
        return not self.spec.name.startswith(DIGEST)

    @property
    def is_open_rotation(self) -> bool:
        """Whether a rotation has to be gone on with before the same key is replaced once more."""
        return self.kind == "rotate" and self.state not in (*CLOSED, State.RETIRED, State.ABANDONED)

    @property
    def is_open_write(self) -> bool:
        """Whether a write of a change or a delete may be on its way, or was lost and may still be carried out."""
        return self.kind in _WRITE and self.state in (State.PENDING, State.OUTCOME_UNKNOWN)


def is_current(lease_until: float, now: float) -> bool:
    """Whether a lease holds at `now`; both in Unix seconds."""
    return now < lease_until <= now + _LONGEST_LEASE


def diagram() -> str:
    """The transitions as a table, for people."""
    rows = [("kinds", "from", "to", "by", "when"), *((", ".join(t.kinds), *t[1:]) for t in TRANSITIONS)]
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]
    lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]
    return "\n".join(f"{line}  {row[4]}" for line, row in zip(lines, rows, strict=True))
