"""The life of a key."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from time import time
from typing import Annotated, Any, Literal, TypeVar

import anyio
import anyio.to_thread
from pydantic import Field

from comet_mcp import questions
from comet_mcp.app import App
from comet_mcp.catalog import PATIENCE
from comet_mcp.domain.key import Key, KeySpec, Status, status_word
from comet_mcp.errors import ArgumentError, CometError, NotFoundError
from comet_mcp.keys.changing import Changed, able_to_change, change_key, delete_key, writable_body
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.newest import all_keys
from comet_mcp.keys.rotation import End, OldKey
from comet_mcp.keys.settling import Settled
from comet_mcp.keys.storing import Created
from comet_mcp.keys.verifying import verify_key
from comet_mcp.lifetimes import duration
from comet_mcp.policy.policy import Past
from comet_mcp.policy.widening import Change
from comet_mcp.results import (
    APIKey,
    CreatedKey,
    DeletedKey,
    KeyPage,
    ListedKey,
    RotatedKey,
    SavedKey,
    Secret,
    UpdatedKey,
    VerifiedKey,
    record,
    remaining,
)
from comet_mcp.rules import MAX_NAME, check_changed_key, check_new_key
from comet_mcp.secret_store import Target, mask
from comet_mcp.secret_store.base import KEY_VARIABLE
from comet_mcp.state.rotations import Rotation
from comet_mcp.units import MAX_QUOTA, NEVER, expiry, when

KeyId = Annotated[int, Field(ge=1, description="id from list_api_keys")]

_MODELS_SHOWN = 20

_T = TypeVar("_T")


async def create_api_key(
    app: App,
    *,
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="What the key is for")],
    expired_time: Annotated[int, Field(ge=NEVER, description="Unix seconds; -1 never expires")] = NEVER,
    remain_quota: Annotated[
        int, Field(ge=0, le=MAX_QUOTA, description="Budget in quota units, see plan_api_key; 0 can't call models")
    ] = 0,
    unlimited_quota: Annotated[bool, Field(description="No budget: may spend the whole balance")] = False,
    model_limits_enabled: Annotated[bool, Field(description="Allow only model_limits")] = False,
    model_limits: Annotated[str, Field(description="Model ids, comma-separated")] = "",
    allow_ips: Annotated[str | None, Field(description="IPs or CIDRs, one per line; null allows all")] = None,
    group: Annotated[str, Field(description="A group of the account")] = "",
    cross_group_retry: Annotated[bool, Field(description='Only with group "auto"')] = False,
) -> CreatedKey:
    """Create one API key and store its value where the user's programs read it; the result says where.

    Never repeat a call that ended in create_outcome_unknown before list_api_keys has settled it.
    """
    body, warnings = check_new_key(
        KeySpec(
            name=name,
            expired_time=expired_time,
            remain_quota=remain_quota,
            unlimited_quota=unlimited_quota,
            model_limits_enabled=model_limits_enabled,
            model_limits=model_limits,
            allow_ips=allow_ips,
            group=group,
            cross_group_retry=cross_group_retry,
        ),
        time(),
        app.units,
    )
    await app.allowance.require_new(body)
    if app.gate.is_unanswered:
        warnings += await app.catalog.warnings(body)  # for the question, with which this run ends
    await app.gate.require_confirmed(questions.creating(body, warnings, app.units))

    async def make() -> Created:
        created = await app.keys.create(body)
        app.untold.extend([created.intent] if created.intent is not None else [])
        return created

    # the answer must not wait for the catalog: a client that gives up then asks again
    created = await _beside_catalog(app, body, warnings, 0, make)
    stored = created.row.spec
    if broken := app.policy.check(stored, time(), app.units, Past.of(created.row)):
        warnings.append(
            f"The API stored the key otherwise than it was sent, outside the policy: {' '.join(map(str, broken))}"
        )
    return _created(app, created, warnings)


async def list_api_keys(
    app: App,
    *,
    p: Annotated[int, Field(ge=1, description="Page")] = 1,
    page_size: Annotated[int, Field(ge=1, le=100)] = 20,
    keyword: Annotated[str, Field(max_length=100, description="Part of a name, any case")] = "",
) -> KeyPage:
    """List API keys, newest first: status, expiry, what is left to spend; values are masked.

    Also settles creates whose outcome was unknown.
    """
    settled = Settled() if app.settings.read_only else await app.keys.settle()
    if keyword:
        found = [row for row in await all_keys(app.api) if keyword.casefold() in row.name.casefold()]
        rows, total = found[(p - 1) * page_size : p * page_size], len(found)
    else:
        page = await app.pages.get(p, page_size)
        rows, total = page.items, page.total
    await app.keys.recognise(settled, rows)
    for row in settled.found:
        await app.audit.settled(row.id, row.name)
    notes = settled.told
    last = max(-(-total // page_size), 1)
    if p > last and not rows:
        notes.append(f"There is no page {p}: the last one is {last}.")
    items = [ListedKey.of(row, app.units) for row in rows]
    return KeyPage(page=p, page_size=page_size, total=total, items=items, notes=notes or None)


async def get_api_key(app: App, *, id: KeyId) -> APIKey:
    """Show one API key with every field; its value is masked."""
    return APIKey.of(await app.api.get_token(id), app.units)


async def update_api_key(
    app: App,
    *,
    id: KeyId,
    name: Annotated[str | None, Field(max_length=MAX_NAME)] = None,
    expired_time: Annotated[int | None, Field(ge=NEVER)] = None,
    remain_quota: Annotated[int | None, Field(ge=0, le=MAX_QUOTA, description="What it may spend from now on")] = None,
    unlimited_quota: bool | None = None,
    model_limits_enabled: bool | None = None,
    model_limits: str | None = None,
    allow_ips: Annotated[str | None, Field(description='"" allows all')] = None,
    group: str | None = None,
    cross_group_retry: bool | None = None,
    status: Literal["enabled", "disabled"] | None = None,
    add_budget_usd: Annotated[float | None, Field(gt=0, le=1e9, description="Adds to what is left")] = None,
) -> UpdatedKey:
    """Change one API key: only what is named; null leaves a field as it is. Answers with what changed."""
    named: dict[str, Any] = {
        "name": name,
        "expired_time": expired_time,
        "remain_quota": remain_quota,
        "unlimited_quota": unlimited_quota,
        "model_limits_enabled": model_limits_enabled,
        "model_limits": model_limits,
        "allow_ips": allow_ips,
        "group": group,
        "cross_group_retry": cross_group_retry,
    }
    changes = {field: value for field, value in named.items() if value is not None}
    if remain_quota is not None and add_budget_usd is not None:
        raise ArgumentError("remain_quota and add_budget_usd both say what the key may spend. Give one of them.")
    if not changes and status is None and add_budget_usd is None:
        raise ArgumentError("Nothing to change is named. Give at least one field beside id.")
    given = frozenset(changes) | ({"add_budget_usd"} if add_budget_usd is not None else set())
    deadline = Deadline(app.settings.timeout)
    async with app.turns(id):  # calls at once must not overwrite each other
        before = await app.api.get_token(id)
        app.guard.require_own(before)
        old = writable_body(before)
        if add_budget_usd is not None:
            changes["remain_quota"] = _topped_up(app, old, unlimited_quota, add_budget_usd)
        wanted, warnings = check_changed_key(old, old.model_copy(update=changes), changes.keys(), time(), app.units)
        new_status = Status[status.upper()] if status else None
        change = Change(before, wanted, new_status, given)
        await app.allowance.require_change(change)
        if status == "enabled":
            _check_can_work(wanted)
        catalog_counts = bool(changes.keys() & {"model_limits", "model_limits_enabled", "group"})
        if catalog_counts and app.gate.is_unanswered:
            warnings += await app.catalog.warnings(wanted)  # for the question, with which this run ends
        # where budgets are limited, what the key spends meanwhile must not come on top of what was judged
        is_set = remain_quota is not None or (add_budget_usd is not None and old.unlimited_quota)
        quota_named = is_set and not app.policy.limits_budgets
        with able_to_change(app.api, deadline):  # before a person's answer is used up, and the sum counted
            await app.gate.require_confirmed(questions.updating(before, wanted, new_status, warnings, app.units))
            async with app.allowance.counted(change) as uncounted:

                async def write() -> Changed:
                    return await change_key(app.api, before, wanted, new_status, deadline, quota_named=quota_named)

                if catalog_counts:
                    changed = await _beside_catalog(app, wanted, warnings, min(PATIENCE, deadline.left), write)
                else:
                    changed = await write()
    return UpdatedKey(
        **record(changed.after, app.units),
        changed=_difference(changed.before, changed.after),
        warnings=[*warnings, *uncounted, *changed.warnings] or None,
    )


async def delete_api_key(app: App, *, id: KeyId) -> DeletedKey:
    """Delete one API key for good; programs that use it stop working. Answers with the body of an equal key."""
    deadline = Deadline(app.settings.timeout)
    try:
        row = await app.api.get_token(id)
    except NotFoundError:
        return DeletedKey(id=id, deleted=False, note=f"There is no key {id}: it is gone already, or never was.")
    app.guard.require_own(row)
    with able_to_change(app.api, deadline):  # before a person's answer is used up
        await app.gate.require_confirmed(questions.deleting(row, app.units))
        with anyio.CancelScope(shield=True):  # whoever gives up the call now must not leave the value of a dead key
            try:
                certain = await delete_key(app.api, id, deadline)
                notes = [] if certain else ["The API's answer was lost, but the key is gone."]
            except NotFoundError:
                notes = ["Somebody else deleted it at the same moment."]
            notes.append(str(await app.keys.forget(id)))
    if row.expired_time != NEVER and row.expired_time <= time():
        notes.append("It had expired: create_api_key takes the body once it has a later expired_time.")
    note = " ".join(filter(None, notes))
    return DeletedKey(id=id, deleted=True, name=row.name, recreate=_recreating(row), note=note or None)


async def rotate_api_key(
    app: App,
    *,
    id: KeyId,
    old_key: Annotated[OldKey, Field(description="How the old key ends")] = "grace",
    grace: Annotated[str, Field(max_length=40, description='How long the old one still works, "3 days"')] = "24h",
) -> RotatedKey:
    """Replace one API key by a new one with the same scope: makes it, stores its value, then ends the old one.

    Called again after a failure it goes on; it never makes a third key.
    """
    seconds = duration(grace)

    async def confirm(old: Key, begun: Rotation | None) -> None:
        await app.gate.require_confirmed(questions.rotating(old, begun, old_key, seconds, app.units))

    done = await app.rotator.rotate(id, End(old_key, int(time()) + seconds), confirm)
    old: dict[str, Any] = {"id": id, "status": "deleted" if done.old_is_known else "not known"}
    if done.old is not None and done.old_is_known:
        old |= {"status": status_word(done.old.status), "expires": expiry(done.old.expired_time)}
    return RotatedKey(
        new_key=_created(app, done.new, []),
        old_key=old,
        steps=done.steps,
        nothing_done=done.nothing_done or None,
        warnings=done.warnings or None,
    )


async def save_api_key(
    app: App,
    *,
    id: KeyId,
    file: Annotated[str, Field(description="A dotenv file in the key directory; empty makes one of its own")] = "",
    variable: Annotated[str, Field(description="Its name in the file")] = KEY_VARIABLE,
) -> SavedKey:
    """Store the value of an existing API key where the user's programs read it; the result says where."""
    target = Target(file, variable)
    if app.gate.asks:
        row = await app.api.get_token(id)
        app.guard.require_own(row)
        await anyio.to_thread.run_sync(app.store.check, target)
        await app.gate.require_confirmed(questions.saving(row, target, app.settings.secrets))
    row, saved = await app.keys.save(id, target)
    return SavedKey(id=row.id, name=row.name, key=mask(row.key), secret=Secret.of(saved))


