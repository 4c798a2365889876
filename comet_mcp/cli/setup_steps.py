"""The steps of `cometapi-mcp setup`, and how they are taken back. Each asks what no option has answered."""

from __future__ import annotations

from shutil import which
from typing import get_args

import click

from comet_mcp.cli import beginner_policy, first_key
from comet_mcp.cli.account import Login, account_of, read_token
from comet_mcp.cli.install import found, installed, put_into, take_out_of
from comet_mcp.cli.login import said_of, show_login
from comet_mcp.cli.logout import log_out
from comet_mcp.cli.people import why
from comet_mcp.cli.tables import hung
from comet_mcp.cli.terminal import can_ask, tell
from comet_mcp.clients.start import DISTRIBUTION, Start
from comet_mcp.clients.table import BY_NAME, Client
from comet_mcp.errors import ArgumentError, PolicyError
from comet_mcp.settings import load

POLICIES: tuple[beginner_policy.Name, ...] = get_args(beginner_policy.Name)
NONE, _ALL = "none", "all"
_USUAL: beginner_policy.Name = "personal"


def is_logged_in() -> bool:
    """Whether clients find a token, which pass no variables of ours."""
    settings = load()
    is_kept = "COMETAPI_ACCESS_TOKEN" in settings.in_file or settings.is_in_keychain
    return is_kept and settings.access_token is not None


def log_in(*, token_stdin: bool, base_url: str | None, user_id: str | None, in_keychain: bool, yes: bool) -> None:
    """Log in, or show whose account it is where that was done. Raises CometError: the token is refused, or not kept."""
    _title("Account")
    if is_logged_in() and not token_stdin:
        settings = load()
        settings.require_usable()
        click.echo(said_of(settings, account_of(settings)))
        if yes or not can_ask() or not click.confirm("Log in anew?", default=False):
            return
    elif not token_stdin and not yes and not click.confirm("Log in now?", default=True):
        click.echo("Skipped. Later: cometapi-mcp login")
        return
    token = read_token(piped=token_stdin)
    login = Login.of(token, base_url=base_url, user_id=user_id, in_keychain=in_keychain)
    show_login(login, login.check())


def add_to(clients: list[Client], *, yes: bool) -> int:
    """Add this server to these clients, or to those that the person chooses. The status is 1 where one failed."""
    _title("Clients")
    there = found()
    if not clients and not there:
        click.echo("No MCP client was found. For another one: cometapi-mcp install --print")
        return 0
    if not clients and not yes:
        click.echo(hung("Found: ", ", ".join(f"{client.name} ({client.title})" for client in there)))
        clients = _asked_for(there)
    elif not clients:
        clients = there
    return put_into(clients) if clients else 0


def _asked_for(there: list[Client]) -> list[Client]:
    """The clients that the person names, of those that were found or others."""

    def parse(text: str) -> list[Client]:
        names = text.replace(",", " ").split()
        if names in ([_ALL], [NONE]):
            return there if names == [_ALL] else []
        if unknown := [name for name in names if name not in BY_NAME]:
            raise click.BadParameter(f"{unknown[0]!r} is no client that this command knows.")
        return [BY_NAME[name] for name in names]

    chosen: list[Client] = click.prompt(
        f"Add the server to which? Names, {_ALL} or {NONE}", default=_ALL, value_proc=parse, err=True
    )
    return chosen


def choose_policy(policy: str | None, *, yes: bool) -> None:
    """Write the policy of that name, or the one that the person chooses. Raises SettingsError: it can't be written."""
    _title("What agents may do")
    usual = beginner_policy.chosen() or (NONE if beginner_policy.is_any() else _USUAL)
    if policy is None and yes:
        policy = usual
    if policy is None:
        for name in POLICIES:
            click.echo(f"{name}:")
            for line in beginner_policy.words(name):
                click.echo(hung("    ", line))
        click.echo(f"{NONE}: all stays as it is")
        choice = click.Choice([*POLICIES, NONE])
        policy = click.prompt("Which one", type=choice, default=usual, show_choices=False, err=True)
    if policy == NONE:
        click.echo("Nothing was written.")
        return
    (name,) = (name for name in POLICIES if name == policy)
    stays = beginner_policy.put(name)
    click.echo(f"The policy {name} is in the config file {load().config}:")
    for line in beginner_policy.words(name):
        click.echo(hung("    ", line))
    if stays:
        click.echo(f"Lines of your own stay as they are: {', '.join(stays)}.")


def make_key(name: str | None, budget: float | None, lifetime: str | None, *, yes: bool) -> None:
    """Make a key of that name, or one that the person wants. Raises CometError: it can't be made."""
    if name is None:
        if yes or load().read_only or load().access_token is None:
            return
        _title("A first key")
        if not click.confirm("Make a key now?", default=False):
            return
        name = click.prompt("What is it for", default="first key", err=True)
    else:
        _title("A first key")
    if budget is None:
        budget = click.prompt(
            "How many US dollars may it spend", type=click.FloatRange(0, min_open=True), default=5, err=True
        )
    if lifetime is not None:
        first_key.make_key(name, budget, lifetime)
        return
    while True:
        try:
            first_key.make_key(name, budget, click.prompt("How long shall it live", default="30 days", err=True))
        except (ArgumentError, PolicyError) as error:
            click.echo(why(error), err=True)
        else:
            return


def take_back(*, yes: bool) -> int:
    """Take everything back that setup did, each as the person agrees. The status is 1 where a client's file failed."""
    if not yes and not can_ask():
        raise click.UsageError("Nobody can be asked here. Give --yes to take everything back.")
    status, clients = 0, installed()
    if clients and _agreed(f"Take the server out of {', '.join(client.title for client in clients)}?", yes=yes):
        status = take_out_of(clients)
    policy = beginner_policy.chosen()
    if policy and _agreed(f"Remove the lines of the policy {policy} from the config file?", yes=yes):
        beginner_policy.take_out()
        click.echo(f"The lines of the policy {policy} were removed.")
    if _agreed("Remove the access token from this machine?", yes=yes):
        log_out()
    return status


def say_what_next() -> None:
    """What there is to do now: a word to the assistant, and where this command is if no shell finds it."""
    click.echo("\nAll of it may be run again; cometapi-mcp setup --undo takes it back.")
    if which(DISTRIBUTION) is None:
        tell(f"No shell finds {DISTRIBUTION} by its name yet: it is {Start.of_this({}).command}")
    if installed():
        tell('Now ask your assistant: "Make me a key for the blog summariser: five dollars, thirty days."')


def _agreed(question: str, *, yes: bool) -> bool:
    return yes or click.confirm(question, default=False, err=True)


def _title(text: str) -> None:
    click.echo(f"\n{text}")
