"""A key that one call alone may change, and what the journal knows of its changes and deletes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from comet_mcp.domain.key import Key
from comet_mcp.errors import JournalError
from comet_mcp.journal.operations import CLOSED, Operation, State
from comet_mcp.journal.writes import Put


@dataclass(slots=True)
class Hold:
    """A key that this call alone may change, and the changes and deletes of it that the journal knows.

    `journal_fault` is why the journal could not be asked; only what gives nothing may be changed then. `begin` notes
    that the call begins to change something, where an earlier change is corrected before the one that is asked for.
    """

    key_id: int
    changes: list[Operation] = field(default_factory=list)
    journal_fault: JournalError | None = None
    begin: Callable[[], Awaitable[None]] | None = None

    @property
    def open(self) -> list[Operation]:
        """The changes that were left open, oldest first."""
        return [c for c in self.changes if c.kind == "change" and c.is_open_write]

    @property
    def deletes(self) -> list[Operation]:
        """The deletes of the key that are under way, or of which nobody knows what came."""
        return [c for c in self.changes if c.kind == "delete" and c.is_open_write]

    @property
    def recent(self) -> list[Operation]:
        """Those of them after which no change was seen in the key."""
        return [change for change in self.open if self.settled_after(change) is None]

    def settled_after(self, lost: Operation) -> Operation | None:
        """The last change that was seen in the key, if it came after one that was not."""
        later = self.changes[self.changes.index(lost) + 1 :]
        seen = [c for c in later if c.kind == "change" and c.state is State.SETTLED]
        return next((c for c in reversed(seen) if c.key_created == lost.key_created), None)

    def meant(self, row: Key) -> int | None:
        """The total that the last change meant the key to have, where nobody else has written it since.

        That is so while the key's total is what was read after that change.
        """
        settled = [
            c for c in self.changes if c.state is State.SETTLED and c.target and c.key_created == row.created_time
        ]
        target = settled[-1].target if settled else None
        return target.total if target is not None and target.seen == row.total else None

    def noted(self, done: Operation) -> list[Put]:
        """Take a change or a delete as it is now. Returns what is to be written of it, and of those before it.

        The last change that came after a lost one keeps its settings, to be made again; those before need theirs no
        more.
        """
        known = [change.id for change in self.changes]
        place = known.index(done.id) if done.id in known else len(known)
        self.changes[place : place + 1] = [done]
        needed = {later.id for lost in self.open if (later := self.settled_after(lost)) is not None}
        over = [c for c in self.changes if c is not done and c.state in CLOSED and c.has_spec and c.id not in needed]
        return [Put(done, whole=done.id in needed), *(Put(change) for change in over)]
