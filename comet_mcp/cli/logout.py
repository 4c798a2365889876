"""`cometapi-mcp logout`: the access token, removed from where `login` keeps it."""

from __future__ import annotations

import click

from comet_mcp.cli.config_file import ConfigFile
from comet_mcp.cli.options import profile_option
from comet_mcp.errors import SettingsError
from comet_mcp.policy.rule import WrongValueError
from comet_mcp.settings import Settings, inherited, load
from comet_mcp.settings.kept_token import forget_token
from comet_mcp.text import quoted


@click.command("logout")
@profile_option
def command() -> None:
    """Remove the access token from this machine, from the config file and from the keychain.

    Keys that were made go on working, and their values, the journal and all other settings stay.
    """
    log_out()


def log_out() -> None:
    """Remove the token, and say what stays. Raises SettingsError: the file or the keychain can't be used."""
    settings = load()
    if settings.unknown_profile:
        raise SettingsError(settings.unknown_profile)
    file = ConfigFile(settings.config, settings.profile)
    removed = []
    if file.own.get("mcp", {}).get("access_token_in") == "keyring":
        removed += ["the system's keychain"] * _forgotten(settings)
        file.put({"access_token_in": None}, "mcp")
    if "access_token" in file.own:
        removed.append(f"the config file {quoted(str(file.path), 300)}")
        file.put({"access_token": None})
    file.write()
    whose = f"the profile {settings.profile}" if settings.profile else "the account"
    if removed:
        click.echo(f"The access token of {whose} was removed from {' and '.join(removed)}.")
        click.echo(f"API keys go on working. Their values stay in {settings.key_dir}, the journal in {settings.state}.")
    else:
        click.echo(f"There is no access token of {whose} in the config file or the keychain.")
    if not settings.profile and inherited(["COMETAPI_ACCESS_TOKEN"]).get("COMETAPI_ACCESS_TOKEN"):
        click.echo("COMETAPI_ACCESS_TOKEN is set in this environment, and holds one.")


def _forgotten(settings: Settings) -> bool:
    try:
        return forget_token(settings.config, settings.profile)
    except WrongValueError as wrong:
        raise SettingsError(f"The system's keychain {wrong}. Nothing was removed.") from None
