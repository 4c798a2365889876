"""`cometapi-mcp setup`: from an account to a client that makes keys, in a few questions; each has an option too."""

from __future__ import annotations

import click

from comet_mcp.cli.install import client_names
from comet_mcp.cli.options import no_token_here, profile_option
from comet_mcp.cli.setup_steps import (
    NONE,
    POLICIES,
    add_to,
    choose_policy,
    is_logged_in,
    log_in,
    make_key,
    say_what_next,
    take_back,
)
from comet_mcp.cli.terminal import can_ask, examples
from comet_mcp.clients.table import Client

_TOKEN_OPTION = "--token-stdin, with the access token on standard input"  # noqa: S105 - an option's name


@click.command(
    "setup",
    epilog=examples(
        "cometapi-mcp setup",
        "cometapi-mcp setup --token-stdin --client cursor \\",
        "    --policy personal --key blog --budget 5 \\",
        "    --lifetime 30d < token.txt",
        "cometapi-mcp setup --undo",
    ),
)
@profile_option
@no_token_here
@click.option("--token-stdin", is_flag=True, help="Read the access token from standard input.")
@click.option("--base-url", metavar="URL", help="The API's address, where it is not CometAPI's own.")
@click.option("--user-id", metavar="N", help="The account's number, which some gateways want too.")
@click.option(
    "--keychain/--file", "in_keychain", default=False, help="Where the token is kept; the file is the default."
)
@click.option(
    "--client", "clients", multiple=True, callback=client_names, metavar="NAME", help="Add the server to this client."
)
@click.option("--no-clients", is_flag=True, help="Change no client's configuration.")
@click.option("--policy", type=click.Choice([*POLICIES, NONE]), help="The policy to begin with.")
@click.option("--key", "key_name", metavar="NAME", help="Make a first key of this name, unless there is one.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), metavar="USD", help="What that key may spend.")
@click.option("--lifetime", metavar="WORDS", help='How long it lives: "30d", "until Friday".')
@click.option("--no-key", is_flag=True, help="Make no key.")
@click.option("-y", "--yes", is_flag=True, help="Take the usual answer where none is given.")
@click.option("--undo", is_flag=True, help="Take it out of clients, remove the policy's lines, and log out.")
def command(
    *,
    token_stdin: bool,
    base_url: str | None,
    user_id: str | None,
    in_keychain: bool,
    clients: list[Client],
    no_clients: bool,
    policy: str | None,
    key_name: str | None,
    budget: float | None,
    lifetime: str | None,
    no_key: bool,
    yes: bool,
    undo: bool,
) -> int:
    """Log in, add this server to clients, choose a policy to begin with, and make a first key.

    Each step is shown and asked, or answered by its option, and may be skipped. It may be run again at any time.
    """
    if undo:
        return take_back(yes=yes)
    if (clients and no_clients) or (key_name and no_key):
        raise click.UsageError("Give --client or --no-clients, and --key or --no-key, not both.")
    if not can_ask():
        missing = [] if token_stdin or is_logged_in() else [_TOKEN_OPTION]
        if not yes:
            missing += [] if clients or no_clients else ["--client NAME or --no-clients"]
            missing += [] if policy else [f"--policy {'|'.join([*POLICIES, NONE])}"]
            missing += [] if key_name or no_key else ["--key NAME or --no-key"]
        missing += ["--budget USD and --lifetime WORDS for that key"] if key_name and not (budget and lifetime) else []
        if missing:
            raise click.UsageError(f"Nobody can be asked here. Give {'; '.join(missing)}.")
    log_in(token_stdin=token_stdin, base_url=base_url, user_id=user_id, in_keychain=in_keychain, yes=yes)
    status = 0 if no_clients else add_to(clients, yes=yes)
    choose_policy(policy, yes=yes)
    if not no_key:
        make_key(key_name, budget, lifetime, yes=yes)
    say_what_next()
    return status
