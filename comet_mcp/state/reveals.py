"""The calls that revealed a key's value, which the API limits to a few for all servers of a user."""

from __future__ import annotations

from time import time

from comet_mcp.state.file import Database, StateFile


class Reveals:
    """The reveal calls made for one account."""

    def __init__(self, file: StateFile, account: str) -> None:
        self._file = file
        self._account = account

    async def note(self) -> None:
        """Count one reveal call, which the API limits."""
        await self._file.write(lambda db: db.execute("INSERT INTO reveal VALUES (?, ?)", (self._account, time())))

    async def since(self, seconds: float) -> list[float]:
        """When reveal calls were made in the last `seconds`, oldest first, in Unix seconds."""

        def work(db: Database) -> list[float]:
            query = "SELECT at FROM reveal WHERE account = ? AND at > ? ORDER BY at"
            found = db.execute(query, (self._account, time() - seconds))
            return [row[0] for row in found]

        return await self._file.read(work)
