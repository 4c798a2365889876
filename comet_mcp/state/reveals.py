"""The calls that revealed a key's value, which the API limits to a few for all servers of a user."""

from __future__ import annotations

from time import time

from comet_mcp.state.file import Database, StateFile

WINDOW = 20 * 60.0
"""Seconds over which the API counts reveal calls."""


class Reveals:
    """The reveal calls made for one account."""

    def __init__(self, file: StateFile, account: str) -> None:
        self._file = file
        self._account = account

    async def note(self) -> None:
        """Count one reveal call, and forget those that the API does not count any more."""

        def work(db: Database) -> None:
            db.execute("DELETE FROM reveal WHERE at < ?", (time() - WINDOW,))
            db.execute("INSERT INTO reveal VALUES (?, ?)", (self._account, time()))

        await self._file.write(work)

    async def counted(self) -> list[float]:
        """When the reveal calls that still count were made, oldest first, in Unix seconds."""

        def work(db: Database) -> list[float]:
            query = "SELECT at FROM reveal WHERE account = ? AND at > ? ORDER BY at"
            return [at for (at,) in db.execute(query, (self._account, time() - WINDOW))]

        return await self._file.read(work)
