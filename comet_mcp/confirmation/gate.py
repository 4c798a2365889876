"""The gate that a writing tool passes before its first write, and says there what it is about to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from comet_mcp.errors import ConfirmationError

LONGEST_QUESTION = 2000
"""Characters that a person can be expected to read. What is longer is not asked: cut, it would hide something."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked, and a digest of what has to be the same when the answer comes.

    `otherwise` is what can be done where nobody can be asked, in sentences.
    """

    text: str
    state: str
    otherwise: str = ""


class Asked(Exception):  # noqa: N818 - no error: a call that waits for a person
    """A tool has come to its first write, and nobody has confirmed it yet. Nothing is changed."""

    def __init__(self, question: Question) -> None:
        super().__init__("a person has to confirm this")
        self.question = question


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's yes: to which call, to which state of the key, until when (Unix seconds), and its nonce.

    `otherwise` is the question's; `asked` is when the question was sent, by this process's monotonic clock.
    """

    call: str
    state: str
    expires: float
    nonce: str
    asked: float
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a writing tool asks, once, before its first write. Without `use_up` nobody can be asked."""

    use_up: Callable[[Grant], Awaitable[None]] | None = None
    """Notes on disk that an answer has served. Raises ConfirmationError where it had already."""
    asks: bool = False
    """Whether a person is asked whatever it is that the tool does."""
    grant: Grant | None = None
    begin: Callable[[], Awaitable[None]] | None = None
    """Notes on disk that the call begins to change something. Raises AuditError where it must not without."""

    @property
    def can_ask(self) -> bool:
        """Whether a person can be asked."""
        return self.use_up is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether this run of the tool ends with the question."""
        return self.asks and self.grant is None

    async def require_confirmed(self, question: Question) -> None:
        """Return where nobody needs to be asked, or the person has confirmed this very question.

        Raises as `require_person`.
        """
        if self.asks:
            await self.require_person(question)
        else:
            await self.passed()

    async def require_person(self, question: Question) -> None:
        """Return where the person has confirmed this very question, whatever the operator has asked about.

        Raises:
            Asked: Nobody has answered yet.
            ConfirmationError: Nobody can be asked, the question is too long, what it is about was changed since, or the
                answer has served already.
        """
        if self.use_up is None:
            raise ConfirmationError("The user has to confirm this, and nobody can be asked. Nothing was done.")
        if len(question.text) > LONGEST_QUESTION:
            raise ConfirmationError(
                f"The user has to confirm this, and the question would have {len(question.text)} characters, more than "
                f"the {LONGEST_QUESTION} that a person can be expected to read. Nothing was done. Name fewer models "
                "and addresses (a range stands for many), or make a key with fewer and add the others with "
                "update_api_key, some in each call.",
                code="confirmation_too_long",
            )
        if self.grant is None:
            raise Asked(question)
        if self.grant.state != question.state:
            raise ConfirmationError(
                "What the user was asked about was changed meanwhile. Nothing was done. Call again: the user is then "
                "asked about it as it is now.",
                code="confirmation_stale",
            )
        await self.use_up(self.grant)
        await self.passed()

    async def passed(self) -> None:
        """The call goes on to its first write."""
        if self.begin is not None:
            await self.begin()


OPEN = Gate()
"""The gate of a server that asks nobody."""


def digest_of(*parts: object) -> str:
    """A digest of what a question is about; equal for equal parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
