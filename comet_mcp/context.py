"""What the tools work with: the services of one account, built once, and the context of one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from comet_mcp.api.catalog import Catalog
from comet_mcp.api.client import CometAPI
from comet_mcp.audit.trail import AuditTrail, Note
from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.concurrency import Deadline
from comet_mcp.confirmation.asking import Confirmations
from comet_mcp.confirmation.gate import OPEN, Gate
from comet_mcp.deliveries import Deliveries
from comet_mcp.domain.money import Units
from comet_mcp.errors import CometError
from comet_mcp.journal.base import Decision, Journal, Reads, Step
from comet_mcp.journal.holders import Holders
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.journal.steps import Taken, others_share, taking_share
from comet_mcp.policy.enforcer import PolicyEnforcer
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store import KeyStore, env_files, key_store
from comet_mcp.services.change_journal import ChangeJournal
from comet_mcp.services.core import Core
from comet_mcp.services.create import Creator
from comet_mcp.services.delete import Deleter
from comet_mcp.services.delivery import Delivery, Told
from comet_mcp.services.elsewhere import ElsewherePlaces
from comet_mcp.services.finding import RowFinder
from comet_mcp.services.identity import Identity
from comet_mcp.services.lease import Leases
from comet_mcp.services.listing import KeyPages
from comet_mcp.services.pace import Pace
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota
from comet_mcp.services.reconcile import Reconciler
from comet_mcp.services.replace import Replacer
from comet_mcp.services.retire import Retirer
from comet_mcp.services.rotate import Rotator
from comet_mcp.services.secrets import Secrets
from comet_mcp.services.spending_sums import SpendingSums
from comet_mcp.services.take_up import TakeUp
from comet_mcp.services.units import UnitsCheck
from comet_mcp.services.update import Changer
from comet_mcp.services.usage import UsageReader
from comet_mcp.services.verify import Verifier
from comet_mcp.settings import Settings

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running server."""

    settings: Settings
    redactor: Redactor
    clock: Clock
    api: CometAPI
    journal: Journal
    identity: Identity
    store: KeyStore
    secrets: Secrets
    catalog: Catalog
    pages: KeyPages
    quota: Quota
    units_check: UnitsCheck
    finder: RowFinder
    progress: Progress
    creator: Creator
    taker: TakeUp
    reconciler: Reconciler
    leases: Leases
    changer: Changer
    deleter: Deleter
    rotator: Rotator
    verifier: Verifier
    usage: UsageReader
    pace: Pace
    audit: AuditTrail
    confirmations: Confirmations
    deliveries: Deliveries | None
    client_disconnected: anyio.Event

    @property
    def units(self) -> Units:
        """What a quota unit is worth."""
        return self.settings.units

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = SYSTEM,
        deliveries: Deliveries | None = None,
        client_disconnected: anyio.Event | None = None,
        redactor: Redactor | None = None,
    ) -> Services:
        """Build the parts; nothing is opened or connected yet. The arguments are those of `create_server`."""
        server = token_hex(8)  # never host and process: both come again when a container is started again
        disconnected = client_disconnected or anyio.Event()
        redactor = redactor or Redactor(settings.known_secrets)
        api = CometAPI(settings, transport=transport, clock=clock)
        journal = SQLiteJournal(settings.state, clock)
        identity = Identity(settings, api, journal)
        store = key_store(settings)
        quota = Quota(journal, identity, PolicyEnforcer(settings.policy, settings.units, clock))
        core = Core(api, journal, identity, clock, server)
        secrets = Secrets(core, store, redactor, env_files(settings), ElsewherePlaces(core, settings))
        delivery = Delivery(journal, server, clock, disconnected)
        progress = Progress(core)
        finder = RowFinder(core, secrets, progress)
        creator = Creator(core, finder=finder, progress=progress, secrets=secrets, quota=quota, delivery=delivery)
        taker = TakeUp(core, creator=creator, finder=finder, progress=progress, secrets=secrets, delivery=delivery)
        reconciler = Reconciler(
            core,
            taker=taker,
            creator=creator,
            finder=finder,
            progress=progress,
            secrets=secrets,
            delivery=delivery,
        )
        changes = ChangeJournal(core, quota)
        changer = Changer(core, changes, settings.units)
        deleter = Deleter(core, changes, secrets)
        replacer = Replacer(core, progress=progress, creator=creator, taker=taker, secrets=secrets, quota=quota)
        rotator = Rotator(
            core,
            progress=progress,
            replacer=replacer,
            retirer=Retirer(core, changer, deleter, settings.units),
            deleter=deleter,
            secrets=secrets,
            quota=quota,
        )
        catalog = Catalog(api, clock, settings.units)
        sums = SpendingSums(api)
        services = cls(
            settings=settings,
            redactor=redactor,
            clock=clock,
            api=api,
            journal=journal,
            identity=identity,
            store=store,
            secrets=secrets,
            catalog=catalog,
            pages=KeyPages(api),
            quota=quota,
            units_check=UnitsCheck(settings.units, api),
            finder=finder,
            progress=progress,
            creator=creator,
            taker=taker,
            reconciler=reconciler,
            leases=Leases(core, Holders(settings.state), creator=creator, taker=taker, progress=progress),
            changer=changer,
            deleter=deleter,
            rotator=rotator,
            verifier=Verifier(api, catalog, secrets, settings.units),
            usage=UsageReader(api, clock, settings.timezone, sums),
            pace=Pace(api, clock, sums),
            audit=AuditTrail(journal, settings.audit, clock, lambda: identity.label, redactor),
            confirmations=Confirmations(settings, journal, clock, redactor),
            deliveries=deliveries,
            client_disconnected=disconnected,
        )
        services.share_calls(server)
        return services

    async def give_back_calls(self) -> None:
        """Give back the calls that were taken ahead and not made whenever they may not be made any more; for ever."""
        while True:
            await self.api.limit.share_ends()
            await self._leave_share()

    async def _leave_share(self) -> None:
        if self.api.limit.give_back():
            with suppress(CometError):  # without a journal they are nobody else's
                await self.journal.run(Step(Reads(), lambda _: Decision(None), durable=False))

    def share_calls(self, server: str) -> None:
        """Share the API's limit of calls with the other servers of this machine, through the journal."""
        url = urlsplit(self.identity.base_url)
        origin, limit = f"{url.scheme}://{url.netloc}", self.api.limit

        def taking(ahead: int) -> Step[Taken]:
            at, total, now = self.clock.monotonic(), limit.total, self.clock.of_machine()
            step = taking_share(origin, server, ahead=ahead, made=limit.counted, most=limit.most, now=now)
            # allowed by the step: what is allowed last is then what the journal has
            return replace(step, after=lambda taken: limit.allow(taken.ahead, taken.others, total=total, at=at))

        async def take(ahead: int) -> bool:
            try:
                await self.journal.run(taking(ahead))
            except CometError:
                return False  # without a journal each server minds the limit alone
            return True

        def ride() -> Step[Taken] | None:
            ahead = limit.due()
            return None if ahead is None else taking(ahead)

        async def look() -> int:
            try:
                return await self.journal.run(others_share(origin, server, self.clock.of_machine()))
            except CometError:
                return 0  # without a journal each server minds the limit alone

        if limit.most:
            limit.share(take, look)
            self.journal.add_rider(ride)

    async def hear_clock(self, deadline: Deadline) -> None:
        """Learn the API's time, if no answer has told it yet: lifetimes and leases count by it."""
        if not self.clock.was_heard:
            with suppress(CometError):  # what is asked for next says what is wrong
                await self.finder.newest.watermark(deadline.left)

    async def aclose(self) -> None:
        """Close connections and files."""
        if self.deliveries is not None:
            await self.deliveries.give_up()
        await self.audit.aclose()
        await self._leave_share()
        await self.api.aclose()
        await self.journal.aclose()


@dataclass(frozen=True, slots=True)
class Context:
    """What one call has: the services, the gate before its first write, its end, and what its answer tells of.

    `begin` puts a writing call's row into the trail; the gate does, once it lets the call pass.
    """

    app: Services
    deadline: Deadline
    gate: Gate = OPEN
    told: Told = field(default_factory=Told)
    note: Note = field(default_factory=Note)
    begin: Callable[[], Awaitable[None]] | None = None
