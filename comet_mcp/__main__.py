"""The command line. Serving is the hot path: it imports nothing that only the other commands need."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from comet_mcp import __version__
from comet_mcp.cli.beginning import is_of_server

if TYPE_CHECKING:
    from comet_mcp.transports.recording import Cache
    from comet_mcp.transports.replay import Taken

BY_HAND = """\
cometapi-mcp {version}: an MCP server. It is waiting for an MCP client on standard input, and you are in a terminal.

  To see what it does:   cometapi-mcp demo
  To use it:             add it to an MCP client (Claude Desktop, Cursor, VS Code, ...) as the command "cometapi-mcp"
  To leave:              Ctrl-C or Ctrl-D
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command, or serve where there is none. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if is_of_server(arguments):
        return serve()
    try:
        from comet_mcp.cli.root import main as run  # noqa: PLC0415 - serving needs nothing of it

        return run(arguments)
    except KeyboardInterrupt:  # while it was loaded
        return 130


def serve() -> int:
    """Serve one client over stdio until it closes its end, or a signal comes."""
    from comet_mcp.transports.replay import answered_while_loading, cache_for_this_start  # noqa: PLC0415 - as below

    cache = cache_for_this_start()
    run, taken = answered_while_loading(partial(_loaded, cache), cache)
    return run(taken)


def _loaded(cache: Cache | None) -> Callable[[Taken | None], int]:
    """Load the server. Returns what serves with it."""
    gc.disable()  # collections while modules load find nothing; freeze() then keeps them out of every later one
    from comet_mcp import sdk  # noqa: PLC0415 - --version and --help need none of these

    partly = sdk.load_for_serving()

    import logging  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from comet_mcp import settings as configuration  # noqa: PLC0415
    from comet_mcp.deliveries import Deliveries  # noqa: PLC0415
    from comet_mcp.redaction import Redactor  # noqa: PLC0415
    from comet_mcp.removal import remove_leftovers_later  # noqa: PLC0415
    from comet_mcp.server import create_server  # noqa: PLC0415
    from comet_mcp.transports.handover import Handover, Recorder  # noqa: PLC0415
    from comet_mcp.transports.recording import digests  # noqa: PLC0415
    from comet_mcp.transports.stdio import Ending, stdio_streams  # noqa: PLC0415

    settings = configuration.load()
    redactor = Redactor(settings.known_secrets)
    sys.stderr = redactor.stream(sys.stderr)
    # only our own messages below WARNING: httpx and the SDK would log URLs and payloads
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("comet_mcp").setLevel(settings.log)
    told = (partly, *settings.problems, *settings.hints, *settings.policy.problems, *settings.warnings)
    problems = list(filter(None, dict.fromkeys(told)))
    for problem in problems:
        print(f"cometapi-mcp: {problem}", file=sys.stderr)
    if sys.stdin.isatty():
        print(BY_HAND.format(version=__version__), end="", file=sys.stderr)
    ending, deliveries = Ending(), Deliveries()
    server = create_server(
        settings,
        deliveries=deliveries,
        client_disconnected=ending.begun,
        redactor=redactor,
        beside=remove_leftovers_later,
    )
    # a start that has something to tell a person has to tell it, and the next one is to look again
    records = cache if settings.replay and not problems else None
    files = digests(settings.files) if records else None
    gc.freeze()
    gc.enable()

    async def exchange(taken: Taken | None) -> None:
        recorder = None
        if records is not None and files is not None:
            recorder = Recorder(records, files, taken.recording if taken else None)
        async with stdio_streams(ending, deliveries, Handover(taken, recorder), taken) as (read, write):
            await server.run(read, write, server.create_initialization_options())

    def run(taken: Taken | None) -> int:
        try:
            anyio.run(exchange, taken, backend_options={"use_uvloop": find_spec("uvloop") is not None})
        except KeyboardInterrupt:
            return 130
        return 0

    return run


if __name__ == "__main__":
    sys.exit(main())
