"""What a use of the journal is: a step. It names what it reads, decides on that alone, and says what is written.

Reading, deciding and writing are one transaction, so that two servers never decide on the same state. The decision is
a plain function: it is tested without a database, and another database only needs another runner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from comet_mcp.journal.operations import Operation
from comet_mcp.policy.windows import Spending

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Account:
    """An account: the API's address, path included, and the account's number there.

    Both are None where it is known by an access token alone: no record has told the number yet, or a journal of an
    older version did not note it.
    """

    id: str
    base_url: str | None
    user_id: int | None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit trail. `entry` is JSON, unless somebody altered it."""

    id: int
    entry: str
    hash: str


@dataclass(frozen=True, slots=True)
class Share:
    """Calls of an API that one server made or may make, and until when they count. A server has several."""

    server: str
    calls: int
    until: float


@dataclass(frozen=True, slots=True)
class KeyLease:
    """Which server changes a key, and until when it alone may."""

    holder: str
    until: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person had a key's value put: a file, and the variable that it is there.

    Or a place for programs elsewhere, as `domain.elsewhere` writes it; it has no variable.
    """

    path: str
    variable: str

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is no file of this machine."""
        return not self.variable

    def __str__(self) -> str:
        return self.path if self.is_elsewhere else f"{self.path} (as {self.variable})"


@dataclass(frozen=True, slots=True)
class Reads:
    """What a step reads; all is of one account, but for leased keys, shares, confirmations and the trail.

    Args:
        account: The account's number in the journal.
        operations: `open` for the creates and rotations whose outcome is not final, or that a client is yet to be told
            of; `of_key` for the changes and deletes of one key; `leased` for the creates, of all accounts, whose key is
            under a lease that has not ended; or the ids of some.
        claims: The (id, time of creation) pairs of which it is asked whether an operation has them, beside those of the
            keys that the operations replace.
        key_id: The key of `of_key`, of the lease, and of `rotations`.
        rotations: The rotations of that key.
        maker: The (id, time of creation) of a key of which it is asked which create or rotation made it.
        spending: What was given out, for the policy's counts and sums.
        reveals: When values were revealed, in Unix seconds.
        key_lease: Who changes the key `key_id`.
        places: The (id, time of creation) of a key of which it is asked where its value was put.
        holders: A place of which it is asked which keys' values may be there, of whatever account.
        shares: The shares of the calls of one API, by its origin.
        accounts: Every account, and the one that an alias stands for.
        alias: A digest of an access token.
        nonce: A confirmation, of which it is asked whether it has served.
        audit: The last row of the trail (`tail`) or all of them, the number that was given last, and the bytes that the
            journal's file has in use.
    """

    account: str | None = None
    operations: Literal["none", "open", "of_key", "leased"] | tuple[str, ...] = "none"
    claims: tuple[tuple[int, int], ...] = ()
    key_id: int | None = None
    rotations: bool = False
    maker: tuple[int, int] | None = None
    spending: bool = False
    reveals: bool = False
    key_lease: bool = False
    places: tuple[int, int] | None = None
    holders: Place | None = None
    shares: str | None = None
    accounts: bool = False
    alias: str | None = None
    nonce: str | None = None
    audit: Literal["none", "tail", "all"] = "none"


@dataclass(slots=True)
class Rows:
    """What a step has read."""

    operations: list[Operation] = field(default_factory=list)
    claimed: set[tuple[int, int]] = field(default_factory=set)
    rotations: list[Operation] = field(default_factory=list)
    maker: Operation | None = None
    spending: Spending = field(default_factory=Spending)
    reveals: list[float] = field(default_factory=list)
    key_lease: KeyLease | None = None
    places: list[Place] = field(default_factory=list)
    holders: list[tuple[int, int]] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    known_as: str | None = None
    nonce_used: bool = False
    audit: list[AuditRow] = field(default_factory=list)
    audit_last: int = 0
    size: int = 0

    def operation(self, id: str) -> Operation:
        """The operation of that id, which the step asked for."""
        return next(operation for operation in self.operations if operation.id == id)


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


@dataclass(frozen=True, slots=True)
class Decision(Generic[_T]):
    """What a step comes to: its result, and what is written."""

    result: _T
    writes: Sequence[Write] = ()


@dataclass(frozen=True, slots=True)
class Step(Generic[_T]):
    """One use of the journal.

    Args:
        reads: What it reads.
        decide: From that to the result and what is written. It may raise a CometError; nothing is written then.
        after: Told the result once it holds.
        durable: Whether it has to be on disk when the step is done. Else it outlives this process, and reaches the
            disk with the next step that is durable: a failure of the power may take it along.
    """

    reads: Reads
    decide: Callable[[Rows], Decision[_T]]
    durable: bool = True
    after: Callable[[_T], None] | None = None


class Journal(Protocol):
    """Carries out steps. Every method raises JournalError where the journal can't be used."""

    async def exists(self) -> bool:
        """Whether there is a journal already: one that never was has nothing to reconcile."""

    async def run(self, step: Step[_T], *also: Step[Any]) -> _T:
        """Carry out a step, alone among all servers, and others in the same transaction."""

    def add_rider(self, rider: Callable[[], Step[Any] | None]) -> None:
        """Ask for a step with each one that is carried out, and carry it out in the same transaction."""

    async def aclose(self) -> None:
        """End the use; without an error where the journal does not answer."""
