"""Tables and hanging lines, as wide as the terminal is. rich is imported where something is drawn."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from comet_mcp.cli.terminal import console, is_terminal

if TYPE_CHECKING:
    from rich.text import Text

_GAP = 2
_LEAST = 6


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        title: Its heading.
        right: Whether its cells stand at its right, as figures do.
        may_shrink: Whether its cells may be cut where the terminal is narrow.
        from_width: The columns that a terminal has to have for it to be shown there.
        is_drawn: Whether it is for the eye alone, and left out where there is no terminal.
    """

    title: str
    right: bool = False
    may_shrink: bool = False
    from_width: int = 0
    is_drawn: bool = False


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table: on a terminal one that fits it, else plain columns with spaces between."""
    out = console()
    if not out.is_terminal:
        kept = [at for at, column in enumerate(columns) if not column.is_drawn]
        titles = [columns[at].title.lower() for at in kept]
        for line in columns_of([titles, *([str(row[at]) for at in kept] for row in rows)]):
            click.echo(line)
        return
    from rich.table import Table  # noqa: PLC0415 - see the module's docstring

    shown = [at for at, column in enumerate(columns) if out.width >= column.from_width]
    natural = [max(width_of(text) for text in (columns[at].title, *(str(row[at]) for row in rows))) for at in shown]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for at, width in zip(shown, _fitted([columns[at] for at in shown], natural, out.width), strict=True):
        justify: Literal["left", "right"] = "right" if columns[at].right else "left"
        table.add_column(columns[at].title, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*(row[at] for at in shown))
    out.print(table)


def hung(start: str, text: str, *, stderr: bool = False) -> str:
    """A line that begins so; on a terminal, what has no room in it goes on below the text, no word cut."""
    stream = sys.stderr if stderr else sys.stdout
    if not is_terminal(stream):
        return start + text
    room = max(shutil.get_terminal_size().columns - width_of(start), 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return start + f"\n{' ' * width_of(start)}".join(lines or [""])


def _fitted(columns: Sequence[Column], natural: Sequence[int], total: int) -> list[int]:
    """The widths of columns that fit: those that may shrink share what the others leave, the narrow ones first."""
    widths = list(natural)
    shrinking = sorted((at for at, column in enumerate(columns) if column.may_shrink), key=lambda at: natural[at])
    left = total - _GAP * len(columns) - sum(natural[at] for at in range(len(columns)) if at not in shrinking)
    for number, at in enumerate(shrinking):
        widths[at] = min(natural[at], max(_LEAST, left // (len(shrinking) - number)))
        left -= widths[at]
    return widths


def columns_of(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells as lines of plain text, each column as wide as its widest cell but for the last."""
    widths = [max(width_of(line[at]) for line in lines) for at in range(len(lines[0]) - 1)]
    for line in lines:
        padded = [cell + " " * (width - width_of(cell)) for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*padded, line[-1]]).rstrip()


def width_of(text: str) -> int:
    """The columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
