"""The answers of a person that have served: each is good for one call."""

from __future__ import annotations

from time import time

from comet_mcp.state.file import Database, StateFile

_KEPT = 86_400.0  # seconds, far longer than an answer is good for


class UsedAnswers:
    """What was answered and has served."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def use(self, nonce: str) -> bool:
        """Note that a person's answer has served. False where it had already."""

        def work(db: Database) -> bool:
            db.execute("DELETE FROM answered WHERE at < ?", (time() - _KEPT,))
            return db.execute("INSERT OR IGNORE INTO answered VALUES (?, ?)", (nonce, time())).rowcount == 1

        return await self._file.write(work)
