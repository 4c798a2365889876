"""How quota moves between what is left and what is used, of a key and of its account."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from comet_mcp.sandbox.key import Key


class Owner(Protocol):
    """The account whose keys these are; its numbers are quota units and model calls."""

    quota: int
    used_quota: int
    request_count: int


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a call: what it takes from the key and the account, and what it adds to the account's sums."""

    row: Key
    units: int
    """Quota units that become used; a negative number gives some back."""
    spent: int = 0
    """Quota units that the account's `used_quota` rises by."""
    requests: int = 0


class Balances:
    """Writes moves at once or, with batched updates, at the next multiple of `interval` seconds.

    A row that was deleted may still be moved, for its calls in flight are billed to the account (measured).
    """

    def __init__(self, owner: Owner, interval: float, clock: Callable[[], float]) -> None:
        self.owner = owner
        self.interval = interval
        self.clock = clock
        self._unwritten: list[Move] = []
        self._tick = self._ticks()

    def move(self, move: Move) -> None:
        """Carry out one step."""
        if self.interval:
            self.write()
            self._unwritten.append(move)
        else:
            self._write(move)

    def write(self) -> None:
        """Write what is due."""
        tick = self._ticks()
        if tick != self._tick:
            self._tick = tick
            for move in self._unwritten:
                self._write(move)
            self._unwritten.clear()

    def left_of(self, row: Key) -> int:
        """What the key has left, unwritten moves included; quota units."""
        return row.remain_quota - sum(move.units for move in self._unwritten if move.row is row)

    def used_of(self, row: Key) -> int:
        """What the key has used, unwritten moves included; quota units."""
        return row.used_quota + row.remain_quota - self.left_of(row)

    @property
    def left(self) -> int:
        """What the account has left, unwritten moves included; quota units."""
        return self.owner.quota - sum(move.units for move in self._unwritten)

    def _ticks(self) -> int:
        return int(self.clock() // self.interval) if self.interval else 0

    def _write(self, move: Move) -> None:
        move.row.remain_quota -= move.units
        move.row.used_quota += move.units
        move.row.accessed_time = int(self.clock())
        self.owner.quota -= move.units
        self.owner.used_quota += move.spent
        self.owner.request_count += move.requests
