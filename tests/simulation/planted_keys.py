"""Bugs of limits, of keys in use, of rotation, time, stores and the trail."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from comet_mcp.errors import UnclearError, UnsentError
from tests.simulation.patches import Make, Planted, attribute, constant, coroutine, gives, in_steps, named, sync

# -- limits ------------------------------------------------------------------------------------------------------------


def _own_spending_only(original: Any, db: Any, reads: Any) -> Any:
    rows = original(db, reads)
    rows.spending = type(rows.spending)()
    return rows


def _for_ever(original: Any) -> Any:
    def counted(self: Any) -> Any:
        calls = sum(one.calls for one in original.fget(self))
        return [named("api.rate_limit", "Counted")(calls, 1e6)] if calls else []

    return property(counted)


LIMITS = (
    Planted(
        "limits",
        "what was given out is not read in the step that counts",
        (("journal.tables:read", sync(_own_spending_only)),),
    ),
    Planted("limits", "a budget that is added is not summed up", (("domain.change:KeyChange.added", attribute(0)),)),
    Planted(
        "limits",
        "calls that a dead server took stay taken",
        (("api.rate_limit:SHARE_HOLDS", constant(1e6)), ("api.rate_limit:RateLimit.counted", _for_ever)),
    ),
    Planted("limits", "each server minds the limit of calls alone", (("context:Services.share_calls", gives(None)),)),
    Planted(
        "limits",
        "keys without the prefix may be changed",
        (("policy.enforcer:PolicyEnforcer.require_own", gives(None)),),
    ),
)

# -- keys in use -------------------------------------------------------------------------------------------------------


def _enabled(original: Any, self: Any, row: Any, *args: Any, **options: Any) -> Any:
    return original(self, row if options.get("status_only") else row.model_copy(update={"status": 1}), *args, **options)


def _drops(**fields: Any) -> Make:
    def make(original: Any) -> Any:
        def update(self: Any, row: Any, *args: Any, **options: Any) -> Any:
            return original(self, row.model_copy(update=fields), *args, **options)

        return update

    return make


@contextlib.asynccontextmanager
async def _not_held(_self: Any, key_id: int, *_: Any) -> Any:
    yield named("services.change_journal", "Hold")(key_id)


async def _settles_nothing(_: Any, _self: Any, _hold: Any, row: Any, _deadline: Any) -> Any:
    return row, []


def _total_of(original: Any, base: Any, row: Any, total: Any) -> Any:
    del total
    return original(base, row, None)


async def _lost_is_unsent(original: Any, *args: Any, **options: Any) -> Any:
    try:
        return await original(*args, **options)
    except UnclearError as error:
        raise UnsentError(error.args[0]) from None


async def _delete_at_once(_: Any, api: Any, row: Any, deadline: Any) -> bool:
    await api.delete_token(row.id, seconds=deadline.left * 0.6)
    return True


UPDATES = (
    Planted(
        "updates",
        "a change whose answer was lost counts as not sent",
        (("api.client:CometAPI.update_token", coroutine(_lost_is_unsent)),),
    ),
    Planted(
        "updates",
        "a refused delete is believed without a look",
        (("services.delete:delete_key", coroutine(_delete_at_once)),),
    ),
    Planted(
        "updates",
        "an earlier change that was settled is not told where the new one fails",
        (("services.lost_changes:telling_first", lambda _: lambda _done: contextlib.nullcontext()),),
    ),
    Planted("updates", "a full write enables the key", (("api.client:CometAPI.update_token", sync(_enabled)),)),
    Planted(
        "updates",
        "a full write leaves the addresses out",
        (("api.client:CometAPI.update_token", _drops(allow_ips="")),),
    ),
    Planted(
        "updates",
        "a full write sets the end to never",
        (("api.client:CometAPI.update_token", _drops(expired_time=-1)),),
    ),
    Planted(
        "updates", "fields that this version does not know are not kept", (("domain.key:Key.extra", attribute({})),)
    ),
    Planted(
        "updates",
        "two servers change a key at once",
        (("services.change_journal:ChangeJournal.holding", lambda _: _not_held),),
    ),
    Planted(
        "quota", "the quota that was read is written back", (("services.key_writer:_with_total", sync(_total_of)),)
    ),
    Planted(
        "quota",
        "nothing is corrected, and the errors add up",
        (
            ("services.hold:Hold.meant", gives(None)),
            ("services.key_writer:_CORRECTIONS", constant(0)),
            ("services.update:Changer._drift", gives([])),
        ),
    ),
    Planted(
        "quota",
        "a change that was left open is not settled",
        (("services.update:Changer.settle_open", coroutine(_settles_nothing)),),
    ),
    Planted(
        "quota",
        "what a lost change has undone is not made again",
        (("services.lost_changes:LostChanges._has_undone", gives(False)),),
    ),
)

# -- rotation ----------------------------------------------------------------------------------------------------------


def _half(original: Any, row: Any) -> Any:
    spec = original(row)
    return spec.model_copy(update={"model_limits_enabled": False})


ROTATION = (
    Planted(
        "rotation",
        "a rotation that was begun is not found again",
        (("journal.operations:Operation.is_open_rotation", attribute(value=False)),),
    ),
    Planted("rotation", "the new key has no model limits", (("services.replace:writable_spec", sync(_half)),)),
)

# -- time, stores, trail -----------------------------------------------------------------------------------------------


async def _no_time(original: Any, call: Any, go_on: Any) -> Any:
    del original
    return await go_on(call)


def _saves_nothing(original: Any, self: Any, *args: Any) -> Any:
    saved = original(self, *args)
    if saved.path:
        Path(saved.path).unlink()
    return saved


def _saves_last(original: Any, self: Any, *args: Any) -> Any:
    key_id, name, key, target = args
    last = vars(self).setdefault("last", key)
    self.last = key
    return original(self, key_id, name, last, target)


def _finds_any(_: Any, self: Any, key_id: int) -> Any:
    del key_id
    for path in sorted(self.directory.glob("*.env")):
        return SecretStr(path.read_text().splitlines()[-1].partition("=")[2])
    return None


def _first_page(original: Any) -> Any:
    async def pages(*args: Any, **options: Any) -> Any:
        async for page in original(*args, **options):
            yield page
            return

    return pages


async def _no_row(original: Any, self: Any, tool: str, *args: Any) -> Any:
    return None if tool == "update_api_key" else await original(self, tool, *args)


def _any_mask(original: Any, value: Any, row: Any) -> bool:
    del original, value, row
    return True


REST = (
    Planted("time", "the API's time is not heard", (("clock:Clock.hear", gives(None)),)),
    Planted(
        "time",
        "a call has no end",
        (
            ("pipeline:WRITING", in_steps("in_time", coroutine(_no_time))),
            ("pipeline:READING", in_steps("in_time", coroutine(_no_time))),
            ("concurrency:Deadline.left", attribute(60.0)),
            ("concurrency:Deadline.passed", attribute(value=False)),
        ),
    ),
    Planted(
        "stores",
        "a value is told as stored and is not",
        (("secret_store.files:FileStore.save", sync(_saves_nothing)),),
    ),
    Planted(
        "stores", "the value of the key before is stored", (("secret_store.files:FileStore.save", sync(_saves_last)),)
    ),
    Planted(
        "stores",
        "any key's stored value will do",
        (("secret_store.files:FileStore.find", sync(_finds_any)), ("services.secrets:fits", sync(_any_mask))),
    ),
    Planted("lists", "only the first page is looked through", (("services.listing:pages", _first_page),)),
    Planted("stores", "a stored value is revealed once more", (("secret_store.files:FileStore.find", gives(None)),)),
    Planted("trail", "changes are not in the trail", (("audit.trail:AuditTrail.begin", coroutine(_no_row)),)),
    Planted("trail", "a journal that was deleted is made anew", (("journal.sqlite:_identity", gives((1, 1))),)),
)
