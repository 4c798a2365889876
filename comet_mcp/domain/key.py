"""A key: what is asked for, a record as the API gave it, and whether it can work.

The fields have the API's names. A release may know more of them than this program: `Key.extra` has those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.lifetimes import NEVER, when
from comet_mcp.domain.models import ModelList

_VALUE = re.compile(r"(sk-)?[\x21-\x29\x2b-\x7e]{16,}")  # measured: 48 alphanumerics; a mask has stars
_BOOKKEEPING = frozenset(["DeletedAt"])
"""Fields of every record that say nothing of what the key may do."""

MOST = 2**63 - 1
Number = Annotated[int, Field(ge=-MOST - 1, le=MOST)]
"""The API counts in 64 bits."""


class Status(IntEnum):
    """A key's status. Measured: the gateway stores any number it is given, so a record's may be none of these."""

    ENABLED = 1
    DISABLED = 2
    EXPIRED = 3
    EXHAUSTED = 4


StateWord = Literal["works", "disabled", "expired", "used up"]
_WORDS = {int(status): status.name.lower() for status in Status}
_STATES: dict[int, StateWord] = {
    Status.ENABLED: "works",
    Status.DISABLED: "disabled",
    Status.EXPIRED: "expired",
    Status.EXHAUSTED: "used up",
}


def status_word(status: int) -> str:
    """A record's status in the API's word. What it comes to is `Key.state`."""
    return _WORDS.get(status) or f"unknown ({status})"


class KeySpec(BaseModel):
    """The nine fields of `POST /api/token/`, with the API's defaults. What is sent holds all of them."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    name: str
    expired_time: int = NEVER
    remain_quota: int = 0
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str | None = None
    group: str = ""
    cross_group_retry: bool = False

    def is_equal(self, other: KeySpec) -> bool:
        """Whether both ask for the same key: the API keeps no difference between null and "" addresses."""
        if self is other or self == other:
            return True
        same_addresses = {"allow_ips": other.allow_ips} if not (self.allow_ips or other.allow_ips) else {}
        return self.model_copy(update=same_addresses) == other

    @property
    def models(self) -> ModelList:
        """The models that the list names; it restricts the key only while `model_limits_enabled`."""
        return ModelList.parse(self.model_limits)

    @property
    def addresses(self) -> AddressList:
        """The addresses that the list names."""
        return AddressList.parse(self.allow_ips)


class Key(BaseModel):
    """One record of the API. `key` is the full value or a masked one, by release, without the `sk-` in front."""

    model_config = ConfigDict(hide_input_in_errors=True, defer_build=True, extra="allow")

    id: Number
    user_id: Number = 0
    key: SecretStr = SecretStr("")
    status: Number = 0
    name: str = ""
    created_time: Number = 0
    accessed_time: Number = 0
    expired_time: Number = NEVER
    remain_quota: Number = 0
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str = ""
    used_quota: Number = 0
    group: str = ""
    cross_group_retry: bool = False

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that this program does not know: they may hold restrictions, so a full write sends them back."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in _BOOKKEEPING}

    @property
    def spec(self) -> KeySpec:
        """The nine fields that would make an equal key."""
        return KeySpec.model_validate(self.model_dump(include=set(KeySpec.model_fields)))

    @property
    def total(self) -> int:
        """What it was given in all, in quota units.

        Measured: a model call moves units between what remains and what is used, at its start and at its end; only the
        sum stays, until somebody writes a budget.
        """
        return self.remain_quota + self.used_quota

    @property
    def is_unused(self) -> bool:
        """Whether no model was ever called: the API starts `accessed_time` with the time of creation (measured)."""
        return not self.used_quota and self.accessed_time <= self.created_time

    @property
    def touched(self) -> int:
        """When it was made or last used, in Unix seconds, whichever was later."""
        return max(self.accessed_time, self.created_time)

    @property
    def is_masked(self) -> bool:
        """Whether the record shows a mask (`gLEC**********DQNw`) or nothing, so that the value has to be revealed."""
        return is_masked(self.key.get_secret_value())

    def state(self, now: float) -> KeyState:
        """Whether the key can work at `now` (Unix seconds), by its record: the one answer to that question.

        The API refuses a key from its end on, and one that has nothing left (documented), while the record says
        enabled until a model request is tried (measured), or for good on installations with Redis (measured).
        """
        ended = self.expired_time != NEVER and self.expired_time <= now
        spent = not self.unlimited_quota and self.remain_quota <= 0
        enabling = 'status "enabled"'
        obstacles = []
        if self.status not in (Status.ENABLED, Status.EXPIRED, Status.EXHAUSTED):
            obstacles.append(Obstacle("disabled", f"is {status_word(self.status)}", enabling))
        if ended:
            too = f" and {enabling}" if self.status == Status.EXPIRED else ""
            obstacles.append(Obstacle("expired", f"expired at {when(self.expired_time)}", f"a later expired_time{too}"))
        elif self.status == Status.EXPIRED:
            text = "still has the status expired, although it has not ended"
            obstacles.append(Obstacle("stale", text, enabling))
        if spent:
            too = f" and {enabling}" if self.status == Status.EXHAUSTED else ""
            obstacles.append(Obstacle("exhausted", "has nothing left to spend", f"add_budget_usd{too}"))
        elif self.status == Status.EXHAUSTED:
            text = "still has the status exhausted, although it has something left"
            obstacles.append(Obstacle("stale", text, enabling))
        status = self.status
        if status == Status.ENABLED and obstacles:
            status = Status.EXPIRED if ended else Status.EXHAUSTED
        return KeyState(_STATES.get(status) or status_word(status), tuple(obstacles))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something for which the API refuses a key; `text` goes on a sentence that begins with the key: "is disabled".

    `fix` is what update_api_key has to be called with. `stale` is a status that does not fit the rest of the record.
    """

    kind: Literal["disabled", "expired", "exhausted", "stale"]
    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class KeyState:
    """What a program meets, in a word (a `StateWord`, or an unknown status), and all that keeps it from working."""

    word: str
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def works(self) -> bool:
        """Whether nothing in the record speaks against it."""
        return not self.obstacles

    @property
    def why(self) -> str:
        """Everything that keeps it from working, to go on a sentence that begins with the key; "" where it works."""
        return ", and ".join(obstacle.text for obstacle in self.obstacles)

    def has(self, kind: Literal["disabled", "expired", "exhausted", "stale"]) -> bool:
        """Whether an obstacle of that kind is there."""
        return any(obstacle.kind == kind for obstacle in self.obstacles)


def is_masked(key: str) -> bool:
    """Whether a record's key is a mask or missing, so that it has to be revealed."""
    return not _VALUE.fullmatch(key)


def with_prefix(key: SecretStr) -> SecretStr:
    """The value as programs use it: the API leaves out the `sk-` in front."""
    value = key.get_secret_value()
    return SecretStr(value if value.startswith("sk-") else f"sk-{value}")


def mask(key: SecretStr) -> str:
    """`sk-gLEC***DQNw`: enough to tell two keys apart, by the API's own habit. Also of a key that came masked."""
    value = key.get_secret_value().removeprefix("sk-")
    return f"sk-{value[:4]}***{value[-4:]}" if len(value) >= 16 else "sk-***"
