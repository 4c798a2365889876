"""Whether a key works, in three answers: it does, it does not, or it can't be told from here.

What is known without the key comes first: its record (`Key.state`), the account's balance, and what a call sets aside.
The API is asked as the key only where its record speaks for it: some releases note at such a call that a key is used
up, in a status that stays when it is topped up (measured). Its value is that of the record or of the store. None is
revealed for it, nor is its usage asked: these calls are few, and creates need them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from comet_mcp.api.catalog import Catalog
from comet_mcp.api.client import CometAPI
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key, Status, status_word
from comet_mcp.domain.lifetimes import NEVER, when
from comet_mcp.domain.money import Units
from comet_mcp.errors import APIError, RefusedError, StoreError
from comet_mcp.services.affordable import means_of
from comet_mcp.services.secrets import Secrets
from comet_mcp.text import printable

_LISTED = 300
"""Characters of a list of addresses that a reason repeats."""
_DEAD = re.compile(r"expired|exhausted|unavailable|过期|用尽|不可用", re.IGNORECASE)
"""Words of the API for a key that has ended, has nothing left or is disabled (measured); often it says none."""


@dataclass(slots=True)
class Verdict:
    """What was found out of a key. It works where nothing speaks against that and nothing is left in doubt."""

    row: Key
    reasons: list[str] = field(default_factory=list)
    """Why it does not work, each with what would fix it."""
    doubts: list[str] = field(default_factory=list)
    """Why it can't be told."""
    notes: list[str] = field(default_factory=list)
    models: list[str] | None = None
    """What the API says that it may call; None where it was not asked."""

    @property
    def word(self) -> Literal["works", "does not work", "can't be told"]:
        """The answer: "works", "does not work" or "can't be told"."""
        return "does not work" if self.reasons else "can't be told" if self.doubts else "works"


class Verifier:
    """Checks the keys of one account."""

    def __init__(self, api: CometAPI, catalog: Catalog, secrets: Secrets, units: Units) -> None:
        self._api = api
        self._catalog = catalog
        self._secrets = secrets
        self._units = units

    async def verify(self, row: Key, deadline: Deadline) -> Verdict:
        """Find out whether a key works, by its record as it was just read.

        Raises:
            APIError: The API could not be asked as the key, which says nothing of it.
        """
        found = await means_of(row, self._api, self._catalog, self._units)
        verdict = Verdict(row, _obstacles(row, self._api.clock.now()), found.doubts, found.notes)
        if verdict.reasons:
            verdict.reasons += await self._group_reasons(row)
        else:
            await self._ask(verdict, deadline)
        verdict.reasons += found.reasons
        return verdict

    async def _ask(self, verdict: Verdict, deadline: Deadline) -> None:
        """Ask the API as the key which models it may call."""
        why = "Its value is not stored here"
        fix = "save_api_key stores the value; then call verify_api_key again."
        try:
            value = await self._secrets.known_value_of(verdict.row, deadline)
        except StoreError as error:
            value, why, fix = None, "Its value could not be read", str(error)
        if value is None:
            verdict.reasons += await self._group_reasons(verdict.row)
            verdict.doubts.append(
                f"{why}, so the API was not asked as this key. By its record nothing speaks against it. {fix}"
            )
            return
        try:
            verdict.models = await self._api.callable_models(value)
        except RefusedError as error:
            if error.code != "key_refused":
                raise
            await self._judge(verdict, error.args[0])
            return
        if not verdict.models:
            verdict.reasons.append(_no_model(verdict.row))

    async def _judge(self, verdict: Verdict, said: str) -> None:
        """Say why a key is refused of which the record tells nothing: as it is now, or by what the API says."""
        before, row = verdict.row, await self._api.get_token(verdict.row.id)
        verdict.row = row
        if row.status in (Status.EXPIRED, Status.EXHAUSTED) and row.status != before.status:
            noted = f"The API has noted at this call that it is {status_word(row.status)}.{_ends(row)}"
            fix = "a later expired_time" if row.status == Status.EXPIRED else "add_budget_usd"
            verdict.reasons.append(f'{noted} Call update_api_key with {fix} and status "enabled".')
        elif found := _obstacles(row, self._api.clock.now()):
            verdict.reasons += found  # somebody has changed it meanwhile
        elif row.allow_ips and re.search(r"\bip\b", said, re.IGNORECASE | re.ASCII):
            self._judge_address(verdict, said)
        elif row.group and ("group" in said.lower() or "分组" in said):
            verdict.reasons.append(_not_its_group(row))
        elif _DEAD.search(said):
            fix = 'a later expired_time, add_budget_usd or status "enabled", whichever it lacks'
            verdict.reasons.append(f'The API refuses it: "{said}".{_ends(row)} Call update_api_key with {fix}.')
        else:
            verdict.doubts.append(
                f'The API refuses it ("{said}") without a reason, and its record tells of none.{_ends(row)} Try again '
                "in a minute, and look at it in the API's console before you change or delete it."
            )

    @staticmethod
    def _judge_address(verdict: Verdict, said: str) -> None:
        addresses = verdict.row.spec.addresses
        listed = printable(", ".join(addresses.widest_first()), _LISTED)
        if len(addresses.wrong) == len(addresses.entries):
            verdict.reasons.append(
                f"Its list of addresses ({listed}) has none that the API can read, so it is refused everywhere. Call "
                "update_api_key with allow_ips."
            )
            return
        verdict.doubts.append(
            f'The API refuses it here: "{said}". The address that it sees, this machine\'s or that of a proxy or '
            f"balancer between, is not on its IP list ({listed}). From those addresses it may work: have it tried "
            "there before you change or delete it."
        )

    async def _group_reasons(self, row: Key) -> list[str]:
        """That the account does not have the key's group, where the API can't be asked as the key."""
        if not row.group:
            return []
        try:
            groups = await self._catalog.groups()
        except APIError:
            return []  # this API does not tell them
        return [_not_its_group(row)] if groups and row.group not in groups else []


def _obstacles(row: Key, now: float) -> list[str]:
    """Why a key can't work, by its record, and what fixes that."""
    return [f"It {obstacle.text}. Call update_api_key with {obstacle.fix}." for obstacle in row.state(now).obstacles]


def _no_model(row: Key) -> str:
    """Why a key that the API answers may call no model."""
    if row.model_limits_enabled:
        return (
            "It may call no model: its model list names none that the account has. Call update_api_key with "
            "model_limits, or with model_limits_enabled false."
        )
    whose = f'its group "{row.group}"' if row.group else "the account's group"
    return (
        f"It may call no model: it has no model list, and the API offers {whose} none. Call update_api_key with "
        "another group that get_account lists, or ask the person to look at the models in the API's console."
    )


def _not_its_group(row: Key) -> str:
    return f'Its group "{row.group}" is not the account\'s. Call update_api_key with a group that get_account lists.'


def _ends(row: Key) -> str:
    """What a wrong clock may hide: the API ends a key by its own."""
    if row.expired_time == NEVER:
        return ""
    return f" Its end is {when(row.expired_time)}: by the API's clock it may have come, if this machine's is wrong."
