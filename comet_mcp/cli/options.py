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


def _refuse(context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> None:
    if words:
        raise click.UsageError(
            "The token is asked for, or read from a pipe. What stands on a command line, every program of this machine "
            "can read: if that was your token, make another.",
            context,
        )


def no_token_here(command: _F) -> _F:
    """No argument: a word that may be a token is refused, and not repeated as click does."""
    return click.argument("words", nargs=-1, metavar="", callback=_refuse, expose_value=False)(command)
