"""`cometapi-mcp sandbox`: the sandbox as a server to point things at."""

import errno
import sys
import threading
from contextlib import suppress

import click

from comet_mcp.cli.terminal import examples
from comet_mcp.sandbox.dialects import DIALECTS
from comet_mcp.sandbox.faults import CALLS, FAULTS, Fault
from comet_mcp.sandbox.sandbox import Sandbox
from comet_mcp.text import quoted


def _fault(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[Fault]:
    try:
        return [Fault.parse(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _port(context: click.Context, parameter: click.Parameter, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65_536):
        said = f"{quoted(text)} is no port: give a number from 1 to 65535, or 0 for any free one."
        raise click.BadParameter(said, context, parameter)
    return int(text)


class _Command(click.Command):
    """Names what can be made to go wrong at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The calls and the faults, with what they are."""
        for title, named in (("Calls", CALLS), ("Faults", FAULTS)):
            with formatter.section(title):
                formatter.write_dl(list(named.items()))
        super().format_epilog(ctx, formatter)


@click.command(
    "sandbox",
    cls=_Command,
    epilog="A single request gets a fault by the header X-Sandbox-Fault: NAME[=VALUE].\n\nA chat is in flight for as "
    "many seconds as sandbox_seconds in its metadata says, and is billed for sandbox_prompt_tokens and "
    "sandbox_completion_tokens; with sandbox_upstream_status it fails.\n\n"
    + examples("cometapi-mcp sandbox --port 8080", "cometapi-mcp sandbox --fault create:reset_after"),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default="0", metavar="NUMBER", callback=_port, help="Port to listen on; else any free one.")
@click.option(
    "--dialect",
    type=click.Choice(list(DIALECTS)),
    default="documented",
    show_default=True,
    metavar="NAME",
    help=f"Whose behaviour: {', '.join(DIALECTS)}.",
)
@click.option("--rate-limits", is_flag=True, help="Apply the API's rate limits.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="ORDER",
    callback=_fault,
    help="Misbehave in the next request(s) of a call, CALL:FAULT[=VALUE][*TIMES]; may be repeated.",
)
def command(host: str, port: int, dialect: str, faults: list[Fault], *, rate_limits: bool) -> int:
    """Run a pretend CometAPI on this machine. It keeps its keys in memory.

    It prints the settings that point at it as shell lines, everything else as comments. Ctrl-C ends it.
    """
    sandbox = Sandbox(dialect, rate_limits=rate_limits)
    for fault in faults:
        sandbox.faults.order(fault)
    try:
        with sandbox.serve(host, port) as url, suppress(KeyboardInterrupt):
            _say(sandbox, url)
            threading.Event().wait()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(_unusable(host, port, error)) from None
    return 0


def _unusable(host: str, port: int, error: OSError) -> str:
    """Why an address can't be listened on, and what to do."""
    at = f"port {port} of {quoted(host)}" if port else quoted(host)
    if error.errno == errno.EADDRINUSE:
        return f"another program listens on {at} already. Give another --port, or none for any free one."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may not listen on {at}. Give a --port above 1023, or none for any free one."
    why = (error.strerror or str(error)).partition(" (while")[0]  # the rest is the address once more
    return f"{at} can't be listened on ({why}). Give a --host of this machine, such as 127.0.0.1."


def _say(sandbox: Sandbox, url: str) -> None:
    form = "$env:{}='{}'" if sys.platform == "win32" else "export {}='{}'"
    values = {
        "COMETAPI_BASE_URL": url,
        "COMETAPI_ACCESS_TOKEN": sandbox.access_token,
        "COMETAPI_USER_ID": sandbox.user_id,
    }
    click.echo(f"# A pretend CometAPI (dialect {sandbox.dialect.name}) at {url}, in memory. Ctrl-C ends it.")
    click.echo("# The settings that point cometapi-mcp at it:")
    for name, value in values.items():
        click.echo(form.format(name, value))
    click.echo("# or, in ~/.config/cometapi/config.toml:")
    for name, value in values.items():
        click.echo(f'# {name.removeprefix("COMETAPI_").lower()} = "{value}"')
    sys.stdout.flush()
