"""The commands that change a key. Each asks before it takes something away or lets more be spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from comet_mcp.cli import key_views
from comet_mcp.cli.calls import Calls, with_calls
from comet_mcp.cli.key_options import KEY, Dollars, addresses, as_json, limits, which, yes
from comet_mcp.cli.key_views import say, show_facts, show_json, where
from comet_mcp.cli.terminal import can_ask, examples
from comet_mcp.errors import ArgumentError, PolicyError
from comet_mcp.text import printable, quoted

_FRIENDLY = ("name", "status")
"""What of a key is changed unasked where nothing is taken away: it can be changed back."""


@click.command(
    "new",
    short_help="Make a key.",
    epilog=examples(
        "cometapi-mcp keys new blog --budget 5 --lifetime 30d",
        "cometapi-mcp keys new ci --budget 2 --lifetime 2h \\",
        "    --models 'gpt 4.1 mini'",
    ),
)
@click.argument("name")
@click.option("--lifetime", default="", metavar="WORDS", help='"2h", "until Friday", "2027-09-03", "never".')
@click.option("--budget", type=Dollars(), help="What it may spend, in US dollars.")
@click.option("--unlimited", is_flag=True, help="Without a budget: it may spend the whole balance.")
@click.option(
    "--models", multiple=True, metavar="NAME", callback=limits, help="Only these models, in your words; else all."
)
@click.option(
    "--ips",
    multiple=True,
    metavar="ADDRESS",
    callback=addresses,
    help="Only from these addresses or ranges; else from all.",
)
@click.option("--group", default="", help="A group of the account.")
@yes
@as_json
def new(*, name: str, yes: bool, is_json: bool, **given: Any) -> None:
    """Make a key. It is shown as it will be, and made once you say yes.

    Its value is stored for your programs, never printed. What is not given and needed is asked for.
    """
    lifetime, budget, unlimited = given["lifetime"], given["budget"], given["unlimited"]
    if budget is not None and unlimited:
        raise click.UsageError("Give --budget or --unlimited, not both.")
    if can_ask():
        lifetime = lifetime or click.prompt('How long shall it live ("30 days", "until Friday")', err=True)
        if budget is None and not unlimited:
            budget = click.prompt("How many US dollars may it spend", type=Dollars(), err=True)

    async def made(calls: Calls) -> None:
        calls.require("create_api_key")
        plan = await calls(
            "plan_api_key",
            name=name,
            lifetime=lifetime,
            budget_usd=budget,
            unlimited=unlimited,
            models=given["models"],
            ips=given["ips"],
            group=given["group"],
        )
        body = body_of(calls, plan)
        say(calls.said(text) for text in (*(plan.get("understood") or []), *(plan.get("warnings") or [])))
        show_facts(_planned(body, plan | {"ends": calls.said(plan["ends"])}), aside=True)
        calls.ask("Make this key?")
        key = await calls("create_api_key", **body)
        if is_json:
            show_json(key)
            return
        known = plan.get("warnings") or []
        say(calls.said(warning) for warning in key.get("warnings") or [] if warning not in known)
        _done(f"Key {key['id']} {quoted(key['name'])} was made.", *where(key.get("secret"), key["name"]))

    with_calls(made, yes=yes, asks=True)


def body_of(calls: Calls, plan: dict[str, Any]) -> dict[str, Any]:
    """The body of the key to be made. Raises CometError where something is open, or the policy is against it."""
    if plan.get("ask"):
        raise ArgumentError(" ".join(calls.said(text) for text in plan["ask"]))
    if plan.get("broken_rules"):
        rules = " ".join(calls.said(rule) for rule in plan["broken_rules"])
        raise PolicyError(f"The policy does not allow this key, and nothing was made. {rules}")
    body: dict[str, Any] = plan["create_api_key"]
    return body


def _planned(body: dict[str, Any], plan: dict[str, Any]) -> list[tuple[str, str]]:
    """The key that would be made, in words."""
    addresses = ", ".join((body.get("allow_ips") or "").split())
    return [
        ("name", printable(body["name"])),
        ("budget", plan["budget"]),
        ("ends", plan["ends"]),
        ("models", printable(body["model_limits"].replace(",", ", "), 4000) or "any"),
        ("addresses", printable(addresses, 4000) or "any"),
        *([("group", printable(body["group"]))] if body["group"] else []),
    ]


@click.command(
    "update",
    short_help="Change, disable, enable or top up a key.",
    epilog=examples(
        "cometapi-mcp keys update blog --add-budget 2",
        'cometapi-mcp keys update 7 --lifetime "30 days"',
        "cometapi-mcp keys update blog --disable",
    ),
)
@KEY
@click.option("--name", metavar="TEXT", help="A new name.")
@click.option("--lifetime", metavar="WORDS", help='A new end: "30 days", "until Friday", "never".')
@click.option("--budget", type=Dollars(), help="What it may still spend, in US dollars.")
@click.option("--add-budget", type=Dollars(), help="Adds to that; a negative amount takes off.")
@click.option("--unlimited", is_flag=True, help="Without a budget.")
@click.option("--models", multiple=True, metavar="ID", callback=limits, help="Only these models.")
@click.option("--all-models", is_flag=True, help="Every model.")
@click.option("--ips", multiple=True, metavar="ADDRESS", callback=addresses, help="Only from these addresses.")
@click.option("--all-ips", is_flag=True, help="From every address.")
@click.option("--group", help="Another group of the account.")
@click.option("--disable", "status", flag_value="disabled", help="It stops working until it is enabled.")
@click.option("--enable", "status", flag_value="enabled", help="It works again.")
@yes
@as_json
def update(key: str, *, yes: bool, is_json: bool, **given: Any) -> None:
    """Change a key. What is not given stays as it is."""
    fields = _fields(given)
    if not fields:
        raise click.UsageError("Nothing to change is given.")
    asks = fields.get("status") == "disabled" or any(name not in _FRIENDLY for name in fields)

    async def updated(calls: Calls) -> None:
        done = await calls("update_api_key", **which(key), **fields)
        if is_json:
            show_json(done)
            return
        say(calls.said(warning) for warning in done.get("warnings") or [])
        _done(
            f"Key {done['id']} {quoted(done['name'])} was changed." if done["changed"] else "Nothing was to be changed."
        )
        if done["changed"]:
            show_facts((name, printable(calls.said(text), 4000)) for name, text in done["changed"].items())

    with_calls(updated, yes=yes, asks=asks)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of update_api_key for the options. Raises UsageError for two that contradict each other."""
    for one, other in (("models", "all_models"), ("ips", "all_ips"), ("budget", "unlimited")):
        if given[one] and given[other]:
            raise click.UsageError(f"Give --{one} or --{other.replace('_', '-')}, not both.")
    models, ips = given["models"], given["ips"]
    fields = {
        "name": given["name"],
        "lifetime": given["lifetime"],
        "budget_usd": given["budget"],
        "add_budget_usd": given["add_budget"],
        "unlimited_quota": given["unlimited"] or None,
        "model_limits": ",".join(models) if models or given["all_models"] else None,
        "model_limits_enabled": bool(models) if models or given["all_models"] else None,
        "allow_ips": "\n".join(ips) if ips or given["all_ips"] else None,
        "group": given["group"],
        "status": given["status"],
    }
    return {name: value for name, value in fields.items() if value is not None}


