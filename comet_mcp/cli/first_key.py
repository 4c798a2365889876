"""A first key, made by the tools that agents call, and once however often it is asked for."""

from __future__ import annotations

import click

from comet_mcp.cli.calls import Calls, with_calls
from comet_mcp.cli.key_changes import body_of
from comet_mcp.cli.key_views import say, where
from comet_mcp.text import quoted


def make_key(name: str, budget: float, lifetime: str) -> None:
    """Make a key of that name unless the account has one, and say where its value is.

    Args:
        name: What it is for.
        budget: US dollars that it may spend.
        lifetime: Until when, in a person's words.

    Raises:
        CometError: It can't be made, or the policy does not allow it.
    """

    async def made(calls: Calls) -> None:
        listed = await calls("list_api_keys", keyword=name[:100])
        if found := [key for key in listed["items"] if key["name"] == name]:
            click.echo(f"The account has a key {quoted(name)} (id {found[0]['id']}). None was made.")
            return
        plan = await calls("plan_api_key", name=name, budget_usd=budget, lifetime=lifetime)
        key = await calls("create_api_key", **body_of(calls, plan))
        say(calls.said(warning) for warning in key.get("warnings") or [])
        ends = calls.said(plan["ends"])
        done = f"The key {quoted(key['name'])} (id {key['id']}) was made: {plan['budget']}, ends {ends}."
        for line in (done, *where(key.get("secret"), key["name"])):
            click.echo(line)

    with_calls(made, yes=True)  # who gave its name and limits has been asked
