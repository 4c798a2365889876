"""The command line. Serving is the hot path: it imports nothing that only the other commands need."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper

from comet_mcp import __version__

HELP = """\
usage: cometapi-mcp [COMMAND]

An MCP server that lets an AI agent make and manage scoped CometAPI keys.

commands:
  (none)     serve over stdio; an MCP client starts it so
  demo       show the main job, end to end, without an account or a network
  install    add this server to MCP clients (cometapi-mcp install --help)
  uninstall  take it out again
  run        run a program with a key in its environment (cometapi-mcp run --help)
  save       put a key into the .env file of a program (cometapi-mcp save --help)
  policy     show what agents may do, or judge a key (cometapi-mcp policy --help)
  audit      show, verify or prune the audit trail (cometapi-mcp audit --help)
  sandbox    run a pretend CometAPI on this machine (cometapi-mcp sandbox --help)

options:
  --version  print the version
  --help     print this

Settings come from COMETAPI_... environment variables and ~/.config/cometapi/config.toml; README.md lists them.
"""

BY_HAND = """\
cometapi-mcp {version}: an MCP server. It is waiting for an MCP client on standard input, and you are in a terminal.

  To see what it does:   cometapi-mcp demo
  To use it:             add it to an MCP client (Claude Desktop, Cursor, VS Code, ...) as the command "cometapi-mcp"
  To leave:              Ctrl-C or Ctrl-D
"""


COMMANDS = ("demo", "install", "uninstall", "run", "save", "policy", "audit", "sandbox")
"""The modules of comet_mcp.cli, each with a main of its own."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends no command
    if not arguments:
        return serve()
    name, rest = arguments[0], arguments[1:]
    if name in COMMANDS:
        command: Callable[[list[str]], int] = import_module(f"comet_mcp.cli.{name}").main
        return command(rest)
    if arguments in (["--version"], ["-V"]):
        print(f"cometapi-mcp {__version__}")
        return 0
    if arguments in (["--help"], ["-h"], ["help"]):
        print(HELP, end="")
        return 0
    said = f"unknown: {' '.join(map(ascii, arguments))}. The commands are {', '.join(COMMANDS)}; without one it serves."
    print(f"cometapi-mcp: {said}\n\n{HELP}", end="", file=sys.stderr)
    return 2


def serve() -> int:
    """Serve one client over stdio until it closes its end, or a signal comes."""
    gc.disable()  # collections while modules load find nothing; freeze() then keeps them out of every later one
    from pydantic import BaseModel  # noqa: PLC0415 - --version and --help need none of these

    # the SDK has some 500 models, for every message of every version of the protocol; built where one is used
    BaseModel.model_config["defer_build"] = True

    import anyio  # noqa: PLC0415

    from comet_mcp import settings as configuration  # noqa: PLC0415
    from comet_mcp.deliveries import Deliveries  # noqa: PLC0415
    from comet_mcp.redaction import Redactor  # noqa: PLC0415
    from comet_mcp.server import create_server  # noqa: PLC0415
    from comet_mcp.transports.stdio import Ending, stdio_streams  # noqa: PLC0415

    settings = configuration.load()
    redactor = Redactor(settings.known_secrets)
    sys.stderr = redactor.stream(sys.stderr)
    # only our own messages below WARNING: httpx and the SDK would log URLs and payloads
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("comet_mcp").setLevel(settings.log)
    for problem in dict.fromkeys((*settings.problems, *settings.hints, *settings.policy.problems, *settings.warnings)):
        print(f"cometapi-mcp: {problem}", file=sys.stderr)
    if sys.stdin.isatty():
        print(BY_HAND.format(version=__version__), end="", file=sys.stderr)
    ending, deliveries = Ending(), Deliveries()
    server = create_server(settings, deliveries=deliveries, client_disconnected=ending.begun, redactor=redactor)
    gc.freeze()
    gc.enable()

    async def run() -> None:
        async with stdio_streams(ending, deliveries) as (read, write):
            await server.run(read, write, server.create_initialization_options())

    try:
        anyio.run(run, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
