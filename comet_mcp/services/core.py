"""What every service of one account works with."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.api.client import CometAPI
from comet_mcp.clock import Clock
from comet_mcp.journal.base import Journal
from comet_mcp.services.identity import Identity


@dataclass(frozen=True, slots=True)
class Core:
    """The API, the journal and the account in it, the time, and this server's random id."""

    api: CometAPI
    journal: Journal
    identity: Identity
    clock: Clock
    server: str
