"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from comet_mcp.cli.beginning import use_profile
from comet_mcp.settings import PROFILE_NAME

_F = TypeVar("_F", bound=Callable[..., Any])


def _use(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
    if name is None:
        return
    if not PROFILE_NAME.fullmatch(name):
        raise click.BadParameter("a profile's name has up to 40 letters, digits, - and _.", context, parameter)
    use_profile(name)


def profile_option(command: _F) -> _F:
    """`--profile NAME`: the account of that name in the config file, for this run."""
    option = click.option(
        "--profile",
        metavar="NAME",
        expose_value=False,
        is_eager=True,
        callback=_use,
        help="The account in the [profiles.NAME] table of the config file.",
    )
    return option(command)
