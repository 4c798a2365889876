"""A first key, made by the tools that agents call, and therefore once however often it is asked for."""

from __future__ import annotations

from typing import Any

import click

from comet_mcp.cli.calls import Calls, with_calls
from comet_mcp.cli.people import for_people
from comet_mcp.errors import ArgumentError, PolicyError
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
        key = await calls("create_api_key", **_body(plan))
        for warning in key.get("warnings") or []:
            click.echo(for_people(warning))
        click.echo(f"The key {quoted(key['name'])} (id {key['id']}) was made: {plan['budget']}, ends {plan['ends']}.")
        secret = key.get("secret") or {}
        if path := secret.get("path"):
            click.echo(f"Its value is in {path}. A program gets it by: cometapi-mcp run {key['id']} -- PROGRAM")

    with_calls(made, yes=True)  # who gave its name and limits has been asked


def _body(plan: dict[str, Any]) -> dict[str, Any]:
    """The arguments that make it. Raises CometError where something is open or not allowed."""
    if plan.get("ask"):
        raise ArgumentError(" ".join(map(for_people, plan["ask"])))
    if plan.get("broken_rules"):
        rules = " ".join(map(for_people, plan["broken_rules"]))
        raise PolicyError(f"The policy does not allow this key, and nothing was made. {rules}")
    body: dict[str, Any] = plan["create_api_key"]
    return body
