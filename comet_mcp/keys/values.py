"""The value of a key whose record shows only a mask, by the reveal call and within its limit.

Measured: revealing a key and asking its usage share 20 calls in 20 minutes. The journal counts them for all servers
of the user, so that a create is refused while the new key's value could not be read. Who asks at the same moment
shares a call, which reads up to 100 keys at once where the release can.
"""

from __future__ import annotations

from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.key import Key, is_masked
from comet_mcp.errors import NotFoundError, RateLimitedError, RefusedError
from comet_mcp.keys.flights import Crowd, Flights
from comet_mcp.state.reveals import WINDOW, Reveals
from comet_mcp.units import when

REVEALS = 20
_BATCH = 100
_PATIENCE = 1.5


class KeyValues:
    """Reads key values, few calls for many keys."""

    def __init__(self, api: CometAPI, reveals: Reveals, finding: Crowd) -> None:
        """`finding` are the creates that look for their rows: a reveal waits for them, since calls are few."""
        self._api = api
        self._calls = reveals
        self._values = Flights(self._reveal, finding, _PATIENCE)
        self._has_batch = True

    async def check_limit(self) -> None:
        """Raise RateLimitedError where the limit of reveal calls is used up."""
        made = await self._calls.counted()
        if len(made) >= REVEALS:
            free = made[-REVEALS] + WINDOW
            raise RateLimitedError(
                f"The API reveals key values in {REVEALS} calls per 20 minutes, and they are used up until "
                f"{when(int(free) + 1)}. Until then no value can be read, so no key is made either. Try again then.",
                retry_after=None,
            )

    async def spare(self) -> bool:
        """Count a call of the same limit, if fewer than half are used; else tell that there is none to spare."""
        if len(await self._calls.counted()) >= REVEALS // 2:
            return False
        await self._calls.note()
        return True

    async def of(self, row: Key, seconds: float) -> SecretStr:
        """The value of the key of this row. Raises APIError, or RateLimitedError where the limit is used up."""
        if not is_masked(row.key.get_secret_value()):
            return row.key
        values = await self._values.join(row.id, seconds)
        if row.id not in values:
            raise NotFoundError(f"The API reveals no key {row.id}. It may have been deleted just now.")
        return values[row.id]

    async def _reveal(self, key_ids: list[int], seconds: float) -> dict[int, SecretStr]:
        wanted = list(dict.fromkeys(key_ids))
        values: dict[int, SecretStr] = {}
        if len(wanted) > 1 and self._has_batch:
            try:
                for start in range(0, len(wanted), _BATCH):
                    await self._count()
                    values |= await self._api.reveal_keys(wanted[start : start + _BATCH], seconds=seconds)
            except RefusedError as error:
                if error.code != "no_such_call":
                    raise
                self._has_batch = False  # a release between the first with a reveal call and the first with a batch
            else:
                return values
        for key_id in wanted:
            await self._count()
            values[key_id] = await self._api.reveal_key(key_id, seconds=seconds)
        return values

    async def _count(self) -> None:
        await self.check_limit()
        await self._calls.note()
