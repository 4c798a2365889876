"""Which keys of a list are meant, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from comet_mcp.domain.key import Key, StateWord, mask
from comet_mcp.domain.lifetimes import BEYOND, NEVER

Order = Literal["newest", "ends", "last_used", "spent"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a key has to be to be listed; the default is every key, newest first.

    Args:
        keyword: A part of its name, or of its masked value from its "sk-" on, in any case.
        state: Its state, None for any.
        unlimited: Whether it has to be without a budget.
        ends_before: It has not ended yet and will by then, in Unix seconds.
        unused_since: It was made before then, in Unix seconds, and not used since.
        never_used: Whether no model may ever have been called.
        order: `ends`: the next one to end first; `last_used`: the longest unused first; `spent`: the most first.
    """

    keyword: str = ""
    state: StateWord | None = None
    unlimited: bool = False
    ends_before: int | None = None
    unused_since: float | None = None
    never_used: bool = False
    order: Order = "newest"

    @property
    def is_every(self) -> bool:
        """Whether it leaves the list as the API has it."""
        return self == EVERY

    def of(self, rows: Iterable[Key], now: float) -> list[Key]:
        """The keys that are meant, of rows with the newest first. `now` is in Unix seconds."""
        found = [row for row in rows if self._has(row, now)]
        if self.order == "ends":
            found.sort(key=lambda row: BEYOND if row.expired_time == NEVER else row.expired_time)
        elif self.order == "last_used":
            found.sort(key=lambda row: (not row.is_unused, row.touched))
        elif self.order == "spent":
            found.sort(key=lambda row: -row.used_quota)
        return found

    def _has(self, row: Key, now: float) -> bool:
        word = self.keyword.casefold()
        if word not in row.name.casefold() and not (word.startswith("sk-") and word in mask(row.key).casefold()):
            return False
        if self.unlimited and not row.unlimited_quota:
            return False
        if self.state is not None and row.state(now).word != self.state:
            return False
        if self.ends_before is not None and not now < row.expired_time <= self.ends_before:
            return False
        if self.unused_since is not None and row.touched >= self.unused_since:
            return False
        return row.is_unused or not self.never_used


EVERY = Selection()