async def verify_api_key(app: App, *, id: KeyId) -> VerifiedKey:
    """Find out whether an API key works, by asking as that key: why not, what it may still spend, which models."""
    row = await app.api.get_token(id)
    value = await app.keys.value_of(row)
    verdict = await verify_key(app.api, row, value, ask_usage=await app.keys.may_ask_usage())
    if verdict.usage is not None:  # fresher than the record
        row = row.model_copy(
            update={"remain_quota": verdict.usage.total_available, "used_quota": verdict.usage.total_used}
        )
    return VerifiedKey(
        id=row.id,
        name=row.name,
        works=not verdict.reasons,
        reasons=verdict.reasons or None,
        remaining=remaining(row, app.units),
        remain_quota=row.remain_quota,
        expires=expiry(row.expired_time),
        models=verdict.models[:_MODELS_SHOWN],
        models_total=len(verdict.models),
    )


async def _beside_catalog(
    app: App, body: KeySpec, warnings: list[str], patience: float, work: Callable[[], Awaitable[_T]]
) -> _T:
    """What `work` gives. The catalog, which may be slow, is asked beside it for what to warn of.

    It is waited for `patience` seconds once the work is done.
    """
    refused: CometError | None = None
    unknown: list[str] | None = None
    async with anyio.create_task_group() as beside:

        async def look_up() -> None:
            nonlocal unknown
            with contextlib.suppress(Exception):  # whatever is wrong with the catalog, the key's own answer counts
                unknown = await app.catalog.warnings(body)

        beside.start_soon(look_up)
        try:
            done = await work()
        except CometError as error:
            refused = error  # raised below: a task group would wrap it
        beside.cancel_scope.deadline = anyio.current_time() + (0 if refused else patience)
    if refused is not None:
        raise refused
    if unknown is None:
        unknown = ["Whether the account has these models and this group could not be checked."]
    warnings += unknown
    return done


