"""What the tools work with, put together in one place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.audit.trail import AuditTrail
from comet_mcp.catalog import Catalog
from comet_mcp.confirmation import OPEN, Confirmations, Gate
from comet_mcp.keys.allowance import Allowance
from comet_mcp.keys.flights import Turns
from comet_mcp.keys.newest import KeyPages
from comet_mcp.keys.provisioning import KeyMaker
from comet_mcp.keys.rotation import KeyRotator
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.policy import Policy
from comet_mcp.secret_store import KeyStore, key_store
from comet_mcp.state.journal import Journal
from comet_mcp.units import Units

if TYPE_CHECKING:
    import httpx

    from comet_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one running server."""

    settings: Settings
    api: CometAPI
    journal: Journal
    store: KeyStore
    keys: KeyMaker
    rotator: KeyRotator
    catalog: Catalog
    pages: KeyPages
    turns: Turns
    guard: Guard
    allowance: Allowance
    audit: AuditTrail
    confirmations: Confirmations
    gate: Gate = OPEN
    """What a tool asks before it changes something; `server` puts one in for each call."""
    untold: list[int] = field(default_factory=list)
    """The creates that a call's answer tells of; `server` puts an empty list in for each call."""

    @property
    def units(self) -> Units:
        """What a quota unit is worth."""
        return self.settings.units

    @property
    def policy(self) -> Policy:
        """What agents may do."""
        return self.settings.policy

    @classmethod
    def of(
        cls,
        settings: Settings,
        transport: httpx.AsyncBaseTransport | None = None,
        gone: anyio.Event | None = None,
    ) -> App:
        """Build the parts; nothing is opened or connected yet. The arguments are those of `create_server`."""
        api = CometAPI(settings, transport=transport)
        account = account_of(settings)
        journal = Journal(settings.state, account)
        store = key_store(settings)
        turns = Turns()
        guard = Guard(settings.policy, settings.units)
        allowance = Allowance(api, journal, guard)
        keys = KeyMaker(api, journal, store, allowance, gone or anyio.Event())
        rotator = KeyRotator(api, journal, keys, allowance, turns)
        token = settings.access_token.get_secret_value() if settings.access_token else ""
        return cls(
            settings=settings,
            api=api,
            journal=journal,
            store=store,
            keys=keys,
            rotator=rotator,
            catalog=Catalog(api),
            pages=KeyPages(api),
            turns=turns,
            allowance=allowance,
            guard=guard,
            audit=AuditTrail(journal.file, settings.audit, account, [token]),
            confirmations=Confirmations(settings, journal.used_answers),
        )

    async def aclose(self) -> None:
        """Close connections and files."""
        await self.api.aclose()
        self.journal.close()


def account_of(settings: Settings) -> str:
    """What tells accounts apart in the journal. One way: the token can't be found from it."""
    token = settings.access_token.get_secret_value() if settings.access_token else ""
    return hashlib.sha256(f"{settings.base_url}\n{token}".encode()).hexdigest()[:16]
