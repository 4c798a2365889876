"""`cometapi-mcp keys`: the account's keys for a person, by the same tools that agents call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import click

from comet_mcp.cli import key_changes
from comet_mcp.cli.calls import Calls, with_calls
from comet_mcp.cli.key_options import KEY, as_json, which
from comet_mcp.cli.key_views import facts_of, moment, say, show_facts, show_json, show_keys
from comet_mcp.cli.terminal import Group, examples
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.selection import Order
from comet_mcp.text import printable

_PAGE = 100
"""Keys of the largest page that a list has."""
_STATES = ("works", "disabled", "expired", "used-up")
_WORKS, _DOES_NOT, _UNKNOWN = 0, 1, 3


@click.group(
    "keys",
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "cometapi-mcp keys",
        "cometapi-mcp keys --state works --sort ends",
        'cometapi-mcp keys --unused-for "30 days"',
        "cometapi-mcp keys new blog --budget 5 --lifetime 30d",
    ),
)
@click.option("--search", "keyword", metavar="TEXT", help="Those with this in the name or the masked value.")
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help=f"Those in it: {', '.join(_STATES)}.")
@click.option("--unlimited", is_flag=True, help="Those without a budget.")
@click.option("--ends-before", metavar="WORDS", help='Those that end by then: "7 days", "end of this month".')
@click.option("--unused-for", metavar="WORDS", help='Those not used for so long: "30 days"; "ever" for never.')
@click.option(
    "--sort",
    type=click.Choice(get_args(Order)),
    default="newest",
    metavar="ORDER",
    help=f"{', '.join(get_args(Order))}; else newest first.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=_PAGE, metavar="NUMBER", help=f"At most so many; else {_PAGE}."
)
@as_json
@click.pass_context
def command(context: click.Context, /, *, is_json: bool, limit: int, **filters: Any) -> int | None:
    """List the API keys of the account, newest first; make, change, replace and delete them.

    What a key may still spend is shown of what it had, and ends are in your zone. A key's value is never printed.
    """
    if context.invoked_subcommand is not None:
        given = [name for name in context.params if _is_given(context, name)]
        if given:
            option = next(param.opts[0] for param in context.command.params if param.name == given[0])
            raise click.UsageError(f"{option} is for the list. Options of a command go after its name.", context)
        return None
    state = filters.pop("state")
    wanted = {name: value for name, value in filters.items() if value}
    if state:
        wanted["state"] = state.replace("-", " ")

    async def listed(calls: Calls) -> None:
        page = await _pages(calls, wanted, limit)
        keys, notes = page["items"], [calls.said(note) for note in page.get("notes") or []]
        if is_json:
            show_json({"total": page["total"], "keys": keys, "notes": notes})
            return
        if keys:
            show_keys(keys, calls.settings.timezone, SYSTEM.now())
        say([_count(len(keys), page["total"], is_all=len(wanted) == 1), *notes])

    with_calls(listed)
    return None


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


async def _pages(calls: Calls, wanted: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The first page of a list with the keys of as many others as are wanted, each key once."""
    size = min(limit, _PAGE)
    first = page = await calls("list_api_keys", page_size=size, **wanted)
    found = {key["id"]: key for key in first["items"]}
    while len(found) < min(limit, first["total"]) and len(page["items"]) == size:
        page = await calls("list_api_keys", p=page["page"] + 1, page_size=size, **wanted)
        found |= {key["id"]: key for key in page["items"]}
    usual = dict(word.rsplit(" ", 1) for word in first["unless_said"].split(", "))
    return {**first, "items": [usual | key for key in list(found.values())[:limit]]}


def _count(shown: int, total: int, *, is_all: bool) -> str:
    """How many keys there are."""
    if not total:
        return "The account has no API keys. To make one: cometapi-mcp keys new NAME" if is_all else "No key is so."
    if shown < total:
        return f"{shown} of {total} keys. --limit {total} shows all."
    return f"{total} key{'s' * (total > 1)}."


@command.command("show")
@KEY
@as_json
def show(key: str, *, is_json: bool) -> None:
    """Show one key with all that it may do."""

    async def shown(calls: Calls) -> None:
        record = await calls("get_api_key", **which(key))
        if is_json:
            show_json(record)
        else:
            show_facts(facts_of(record, calls.settings.timezone, SYSTEM.now()))

    with_calls(shown)


@command.command("verify", short_help="Find out whether a key works.")
@KEY
@as_json
def verify(key: str, *, is_json: bool) -> int:
    """Find out whether a key works, and why not. Spends nothing.

    Exit status: 0 where it works, 1 where it does not, 3 where that can't be told.
    """

    async def verified(calls: Calls) -> int:
        verdict = await calls("verify_api_key", **which(key))
        status = {"works": _WORKS, "does not work": _DOES_NOT}.get(verdict["verdict"], _UNKNOWN)
        if is_json:
            show_json(verdict)
            return status
        zone = calls.settings.timezone
        models = ", ".join(verdict.get("models") or [])
        more = (verdict.get("models_total") or 0) - len(verdict.get("models") or [])
        facts = [
            ("key", f"{verdict['id']} {printable(verdict['name'])}"),
            ("verdict", verdict["verdict"]),
            *(("because", calls.said(reason)) for reason in verdict.get("reasons") or []),
            ("budget", verdict["budget"]),
            ("ends", moment(verdict["ends"], zone, SYSTEM.now())),
            *([("models", printable(models, 4000) + (f" and {more} more" if more > 0 else ""))] if models else []),
        ]
        show_facts(facts)
        say(calls.said(note) for note in verdict.get("notes") or [])
        return status

    return with_calls(verified)


for _change in (key_changes.new, key_changes.update, key_changes.rotate, key_changes.delete, key_changes.save):
    command.add_command(_change)
