"""What is known of a history from outside: what was asked, what was sent, what the API did, what was answered."""

from __future__ import annotations

import math
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.server import Server

_IDS = re.compile(r"\b(?:[Kk]ey|ids?(?: are)?)\s+(\d+(?:, \d+)*)")
_ANOTHER = re.compile(
    r"makes another key|made no key|Make another key only|makes? a new one|would make one more|may be two"
)
_CODE = re.compile(r"\[([a-z_]+)\]")

UNKNOWN = frozenset(
    [
        "create_outcome_unknown",
        "created_id_unknown",
        "accepted_unlisted",
        "outcome_unknown",
        "timed_out",
        "no_usable_answer",
        "api_failed",
        "journal_unavailable",
        "update_outcome_unknown",
        "update_not_corrected",
        "delete_outcome_unknown",
        "internal_error",
        "under_way",
    ]
)
"""Codes after which a call may have had an effect."""


@dataclass(eq=False)
class Wish:
    """One key that somebody wants: a create, or a rotation, that is repeated until it is known what came of it."""

    number: int
    tool: str
    arguments: dict[str, Any]
    gateway: str
    open: bool = True
    allowed: int = 1
    """How many keys may come of it: one, and one more for each time that the client was told so."""
    calls: list[Call] = field(default_factory=list)


@dataclass(eq=False)
class Call:
    """One call of a tool, as its client knows it."""

    number: int
    server: Server
    tool: str
    arguments: dict[str, Any]
    begun: float
    generation: int
    wish: Wish | None = None
    ended: float | None = None
    ended_in: int = -1
    """The database's generation when it ended."""
    outcome: str = ""
    """"ok", the code of an error, or what became of the answer: "broken", "cancelled"; "" while it is under way."""
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    delivered: bool = False
    writes: int = 0
    """How many of its requests that change something were sent."""

    @property
    def ok(self) -> bool:
        """Whether the client has read a success."""
        return self.delivered and self.outcome == "ok"

    @property
    def end(self) -> float:
        """When it had come to its end for certain: never, where the client was told nothing sure."""
        return self.ended if self.ended is not None and self.is_definite else math.inf

    @property
    def is_definite(self) -> bool:
        """Whether the client was told an outcome that leaves nothing open."""
        return self.delivered and self.outcome not in UNKNOWN

    @property
    def named_ids(self) -> set[int]:
        """The ids of keys that the answer names in its sentences, or is about; not the one that the call has named.

        A refusal by the policy names keys whose changes were lost: that tells nobody of a key.
        """
        if self.outcome == "policy":
            return set()
        found = {int(number) for ids in _IDS.findall(self.said) for number in ids.split(", ")}
        found.discard(self.arguments.get("id", 0))
        if self.ok and self.tool in ("create_api_key", "rotate_api_key"):
            found.add(int(self.made["id"]))
        return found

    @property
    def made(self) -> dict[str, Any]:
        """The new key of a create or a rotation that succeeded."""
        return self.data.get("new_key") or self.data

    @property
    def said(self) -> str:
        """The sentences of the answer."""
        if self.outcome != "ok":
            return self.text
        about = [self.data, self.made] if self.tool == "rotate_api_key" else [self.data]
        sentences = [part.get(name) or [] for part in about for name in ("notes", "warnings", "steps", "reasons")]
        return " ".join(sentence for found in sentences for sentence in found)

    @property
    def allows_another(self) -> bool:
        """Whether the client was told that a repetition makes another key."""
        return self.delivered and _ANOTHER.search(self.said) is not None

    def __str__(self) -> str:
        return f"call {self.number} {self.tool} on {self.server.name}"


CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def code_in(text: str) -> str:
    """The code that an error begins with."""
    found = _CODE.match(text)
    return found[1] if found else "error"


@dataclass(eq=False)
class Made:
    """A key that exists or existed, with the call that made it: None for one of the console's."""

    id: int
    generation: int
    name: str
    body: dict[str, Any]
    at: float
    call: Call | None
    sent_at: float = 0.0
    secret: str = ""
    total: int = 0
    listed_at: float = 0.0
    """From when on lists show it."""
    reported_at: float | None = None
    """When a client was first told of it."""
    touched_at: float | None = None
    """When somebody first changed or deleted it."""


@dataclass(eq=False)
class Write:
    """Something that the API did: "create", "update", "delete"; by the call, or by the console where that is None."""

    kind: str
    key_id: int
    generation: int
    at: float
    call: Call | None
    sent_at: float
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    in_flight: int = 0
    """Quota units that model calls under way had reserved."""


@dataclass(eq=False)
class Log:
    """Everything that happens, in order."""

    lines: list[tuple[float, str, str, tuple[Any, ...]]] = field(default_factory=list)

    def __call__(self, at: float, who: str, what: str, *details: Any) -> None:
        self.lines.append((at, who, what, details))

    def text(self) -> str:
        """The log to read."""
        return "\n".join(f"{at - 1000:10.3f}  {who:<12} {what % details}" for at, who, what, details in self.lines)
