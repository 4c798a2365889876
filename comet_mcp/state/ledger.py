"""What was given out: keys made and budgets given, counted before the call that gives them is sent."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from comet_mcp.policy.limits import LONGEST_WINDOW, Spending
from comet_mcp.state.file import Database, StateFile

Check = Callable[[Spending], None]
"""Raises where what is asked for would exceed a limit."""


class Ledger:
    """The spending of one account, by all servers of a user (see comet_mcp.policy.limits)."""

    def __init__(self, file: StateFile, account: str) -> None:
        self._file = file
        self._account = account

    async def spending(self) -> Spending:
        """The keys made and budgets given so far; none where no journal was ever written."""
        if not self._file.path.exists():
            return Spending()
        return await self._file.read(self.counted)

    async def reserve(self, units: int, check: Check | None) -> int:
        """Count a budget, in quota units, that is about to be added to a key. Returns what `release` takes.

        Counting and `check` are one transaction, as for a create.

        Raises:
            CometError: What `check` raises of the spending before; nothing is counted then.
        """

        def work(db: Database) -> int:
            if check is not None:
                check(self.counted(db))
            return self.count(db, 0, units)

        return await self._file.write(work)

    async def release(self, reservation: int) -> None:
        """Take back what `reserve` counted, because it was provably not given."""
        await self._file.write(lambda db: db.execute("DELETE FROM spending WHERE id = ?", (reservation,)))

    def counted(self, db: Database) -> Spending:
        """The spending so far, inside a transaction."""
        keys, units = db.execute(
            "SELECT COALESCE(SUM(keys), 0), COALESCE(SUM(units), 0) FROM spending WHERE account = ?", (self._account,)
        ).fetchone()
        recent = db.execute(
            "SELECT at, keys, units FROM spending WHERE account = ? AND at > ? ORDER BY at",
            (self._account, time() - LONGEST_WINDOW),
        ).fetchall()
        return Spending(keys, units, tuple(recent))

    def count(self, db: Database, keys: int, units: int, intent: int | None = None) -> int:
        """Count keys and quota units inside a transaction. Returns the number of the entry."""
        cursor = db.execute(
            "INSERT INTO spending (account, at, keys, units, intent) VALUES (?, ?, ?, ?, ?)",
            (self._account, time(), keys, units, intent),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - an INSERT without OR IGNORE has one
        return cursor.lastrowid

    def uncount(self, db: Database, intent: int) -> None:
        """Take back, inside a transaction, what was counted for an intent."""
        db.execute("DELETE FROM spending WHERE intent = ?", (intent,))
