"""The options that commands about keys have in common, and how the words of a person become a tool's arguments."""

from __future__ import annotations

import re
from typing import Any

import click

from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.money import usd_amount
from comet_mcp.text import quoted

KEY = click.argument("key", metavar="NAME-or-ID")
as_json = click.option("--json", "is_json", is_flag=True, help="JSON, for programs.")
yes = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")


class Dollars(click.ParamType[float]):
    """An amount of US dollars, with or without the sign."""

    name = "USD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The amount. Raises BadParameter."""
        text = str(value).strip()
        sign = -1 if text.startswith("-") else 1
        amount = usd_amount(text.removeprefix("-").removeprefix("$"))
        if amount is None:
            self.fail(f"{quoted(text)} is no amount of US dollars, such as 5 or 0.50.", param, ctx)
        return sign * amount


def which(key: str) -> dict[str, Any]:
    """The arguments by which a tool knows the key: its id or its exact name."""
    return {"id": int(key)} if re.fullmatch(r"[0-9]{1,18}", key) else {"key_name": key}


def entries(texts: tuple[str, ...]) -> list[str]:
    """The entries of a list that is given in several options, or with commas in one."""
    return [entry.strip() for text in texts for entry in text.split(",") if entry.strip()]


def limits(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[str]:
    """The entries of an option that limits a key. Raises BadParameter where it is given and names nothing.

    A script's variable that is not set must not make a key without the limit.
    """
    given = entries(texts)
    if texts and not given:
        raise click.BadParameter("It names nothing. Without a limit, leave the option out.", context, parameter)
    return given


def addresses(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[str]:
    """The addresses and ranges that are given. Raises BadParameter for what is none."""
    given = limits(context, parameter, texts)
    if wrong := AddressList.of(given).wrong:
        said = f'{quoted(wrong[0])} is no IP address or range, such as "198.51.100.10" or "203.0.113.0/24".'
        raise click.BadParameter(said, context, parameter)
    return given
