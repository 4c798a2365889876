"""Rotations: which key is being replaced, how the new one shall be, and what happens to the old one."""

from __future__ import annotations

from dataclasses import dataclass
from time import time

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.state.file import Database, StateFile
from comet_mcp.state.intents import COLUMNS, DEAD_AFTER, intent_of


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that is being replaced: the body of the new one, and how the old one ends (`old_until` for grace)."""

    id: int
    body: KeySpec
    old_key: str
    old_until: int
    begun: float
    done: bool
    new_id: int | None
    under_way: bool
    """Whether a call is making the new key at this moment."""
    was_sent: bool
    """Whether the create of the new key was begun, whatever came of it."""

    @property
    def is_dead(self) -> bool:
        """Whether it made nothing, and its server is gone."""
        return not self.was_sent and self.begun < time() - DEAD_AFTER


class Rotations:
    """The rotations of one account. A rotation has one new key: an index of the file sees to that."""

    def __init__(self, file: StateFile, account: str) -> None:
        self._file = file
        self._account = account

    async def of(self, old: Key) -> Rotation | None:
        """The newest rotation of that key."""
        return await self._newest("old_id = ? AND old_created = ?", (old.id, old.created_time))

    async def of_gone(self, old_id: int) -> Rotation | None:
        """The newest rotation of a key which does not exist any more."""
        return await self._newest("old_id = ?", (old_id,))

    async def _newest(self, which: str, values: tuple[int, ...]) -> Rotation | None:
        def work(db: Database) -> Rotation | None:
            row = db.execute(
                "SELECT id, body, old_key, old_until, begun, done FROM rotation "  # noqa: S608 - a constant
                f"WHERE account = ? AND {which} ORDER BY id DESC LIMIT 1",
                (self._account, *values),
            ).fetchone()
            if row is None:
                return None
            found = db.execute(
                f"SELECT {COLUMNS} FROM intent WHERE rotation = ? AND phase != 'closed'",  # noqa: S608 - a constant
                (row[0],),
            ).fetchone()
            new = intent_of(found) if found else None
            body = KeySpec.model_validate_json(row[1])
            new_id, under_way = (new.key_id, new.in_flight) if new else (None, False)
            return Rotation(row[0], body, row[2], row[3], row[4], bool(row[5]), new_id, under_way, new is not None)

        return await self._file.read(work)

    async def begin(self, old: Key, body: KeySpec, old_key: str, old_until: int) -> None:
        """Note a rotation that is about to begin. Where another server has just begun one, that one stands."""
        await self._file.write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO rotation (account, old_id, old_created, body, old_key, old_until, begun) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._account, old.id, old.created_time, body.model_dump_json(), old_key, old_until, time()),
            )
        )

    async def forget_new_key(self, rotation: int) -> None:
        """Note that the new key of a rotation does not exist any more."""
        query = "UPDATE intent SET phase = 'closed' WHERE rotation = ?"
        await self._file.write(lambda db: db.execute(query, (rotation,)))

    async def drop(self, rotation: int) -> None:
        """Forget a rotation that made no key; one whose create is not settled stays."""
        query = (
            "UPDATE rotation SET done = 1 WHERE id = ? "
            "AND NOT EXISTS (SELECT 1 FROM intent WHERE rotation = ? AND phase != 'closed')"
        )
        await self._file.write(lambda db: db.execute(query, (rotation, rotation)))

    async def end(self, rotation: int) -> None:
        """Note that both keys are as they should be."""
        await self._file.write(lambda db: db.execute("UPDATE rotation SET done = 1 WHERE id = ?", (rotation,)))
