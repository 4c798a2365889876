"""`cometapi-mcp sandbox`: the sandbox as a server to point things at."""

import argparse
import errno
import sys
import threading
from contextlib import suppress

from comet_mcp.sandbox.dialects import DIALECTS
from comet_mcp.sandbox.faults import CALLS, FAULTS, Fault
from comet_mcp.sandbox.sandbox import Sandbox
from comet_mcp.text import quoted


def main(arguments: list[str]) -> int:
    """Serve until interrupted. Prints the settings for the server as shell lines, everything else as comments."""
    options = _parser().parse_args(arguments)
    sandbox = Sandbox(options.dialect, rate_limits=options.rate_limits)
    for fault in options.fault:
        sandbox.faults.order(fault)
    try:
        with sandbox.serve(options.host, options.port) as url, suppress(KeyboardInterrupt):
            _say(sandbox, url)
            threading.Event().wait()
    except OSError as error:
        print(f"cometapi-mcp sandbox: {_unusable(options.host, options.port, error)}", file=sys.stderr)
        return 1
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
    print(f"# A pretend CometAPI (dialect {sandbox.dialect.name}) at {url}, in memory. Ctrl-C ends it.")
    print("# The settings that point cometapi-mcp at it:")
    for name, value in values.items():
        print(form.format(name, value))
    print("# or, in ~/.config/cometapi/config.toml:")
    for name, value in values.items():
        print(f'# {name.removeprefix("COMETAPI_").lower()} = "{value}"')
    sys.stdout.flush()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65_536):
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is no port: give a number from 1 to 65535, or 0 for any free one"
        )
    return int(text)


def _fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cometapi-mcp sandbox",
        description="Run a pretend CometAPI on this machine. It keeps its keys in memory.",
        epilog="calls:\n"
        + "".join(f"  {name:13} {what}\n" for name, what in CALLS.items())
        + "\nfaults:\n"
        + "".join(f"  {name:17} {what}\n" for name, what in FAULTS.items())
        + "\nA single request gets a fault by the header X-Sandbox-Fault: NAME[=VALUE].\n\n"
        "A chat is in flight for as many seconds as sandbox_seconds in its metadata says, and is billed for\n"
        "sandbox_prompt_tokens and sandbox_completion_tokens; with sandbox_upstream_status it fails.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=0, help="port to listen on (any free one)")
    parser.add_argument("--dialect", choices=list(DIALECTS), default="documented", help="whose behaviour (documented)")
    parser.add_argument("--rate-limits", action="store_true", help="apply the API's rate limits")
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="CALL:FAULT[=VALUE][*TIMES]",
        help="misbehave in the next request(s) of a call, such as create:reset_after; may be repeated",
    )
    return parser
