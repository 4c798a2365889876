"""Which account this is: its address and its number, whatever access token it is asked with.

Tokens are renewed, and an unclear create, counts and sums must survive that. The token's digest is kept as an alias,
so that only the first call with a token has to ask.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.identity import api_identity
from comet_mcp.errors import RefusedError, UnauthorizedError
from comet_mcp.journal.base import Decision, Journal, Reads, Rows, Step
from comet_mcp.journal.rows import Account
from comet_mcp.journal.writes import PutAccount

if TYPE_CHECKING:
    from comet_mcp.settings import Settings


class Identity:
    """The account of one server."""

    def __init__(self, settings: Settings, api: CometAPI, journal: Journal) -> None:
        self._api = api
        self._journal = journal
        self._user_id = settings.user_id
        self.base_url = api_identity(settings.base_url)
        self.alias = digest_of_token(settings)
        self._lock = anyio.Lock(fast_acquire=True)
        self._account: Account | None = None

    @property
    def label(self) -> str:
        """The account in words, as far as it is known: for the audit trail."""
        known = self._account
        return f"{self.base_url}#{known.user_id}" if known and known.user_id else self.alias

    @property
    def cached(self) -> str | None:
        """The account's id in the journal, where it is known already."""
        return self._account.id if self._account and self._account.base_url else None

    async def account(self) -> str:
        """The account's id in the journal.

        Raises:
            JournalError: The journal can't be used.
            APIError: It is not known yet, and the API could not be asked.
        """
        async with self._lock:
            if self._account is None or self._account.base_url is None:
                self._account = await self._journal.run(self._known())
            if self._account is None or self._account.base_url is None:
                self._account = await self._journal.run(self._named(await self._number()))
            return self._account.id

    async def known(self) -> str | None:
        """The account's id in the journal, None where the API would have to be asked first. Raises JournalError."""
        if self._account is None and await self._journal.exists():
            self._account = await self._journal.run(self._known())
        return self._account.id if self._account else None

    async def learn(self, user_id: int) -> None:
        """Note the account's number, which a record of one of its keys tells, where it was not known."""
        if self._account is not None and self._account.user_id is None and user_id > 0:
            async with self._lock:
                self._account = await self._journal.run(self._named(user_id))

    async def _number(self) -> int | None:
        """The account's number; None where nothing tells it yet. The API holds one that is set against the token."""
        if self._user_id:
            return int(self._user_id)
        try:
            if number := (await self._api.account()).id:
                return number
        except UnauthorizedError:
            raise
        except RefusedError:
            pass  # an API without that call: a record tells it as well
        rows = (await self._api.list_tokens(1, 1)).items
        return rows[0].user_id if rows and rows[0].user_id else None

    def _known(self) -> Step[Account | None]:
        def decide(rows: Rows) -> Decision[Account | None]:
            return Decision(next((account for account in rows.accounts if account.id == rows.known_as), None))

        return Step(Reads(accounts=True, alias=self.alias), decide, durable=False)

    def _named(self, number: int | None) -> Step[Account]:
        """The account of that number, made where there is none; what was known by the token alone is one with it."""

        def decide(rows: Rows) -> Decision[Account]:
            by_token = next((account for account in rows.accounts if account.id == rows.known_as), None)
            by_number = next(
                (a for a in rows.accounts if number is not None and (a.base_url, a.user_id) == (self.base_url, number)),
                None,
            )
            number_of = by_number.id if by_number else by_token.id if by_token else secrets.token_hex(8)
            same_as = by_token.id if by_token and by_token.id != number_of else None
            account = Account(number_of, self.base_url, number)
            return Decision(account, [PutAccount(account, self.alias, same_as)])

        return Step(Reads(accounts=True, alias=self.alias), decide)


def digest_of_token(settings: Settings) -> str:
    """What stands for an access token in the journal. One way: the token can't be found from it."""
    token = settings.access_token.get_secret_value() if settings.access_token else ""
    return hashlib.sha256(f"{settings.base_url}\n{token}".encode()).hexdigest()[:16]
