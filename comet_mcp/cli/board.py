"""`cometapi-mcp board`: keys and spending on one page, in the browser or as a file."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import anyio
import click

from comet_mcp.board.page import document
from comet_mcp.cli.board_reading import Reading
from comet_mcp.cli.calls import with_calls
from comet_mcp.cli.options import profile_option
from comet_mcp.cli.people import usable_settings
from comet_mcp.cli.terminal import examples, progress
from comet_mcp.clients.file import read_text, write_text
from comet_mcp.text import quoted


@click.command(
    "board",
    epilog=examples(
        "cometapi-mcp board                      in the browser",
        "cometapi-mcp board --save report.html   as a file",
    ),
)
@click.option("--save", "path", metavar="FILE", type=click.Path(path_type=Path), help="Write the page to a file.")
@click.option("--no-open", is_flag=True, help="Print its address, and open no browser.")
@profile_option
def command(path: Path | None, *, no_open: bool) -> None:
    """Show all keys and what they spent in 30 days, with marks for what should worry.

    In the browser keys can be changed too: each change is asked about, and passes the policy and the audit trail. The
    page is served on this machine alone, until Ctrl-C. No value of a key is in it.
    """
    if path is not None:
        settings = usable_settings()
        with progress("Reading keys and the log ..."):
            board = anyio.run(Reading(settings).board)
        write_text(path, read_text(path), document(board))
        click.echo(f"The page is in {quoted(str(path), 300)}.")
        return
    from comet_mcp.cli.board_changes import Changes  # noqa: PLC0415 - a file needs no web server
    from comet_mcp.cli.board_server import serve  # noqa: PLC0415

    with closing(Changes()) as changes, suppress(KeyboardInterrupt):
        with_calls(lambda calls: serve(calls, changes, opens=not no_open), asks=True, answers=changes.asked)
