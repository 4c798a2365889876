"""What a check finds, and how checks run: each on a thread of its own, so that none holds up or ends the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

from comet_mcp.clock import SYSTEM
from comet_mcp.text import printable
from comet_mcp.threads import begin

State = Literal["ok", "warning", "problem", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do where something is to be done."""

    check: str
    state: State
    says: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at. `look` may block and may raise; it has `within` seconds."""

    name: str
    look: Callable[[], Iterable[Finding]]
    within: float = 10.0


def examine(checks: Sequence[Check]) -> list[Finding]:
    """What all checks find, in their order. What one found before it failed, or hung, is kept."""
    begun = SYSTEM.monotonic()
    looks = [_Look(check) for check in checks]
    return [finding for look in looks for finding in look.findings(begun)]


@dataclass(slots=True)
class _Look:
    """A check under way."""

    check: Check
    found: list[Finding] = field(default_factory=list)
    outcome: list[Any] = field(default_factory=list)
    ended: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        begin(self._run, self.outcome, self.ended.set)

    def _run(self) -> None:
        for finding in self.check.look():
            self.found.append(finding)

    def findings(self, begun: float) -> list[Finding]:
        self.ended.wait(max(begun + self.check.within - SYSTEM.monotonic(), 0))
        found = list(self.found)
        if not self.outcome:
            found.append(self._unchecked(f"it took longer than {self.check.within:.0f} s"))
        elif isinstance(error := self.outcome[0], BaseException):
            found.append(self._unchecked(printable(f"{type(error).__name__}: {error}")))
        return found

    def _unchecked(self, why: str) -> Finding:
        return Finding(self.check.name, "not checked", f"could not be checked: {why}")
