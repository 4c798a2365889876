"""What a step of the journal may have written."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.journal.operations import Operation
from comet_mcp.journal.rows import Account, AuditRow, KeyLease, Place, Share


@dataclass(frozen=True, slots=True)
class Put:
    """An operation, new or changed. Of one that is closed a digest of its settings is kept, if not the `whole`."""

    operation: Operation
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Keys made and quota units given at a moment, for an operation."""

    at: float
    keys: int
    units: int
    operation: str


@dataclass(frozen=True, slots=True)
class DropGrants:
    """What was counted for an operation is taken back."""

    operation: str


@dataclass(frozen=True, slots=True)
class AddReveals:
    """Calls that revealed values."""

    at: float
    calls: int


@dataclass(frozen=True, slots=True)
class PutKeyLease:
    """The lease of a key; None ends it."""

    key_id: int
    lease: KeyLease | None


@dataclass(frozen=True, slots=True)
class PutPlace:
    """A place of the value of a key, which its id and its time of creation tell from others."""

    key_id: int
    key_created: int
    place: Place


@dataclass(frozen=True, slots=True)
class DropPlace:
    """A place that the value of a key was not put into after all."""

    key_id: int
    key_created: int
    place: Place


@dataclass(frozen=True, slots=True)
class TakePlace:
    """A place that has the value of this key now, and so that of no other."""

    key_id: int
    key_created: int
    place: Place


@dataclass(frozen=True, slots=True)
class PutShares:
    """A server's shares of an API's calls, instead of those that it had. Those that count no more at `at` go."""

    origin: str
    server: str
    shares: tuple[Share, ...]
    at: float


@dataclass(frozen=True, slots=True)
class PutAccount:
    """An account as it is known now, an alias for it, and another that is the same: its rows move here."""

    account: Account
    alias: str | None = None
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class UseNonce:
    """A confirmation that has served now."""

    nonce: str
    at: float


@dataclass(frozen=True, slots=True)
class AppendAudit:
    """A row at the end of the trail."""

    row: AuditRow


@dataclass(frozen=True, slots=True)
class DropAudit:
    """The rows of the trail up to a number."""

    through: int


Write = (
    Put
    | Grant
    | DropGrants
    | AddReveals
    | PutKeyLease
    | PutPlace
    | DropPlace
    | TakePlace
    | PutShares
    | PutAccount
    | UseNonce
    | AppendAudit
    | DropAudit
)
