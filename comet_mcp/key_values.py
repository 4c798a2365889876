"""The value of a key whose record shows only a mask, by the reveal call and within its limit.

Measured: revealing a key and asking its usage share 20 calls in 20 minutes. The journal counts them for all servers
of the user, so that a create is refused while the new key's value could not be read. Who asks while a call is under
way waits and shares the next, which reads up to 100 keys at once where the release can.
"""

from __future__ import annotations

import anyio
from pydantic import SecretStr

from comet_mcp.client import CometAPI
from comet_mcp.errors import RateLimitedError, RefusedError
from comet_mcp.state import Journal
from comet_mcp.units import when
from comet_mcp.wire import Token, is_masked

REVEALS = 20
WINDOW = 20 * 60.0
_BATCH = 100


class KeyValues:
    """Reads key values, few calls for many keys."""

    def __init__(self, api: CometAPI, journal: Journal) -> None:
        self._api = api
        self._journal = journal
        self._lock = anyio.Lock()
        self._wanted: set[int] = set()
        self._found: dict[int, SecretStr] = {}
        self._has_batch = True

    async def check_limit(self) -> None:
        """Raise RateLimitedError where the limit of reveal calls is used up."""
        made = await self._journal.reveals_since(WINDOW)
        if len(made) >= REVEALS:
            free = made[-REVEALS] + WINDOW
            raise RateLimitedError(
                f"The API reveals key values in {REVEALS} calls per 20 minutes, and they are used up until "
                f"{when(int(free) + 1)}, so no key is created whose value could not be stored. Try again then.",
                retry_after=None,
            )

    async def of(self, row: Token, seconds: float) -> SecretStr:
        """The value of the key of this row. Raises APIError, or RateLimitedError where the limit is used up."""
        if not is_masked(row.key.get_secret_value()):
            return row.key
        self._wanted.add(row.id)
        try:
            async with self._lock:
                if row.id not in self._found:
                    await self._reveal(row.id, seconds)
                return self._found.pop(row.id)
        finally:
            self._wanted.discard(row.id)

    async def _reveal(self, key_id: int, seconds: float) -> None:
        await self.check_limit()
        wanted = [key_id, *sorted(self._wanted - {key_id} - self._found.keys())][:_BATCH]
        await self._journal.note_reveal()
        if len(wanted) > 1 and self._has_batch:
            try:
                self._found.update(await self._api.reveal_keys(wanted, seconds=seconds))
            except RefusedError as error:
                if error.code != "no_such_call":
                    raise
                self._has_batch = False  # a release between the first with a reveal call and the first with a batch
        if key_id not in self._found:
            self._found[key_id] = await self._api.reveal_key(key_id, seconds=seconds)
