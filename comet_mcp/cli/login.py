"""`cometapi-mcp login`: an account's access token, asked for without an echo, checked, and kept for the server."""

from __future__ import annotations

import click

from comet_mcp.api.models import Account
from comet_mcp.cli.account import Login, host_of, read_token
from comet_mcp.cli.options import no_token_here, profile_option
from comet_mcp.cli.terminal import examples
from comet_mcp.settings import ACCOUNT, PUBLIC_API, Settings, inherited, load
from comet_mcp.text import printable, quoted


@click.command(
    "login",
    epilog=examples(
        "cometapi-mcp login                  asks for the token",
        "cometapi-mcp login --profile work   a second account",
        "cometapi-mcp login < token.txt      without a terminal",
    ),
)
@profile_option
@no_token_here
@click.option("--base-url", metavar="URL", help="The API's address, where it is not CometAPI's own.")
@click.option("--user-id", metavar="N", help="The account's number, which some gateways want too.")
@click.option(
    "--keychain/--file",
    "in_keychain",
    default=False,
    help="Where the token is kept: the system's keychain, or the config file, the official cli's too (default).",
)
@click.option("--no-check", is_flag=True, help="Keep the token without asking the API whose it is.")
def command(*, base_url: str | None, user_id: str | None, in_keychain: bool, no_check: bool) -> None:
    """Keep an account's access token for this server.

    It is asked for without an echo, or read from a pipe; checked with one call; and kept for you alone.
    """
    now = load()
    if base_url is None and now.base_url != PUBLIC_API:
        source = now.sources.get("COMETAPI_BASE_URL", "the settings")
        click.echo(f"The token goes to {host_of(now)}, by {source}; --base-url names another.", err=True)
    login = Login.of(read_token(), base_url=base_url, user_id=user_id, in_keychain=in_keychain)
    show_login(login, None if no_check else login.check())


def show_login(login: Login, account: Account | None) -> None:
    """Keep the token, and say whose account it is and where it is kept. Raises SettingsError."""
    place = login.keep()
    if account is not None:
        click.echo(said_of(login.settings, account))
    click.echo(f"The token is in {place}.")
    if not login.settings.profile:
        for variable in [name for name, text in inherited(ACCOUNT).items() if text]:
            click.echo(f"{variable} is set in this environment too, and is what a server started here takes.")


def said_of(settings: Settings, account: Account) -> str:
    """Whose account it is, and what is left in it."""
    name = quoted(printable(account.username, 100)) if account.username else "The account"
    number = f" (number {account.id})" if account.id else ""
    balance = f": {settings.units.usd(account.quota)} left" if account.id or account.username else ""
    profile = f", the profile {settings.profile}" if settings.profile else ""
    return f"{name}{number} at {host_of(settings)}{balance}{profile}."
