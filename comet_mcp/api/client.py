"""CometAPI: one method per endpoint, and one `_request` behind them all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from comet_mcp.api.models import (
    Account,
    CatalogModel,
    CreateAnswer,
    HourSum,
    HourSums,
    KeySum,
    KeySums,
    LogPage,
    ModelList,
    TokenPage,
)
from comet_mcp.api.rate_limit import RateLimit
from comet_mcp.api.responses import Answer, checked, envelope, json_of, parse, unusable
from comet_mcp.api.transport import Transport
from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.domain.key import Key, KeySpec, is_masked, with_prefix
from comet_mcp.errors import UnclearError

if TYPE_CHECKING:
    import httpx

    from comet_mcp.settings import Settings

CALLS, REFUNDS = 2, 6
"""The kinds of rows in the log that are about money: a model call, and what an asynchronous one got back."""

LONGEST_SUMS = 2_592_000
"""Seconds that sums are told of at once, at most: 30 days (measured)."""

_READ_ATTEMPTS = 2


class CometAPI:
    """The management API of one account.

    Every method raises SettingsError while the settings are wrong, and an APIError for what the API answers.
    """

    def __init__(
        self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock = SYSTEM
    ) -> None:
        self._settings = settings
        self.clock = clock
        self._transport = Transport(settings, clock, transport)
        self.timeout = settings.timeout
        # what a call may take: the caller still has to read the answer and to write its own
        self.seconds = self.timeout - min(1.0, self.timeout / 4)
        self.limit = RateLimit(settings.calls, clock)

    async def load(self) -> None:
        """Load the HTTP client, so that the first call does not have to."""
        await self._transport.load()

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        await self._transport.aclose()

    async def create_token(
        self, spec: KeySpec, extra: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> CreateAnswer:
        """`POST /api/token/`, once. `extra` are fields that this program does not know, of a key that is replaced."""
        answer = await self._manage("POST", "/api/token/", {**(extra or {}), **spec.model_dump()}, seconds)
        data = envelope(answer).data
        try:
            return CreateAnswer.model_validate(data if isinstance(data, dict) else {})
        except ValidationError:
            return CreateAnswer()  # it said success; what else it says in another shape is no reason for doubt

    async def list_tokens(self, page: int, page_size: int, *, seconds: float | None = None) -> TokenPage:
        """`GET /api/token/`, newest first."""
        answer = await self._manage("GET", f"/api/token/?p={page}&page_size={page_size}", None, seconds)
        data = envelope(answer).data
        return parse(TokenPage, {**data, "size": len(answer.body)} if isinstance(data, dict) else data, answer)

    async def get_token(self, token_id: int, *, seconds: float | None = None) -> Key:
        """`GET /api/token/{id}`. Raises NotFoundError where there is none."""
        answer = await self._manage("GET", f"/api/token/{token_id}", None, seconds)
        return parse(Key, envelope(answer, token_id).data, answer)

    async def reveal_key(self, token_id: int, *, seconds: float | None = None) -> SecretStr:
        """`POST /api/token/{id}/key`, which releases that mask the key in a record have. It changes nothing."""
        answer = await self._manage("POST", f"/api/token/{token_id}/key", None, seconds)
        data = envelope(answer, token_id).data
        key = data.get("key") if isinstance(data, dict) else None
        if not isinstance(key, str) or is_masked(key):
            raise unusable(answer, "has no key in it")
        return SecretStr(key)

    async def reveal_keys(self, token_ids: list[int], *, seconds: float | None = None) -> dict[int, SecretStr]:
        """`POST /api/token/batch/keys`, at most 100 ids a call; an id that does not exist is left out."""
        answer = await self._manage("POST", "/api/token/batch/keys", {"ids": token_ids}, seconds)
        data = envelope(answer).data
        keys = data.get("keys") if isinstance(data, dict) else None
        if not isinstance(keys, dict):
            raise unusable(answer, "has no keys in it")
        found = {token_id: keys.get(str(token_id)) for token_id in token_ids}
        return {
            token_id: SecretStr(key) for token_id, key in found.items() if isinstance(key, str) and not is_masked(key)
        }

    async def update_token(self, row: Key, *, status_only: bool = False, seconds: float | None = None) -> None:
        """`PUT /api/token/` with every field there is: the API resets a field that is left out.

        Documented: `status` is minded. Measured: it is ignored, unless `?status_only=1`, which changes nothing else.
        """
        body = row.extra | row.model_dump(include={"id", "status", *KeySpec.model_fields})
        path = "/api/token/?status_only=1" if status_only else "/api/token/"
        envelope(await self._manage("PUT", path, body, seconds), row.id)

    async def delete_token(self, token_id: int, *, seconds: float | None = None) -> None:
        """`DELETE /api/token/{id}`, for good. Raises NotFoundError where there is none."""
        envelope(await self._manage("DELETE", f"/api/token/{token_id}", None, seconds), token_id)

    async def callable_models(self, key: SecretStr) -> list[str]:
        """`GET /v1/models` as the key: the ids it may call. Raises RefusedError, with the API's words, where dead."""
        answer = await self._as_key(key, "/v1/models")
        return [model.id for model in parse(ModelList, json_of(answer), answer).data]

    async def account(self) -> Account:
        """`GET /api/user/self`: balance and use, in quota units."""
        answer = await self._manage("GET", "/api/user/self")
        return parse(Account, envelope(answer).data, answer)

    async def units_per_usd(self, *, seconds: float) -> int | None:
        """`GET /api/status`: the quota units in a dollar, by its operator's setting; None where it says no such number.

        Measured: a JSON number, that may have a fraction; the nearest whole one is close enough.
        """
        return units_in(envelope(await self._manage("GET", "/api/status", None, seconds)).data)

    async def groups(self) -> dict[str, Any]:
        """`GET /api/user/self/groups`: the account's groups. Raises RefusedError where the API has no such call."""
        data = envelope(await self._manage("GET", "/api/user/self/groups")).data
        return data if isinstance(data, dict) else {}

    async def catalog(self) -> list[CatalogModel]:
        """The models there are: `GET /api/models` as documented, with prices, else the account's ids alone.

        Measured: gateways answer the first call with the names built into the program, whatever the server offers;
        what the account may use is in `GET /api/user/models`.
        """
        answer = await self._manage("GET", "/api/models")
        data = envelope(answer).data
        if isinstance(data, list):
            return parse(ModelList, {"data": data}, answer).data
        answer = await self._manage("GET", "/api/user/models")
        names = envelope(answer).data
        return parse(
            ModelList, {"data": [{"id": name} for name in names] if isinstance(names, list) else names}, answer
        ).data

    async def log(
        self, kind: int, start: int, end: int, page: int, page_size: int, *, seconds: float | None = None
    ) -> LogPage:
        """`GET /api/log/self`: rows of one kind, newest first, from `start` to `end` in Unix seconds, both included.

        `kind` is `CALLS` or `REFUNDS`. Rows that come in while it is paged move the others: let `end` be past.
        """
        query = f"p={page}&page_size={page_size}&type={kind}&start_timestamp={start}&end_timestamp={end}"
        answer = await self._manage("GET", f"/api/log/self?{query}", None, seconds)
        return parse(LogPage, envelope(answer).data, answer)

    async def log_sum(self, start: int, end: int, *, seconds: float | None = None) -> int:
        """`GET /api/log/self/stat`: the quota units of the model calls in the log, refunds not taken off (measured)."""
        path = f"/api/log/self/stat?start_timestamp={start}&end_timestamp={end}"
        answer = await self._manage("GET", path, None, seconds)
        data = envelope(answer).data
        quota = data.get("quota") if isinstance(data, dict) else None
        if not isinstance(quota, int) or isinstance(quota, bool):
            raise unusable(answer, "has no sum in it")
        return quota

    async def hour_sums(self, start: int, end: int, *, seconds: float | None = None) -> list[HourSum]:
        """`GET /api/data/self`: the sums of each model and hour that begins from `start` to `end`, unsorted.

        At most `LONGEST_SUMS` seconds; up to five minutes late; none where the operator does not keep them (measured).
        """
        path = f"/api/data/self?start_timestamp={start}&end_timestamp={end}"
        answer = await self._manage("GET", path, None, seconds)
        return parse(HourSums, {"data": envelope(answer).data}, answer).data

    async def key_sums(self, start: int, end: int, *, seconds: float | None = None) -> list[KeySum]:
        """`GET /api/data/flow/self`: the same for each key, group and model over all these hours.

        Releases before June 2026 have no such call (measured): RefusedError.
        """
        path = f"/api/data/flow/self?start_timestamp={start}&end_timestamp={end}"
        answer = await self._manage("GET", path, None, seconds)
        return parse(KeySums, {"data": envelope(answer).data}, answer).data

    async def _as_key(self, key: SecretStr, path: str) -> Answer:
        """One call as a model key, which has no part in the account's own headers."""
        self._settings.require_usable()
        if not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise UnclearError("The API gave a value for the key that is none: it can't be sent. Nothing was changed.")
        headers = {"Authorization": f"Bearer {with_prefix(key).get_secret_value()}", "Accept-Language": "en"}
        return await self._request("GET", path, headers, None, self.seconds, as_key=True)

    async def _manage(self, method: str, path: str, body: Any = None, seconds: float | None = None) -> Answer:
        """One call of the management API; a read is tried twice, for a kept connection may just have been closed."""
        settings = self._settings
        settings.require_usable()
        assert settings.access_token is not None  # noqa: S101 - a missing one is a problem
        headers = {"Authorization": settings.access_token.get_secret_value(), "Accept-Language": "en"}
        if settings.user_id is not None:
            headers["New-Api-User"] = settings.user_id
        return await self._request(method, path, headers, body, seconds or self.seconds)

    async def _request(
        self, method: str, path: str, headers: dict[str, str], body: Any, seconds: float, *, as_key: bool = False
    ) -> Answer:
        end = self.clock.monotonic() + seconds
        for attempt in range(_READ_ATTEMPTS if method == "GET" else 1):
            try:
                answer = await self._sent(method, path, headers, body, end)
            except UnclearError:
                if method != "GET" or attempt + 1 == _READ_ATTEMPTS or self.clock.monotonic() >= end:
                    raise
            else:
                return checked(answer, self._transport.host, as_key=as_key)
        raise AssertionError  # the loop returns or raises

    async def _sent(self, method: str, path: str, headers: dict[str, str], body: Any, end: float) -> Answer:
        await self.limit.count()
        return await self._transport.send(method, path, headers, body, end)


def units_in(status: Any) -> int | None:
    """The quota units in a dollar, of what `GET /api/status` answers; None where it says no such number."""
    worth = status.get("quota_per_unit") if isinstance(status, dict) else None
    if isinstance(worth, bool) or not isinstance(worth, int | float) or not 1 <= worth < 10**12:
        return None
    return round(worth)