@click.command("rotate", short_help="Replace a key by a new one.")
@KEY
@click.option(
    "--old",
    type=click.Choice(["grace", "disable", "delete"]),
    default="grace",
    show_default=True,
    help="How the old key ends; a leaked one: delete.",
)
@click.option("--grace", default="24h", show_default=True, metavar="WORDS", help="How long the old one still works.")
@yes
@as_json
def rotate(key: str, old: str, grace: str, *, yes: bool, is_json: bool) -> int:
    """Replace a key, such as a leaked one: a new one of the same scope is made and stored, and the old one ends.

    The status is 1 where something of that is left to do, which the warnings say.
    """

    async def rotated(calls: Calls) -> int:
        done = await calls("rotate_api_key", **which(key), old_key=old, grace=grace)
        status = int(bool(done.get("unfinished")))
        if is_json:
            show_json(done)
            return status
        fresh = done["new_key"]
        say(calls.said(text) for text in (*(done.get("warnings") or []), *(fresh.get("warnings") or [])))
        _done(*(calls.said(step) for step in done["steps"]))
        _done(*where(fresh.get("secret"), fresh["name"]))
        return status

    return with_calls(rotated, yes=yes, asks=True)


@click.command("delete", short_help="Delete a key for good.")
@KEY
@yes
@as_json
def delete(key: str, *, yes: bool, is_json: bool) -> None:
    """Delete a key for good; programs that use it stop working.

    To stop one for a while: cometapi-mcp keys update NAME-or-ID --disable
    """

    async def deleted(calls: Calls) -> None:
        done = await calls("delete_api_key", **which(key))
        if is_json:
            show_json(done)
            return
        _done(*key_views.deleted(done, calls.said))

    with_calls(deleted, yes=yes, asks=True)


@click.command(
    "save",
    short_help="Store a key's value for your programs.",
    epilog=examples("cometapi-mcp keys save blog", "cometapi-mcp keys save blog --file ~/shop/.env"),
)
@KEY
@click.option("--file", default="", metavar="FILE", help="A program's dotenv file; else one of the key's own.")
@click.option("--as", "variable", metavar="VARIABLE", help="Its name in the file, ending in _KEY or _TOKEN.")
@yes
@as_json
def save(key: str, file: str, variable: str | None, *, yes: bool, is_json: bool) -> None:
    """Store the value of a key where your programs read it. It is not printed."""
    path = Path(file).expanduser()
    full = str(path.parent.resolve() / path.name) if file else ""

    async def saved(calls: Calls) -> None:
        done = await calls("save_api_key", **which(key), file=full, variable=variable)
        if is_json:
            show_json(done)
            return
        say(calls.said(warning) for warning in done.get("warnings") or [])
        _done(f"Key {done['id']} {quoted(done['name'])}:", *where(done["secret"], done["name"]))

    with_calls(saved, yes=yes)


def _done(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line, 2000))
