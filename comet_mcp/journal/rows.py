"""What the journal keeps beside operations: accounts, rows of the trail, shares of calls, leases of keys, places."""

from __future__ import annotations

from dataclasses import dataclass


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
