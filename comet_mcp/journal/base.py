"""What a use of the journal is: a step. It names what it reads, decides on that alone, and says what is written.

Reading, deciding and writing are one transaction, so that two servers never decide on the same state. The decision is
a plain function: it is tested without a database, and another database only needs another runner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from comet_mcp.journal.operations import Operation
from comet_mcp.journal.rows import Account, AuditRow, KeyLease, Place, Share
from comet_mcp.journal.writes import Write
from comet_mcp.policy.windows import Spending

_T = TypeVar("_T")


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
