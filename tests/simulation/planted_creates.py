"""Bugs of identity, of whose row it is, of what became of a create, of who was told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from comet_mcp.errors import UnclearError, UnsentError
from tests.simulation.patches import Make, Planted, constant, coroutine, gives, named, sync

# -- identity ----------------------------------------------------------------------------------------------------------


async def _account_of_token(_: Any, self: Any) -> str:
    return str(self.alias)


def _without_path(original: Any, url: str) -> str:
    return str(original("/".join(url.split("/")[:3])))


IDENTITY = (
    Planted(
        "identity",
        "an account is its access token",
        (("services.identity:Identity.account", coroutine(_account_of_token)),),
    ),
    Planted(
        "identity",
        "an account is its address as it is spelled",
        (("services.identity:api_identity", lambda _: lambda url: url),),
    ),
    Planted(
        "identity",
        "two gateways of one host are one account",
        (("services.identity:api_identity", sync(_without_path)),),
    ),
    Planted(
        "identity",
        "a stored value is used without a look at the record's mask",
        (("services.secrets:fits", gives(value=True)),),
    ),
    Planted("identity", "a server that is started again has the same id", (("context:token_hex", gives("a server")),)),
    Planted(
        "identity",
        "the files of two gateways of one host lie in one directory",
        (("secret_store.names:api_identity", sync(_without_path)),),
    ),
)

# -- matching ----------------------------------------------------------------------------------------------------------


def _match_unclaimed(original: Any, operation: Any, rows: Any, _claimed: Any, others: Any, now: float) -> Any:
    return original(operation, rows, set(), others, now)


def _differ_but_for(*ignored: str) -> Make:
    def make(original: Any) -> Any:
        def differences(spec: Any, row: Any, **options: Any) -> list[str]:
            return [said for said in original(spec, row, **options) if not said.startswith(ignored)]

        return differences

    return make


def _namesakes_too(original: Any, spec: Any, row: Any, **options: Any) -> Any:
    if options and row.name.strip().casefold() == spec.name.strip().casefold():
        return []
    return original(spec, row, **options)


def _all_rows(_: Any, _self: Any, rows: Any) -> Any:
    return list(rows)


def _without_old(original: Any, operation: Any, rows: Any) -> Any:
    return original(replace(operation, old=None), rows)


async def _named_is_ours(original: Any, self: Any, operation: Any, answer: Any, deadline: Any) -> Any:
    if answer is not None and answer.id is not None:
        row = await self._api.get_token(answer.id, seconds=deadline.left)
        return [row.model_copy(update=operation.spec.model_dump() | {"allow_ips": operation.spec.allow_ips or ""})]
    return await original(self, operation, answer, deadline)


MATCHING = (
    Planted("matching", "a claimed row is taken once more", (("services.matching:match", sync(_match_unclaimed)),)),
    Planted(
        "matching",
        "a row of the same name is ours, whatever else it is",
        (("services.matching:differences", sync(_namesakes_too)),),
    ),
    Planted(
        "matching",
        "budgets are not compared",
        (("services.matching:differences", _differ_but_for("remain_quota", "unlimited_quota")),),
    ),
    Planted(
        "matching",
        "rows from before the create are ours as well",
        (("journal.operations:Watermark.above", sync(_all_rows)),),
    ),
    Planted(
        "matching",
        "the key that is replaced is taken for the new one",
        (
            ("services.matching:equal_rows", sync(_without_old)),
            ("journal.operations:Watermark.above", sync(_all_rows)),
        ),
    ),
    Planted(
        "matching",
        "the id in a create's answer is believed",
        (
            ("services.finding:RowFinder._rows", coroutine(_named_is_ours)),
            ("journal.operations:Watermark.above", sync(_all_rows)),
            ("services.matching:match", sync(_match_unclaimed)),
        ),
    ),
)

# -- what became of a create -------------------------------------------------------------------------------------------


async def _sent_again(original: Any, self: Any, *args: Any, **options: Any) -> Any:
    try:
        return await original(self, *args, **options)
    except UnclearError:
        return await original(self, *args, **options)


async def _lost_is_unsent(original: Any, self: Any, *args: Any, **options: Any) -> Any:
    try:
        return await original(self, *args, **options)
    except UnclearError as error:
        raise UnsentError(error.args[0]) from None


async def _never(*_args: Any, **_options: Any) -> None:
    return None


async def _no(*_args: Any, **_options: Any) -> bool:
    return False


async def _nothing_open(_: Any, _self: Any, *_args: Any) -> Any:
    return named("services.reconcile", "Reconciled")()


RECONCILIATION = (
    Planted(
        "reconciliation",
        "a create whose answer was lost is sent again",
        (("api.client:CometAPI.create_token", coroutine(_sent_again)),),
    ),
    Planted(
        "reconciliation",
        "a lost answer counts as not sent",
        (("api.client:CometAPI.create_token", coroutine(_lost_is_unsent)),),
    ),
    Planted(
        "reconciliation",
        "a refusal is believed without a look",
        (("services.create:Creator._may_be_made", coroutine(_no)),),
    ),
    Planted(
        "reconciliation",
        "an equal create does not take up what is open",
        (("services.create:is_open_equal", gives(value=False)),),
    ),
    Planted(
        "reconciliation", "a list settles nothing", (("services.reconcile:Reconciler.all", coroutine(_nothing_open)),)
    ),
    Planted(
        "reconciliation",
        "what is abandoned is forgotten",
        (
            ("services.reconcile:Reconciler.late", coroutine(_never)),
            ("journal.operations:Operation.is_recognisable", gives(value=False)),
        ),
    ),
    Planted("reconciliation", "a create is abandoned at once", (("services.take_up:ABANDON_AFTER", constant(0.5)),)),
    Planted(
        "reconciliation",
        "another's operation is taken up while it is at work",
        (("journal.operations:Operation.is_held", gives(value=False)),),
    ),
)

# -- delivery ----------------------------------------------------------------------------------------------------------


def _expect_nothing(_: Any, _self: Any, _id: Any, finish: Any) -> None:
    _tasks.append(asyncio.get_running_loop().create_task(finish(True)))


_tasks: list[Any] = []


def _acknowledges_nothing(original: Any, _told: Any) -> Any:
    return original(named("services.delivery", "Told")())


def _released_as_told(_: Any) -> Any:
    return named("services.delivery", "acknowledging")


DELIVERY = (
    Planted(
        "delivery",
        "an answer counts as read before it is written",
        (("deliveries:Deliveries.expect", sync(_expect_nothing)),),
    ),
    Planted(
        "delivery", "an answer that was read is not noted", (("pipeline:acknowledging", sync(_acknowledges_nothing)),)
    ),
    Planted("delivery", "an answer that nobody reads counts as read", (("pipeline:released", _released_as_told),)),
)