def _created(app: App, created: Created, warnings: list[str]) -> CreatedKey:
    return CreatedKey(
        **record(created.row, app.units),
        secret=Secret.of(created.saved) if created.saved else None,
        warnings=[*warnings, *created.warnings] or None,
    )


def _topped_up(app: App, old: KeySpec, unlimited_quota: bool | None, amount: float) -> int:
    """What is left and `amount` US dollars; for a key that had no budget, the amount is its whole one."""
    units = app.units.from_usd(amount)
    if units == 0:
        raise ArgumentError(f"add_budget_usd {amount} is less than one quota unit, {app.units.usd(1)}.")
    if old.unlimited_quota if unlimited_quota is None else unlimited_quota:
        raise ArgumentError(
            "Without a budget there is nothing to add to: unlimited_quota is true. Send unlimited_quota false too, "
            "which makes the sum the key's whole budget."
        )
    left = 0 if old.unlimited_quota else old.remain_quota
    if left + units > MAX_QUOTA:
        raise ArgumentError(f"That would be more than the API allows, {app.units.usd(MAX_QUOTA)}.")
    return left + units


def _check_can_work(wanted: KeySpec) -> None:
    """Refuse to enable what has ended: the API would, and a program would be refused all the same."""
    if wanted.expired_time != NEVER and wanted.expired_time <= time():
        raise ArgumentError(
            f"The key expired at {when(wanted.expired_time)}. Give a later expired_time in the same call to enable it."
        )
    if not wanted.unlimited_quota and wanted.remain_quota == 0:
        raise ArgumentError("The key has nothing left to spend. Give add_budget_usd in the same call to enable it.")


def _recreating(row: Key) -> dict[str, Any]:
    """The create_api_key body of an equal key, without what create refuses in a key that was odd."""
    body = writable_body(row)
    return body.model_dump() | {
        "model_limits": body.model_limits if body.model_limits_enabled else "",
        # measured: 0 is 1970 in a record and never on create; a key that had ended stays one that has
        "expired_time": body.expired_time if body.expired_time > 0 or body.expired_time == NEVER else row.created_time,
        "remain_quota": max(body.remain_quota, 0),
    }


def _difference(before: Key, after: Key) -> dict[str, list[Any]]:
    """The old and the new value of each field that differs, spending aside."""
    fields = [*KeySpec.model_fields]
    found = {name: [getattr(before, name), getattr(after, name)] for name in fields}
    found["status"] = [status_word(before.status), status_word(after.status)]
    return {name: values for name, values in found.items() if values[0] != values[1]}
