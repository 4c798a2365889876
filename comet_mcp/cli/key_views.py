"""How keys look in a terminal: as a table, as one key's facts, and as what became of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from comet_mcp.cli.tables import Column, hung, show_table, width_of
from comet_mcp.cli.terminal import console, draws_blocks, tell
from comet_mcp.domain.told_times import from_now, local, seconds_of
from comet_mcp.errors import CometError
from comet_mcp.text import printable, quoted
from comet_mcp.tools.key_words import dry_of, left_of

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"works": "green", "disabled": "yellow", "expired": "red", "used up": "red"}
_BAR = 8
_NAME_SHOWN = 60

COLUMNS = (
    Column("ID", right=True),
    Column("NAME", may_shrink=True),
    Column("STATE"),
    Column("BUDGET", from_width=80, is_drawn=True),
    Column("LEFT", right=True),
    Column("SPENT", right=True, from_width=100),
    Column("ENDS", is_drawn=True),
    Column("ENDS AT", from_width=120),
    Column("MODELS", may_shrink=True, from_width=100),
)


def show_keys(keys: Sequence[Mapping[str, Any]], zone: tzinfo, now: float) -> None:
    """Print keys of a list as a table.

    Args:
        keys: Those of list_api_keys.
        zone: The person's.
        now: Unix seconds.
    """
    show_table(COLUMNS, [_row(key, zone, now) for key in keys])


def _row(key: Mapping[str, Any], zone: tzinfo, now: float) -> list[str | Text]:
    from rich.text import Text  # noqa: PLC0415 - help needs none of it

    state, ends = str(key["state"]), str(key["ends"])
    return [
        str(key["id"]),
        printable(str(key["name"]), _NAME_SHOWN),
        Text(printable(state, 20), _STYLES.get(state, "")),
        bar(str(key["budget"])),
        _short(str(key["budget"])),
        str(key["spent"]),
        ends if ends == "never" else from_now(seconds_of(ends), now),
        ends if ends == "never" else local(seconds_of(ends), zone),
        printable(str(key.get("models", "any"))),
    ]


def bar(budget: str) -> Text:
    """How much of a budget is left, as a bar; "" where there is none."""
    from rich.text import Text  # noqa: PLC0415 - as above

    found = left_of(budget)
    if found is None:
        return Text("-")
    left, total = found
    share = min(max(left / total, Decimal(0)), Decimal(1)) if total > 0 else Decimal(0)
    filled = min(max(int(share * _BAR + Decimal("0.5")), int(left > 0)), _BAR)
    full, empty = ("█", "░") if draws_blocks(console()) else ("#", "-")
    style = "red" if left <= 0 else "yellow" if share < Decimal("0.2") else "green"
    return Text(full * filled + empty * (_BAR - filled), style)


def _short(budget: str) -> str:
    """What is left of what, "$2.50 / $5.00"."""
    return budget.removesuffix(" left").replace(" of ", " / ")


def facts_of(key: Mapping[str, Any], zone: tzinfo, now: float) -> list[tuple[str, str]]:
    """What there is to say of one key, as names and texts. `now` is in Unix seconds."""
    return [
        ("id", str(key["id"])),
        ("name", printable(str(key["name"]))),
        ("value", str(key["key"])),
        ("state", printable(str(key["state"]))),
        ("budget", f"{key['budget']}  {bar(str(key['budget']))}".rstrip("- ")),
        ("spent", str(key["spent"])),
        *([("runs out", _dry(str(key["runs_out"]), zone, now))] if key.get("runs_out") else []),
        ("ends", moment(str(key["ends"]), zone, now)),
        ("last used", moment(str(key["last_used"]), zone, now)),
        ("models", printable(str(key["models"]), 4000)),
        ("addresses", printable(str(key["addresses"]), 4000)),
        ("group", printable(str(key["group"]))),
        *([("made", moment(str(key["created"]), zone, now))] if "created" in key else []),
    ]


def _dry(words: str, zone: tzinfo, now: float) -> str:
    """When a key runs out and at which pace, as tools tell it, in the person's zone."""
    time, pace = dry_of(words)
    return f"about {moment(time, zone, now)} {printable(pace)}"


def moment(time: str, zone: tzinfo, now: float) -> str:
    """A time as tools tell it, in the person's zone and as it is from now; another word as it is."""
    try:
        seconds = seconds_of(time)
    except ValueError:
        return printable(time)
    return f"{local(seconds, zone)} ({from_now(seconds, now)})"


def show_facts(facts: Iterable[tuple[str, str]], *, aside: bool = False) -> None:
    """Print names and texts, one below the other; a long text goes on below itself.

    Args:
        facts: They.
        aside: Whether they are beside what was asked for, and go to stderr.
    """
    facts = list(facts)
    widest = max(width_of(name) for name, _ in facts)
    for name, text in facts:
        start = f"{name}{' ' * (widest - width_of(name))}  "
        click.echo(hung(start, text, stderr=aside), err=aside)


def show_json(data: Any) -> None:
    """Print data for programs."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def say(texts: Iterable[str]) -> None:
    """Say something beside what is asked for, on stderr."""
    for text in texts:
        tell(printable(text, 2000), aside=True)


def deleted(done: Mapping[str, Any], said: Callable[[str], str]) -> list[str]:
    """That a key was deleted, and where its value was.

    Args:
        done: What delete_api_key has answered.
        said: Says a text of a tool to a person.

    Raises:
        CometError: It was not.
    """
    note = said(done.get("note") or "")
    if not done["deleted"]:
        raise CometError(note or "No key was deleted.")
    return [f"Key {done['id']} {quoted(done.get('name') or '')} was deleted.", *filter(None, [note])]


def where(secret: Mapping[str, Any] | None, name: str) -> list[str]:
    """Where a key's value is, and how a program gets it."""
    run = f"A program gets it by: cometapi-mcp run {shlex.quote(name)} -- PROGRAM"
    if secret is None:
        return []
    if secret["stored_in"] == "file":
        variable = f" as {secret['variable']}" if secret.get("variable") else ""
        needs = [f"The program needs this too: {secret['needs']}"] if secret.get("needs") else []
        return [f"Its value is in {quoted(str(secret.get('path')), 300)}{variable}.", *needs, run]
    if secret["stored_in"] == "keyring":
        return ["Its value is in the system's keychain.", run]
    return ["Its value was stored nowhere (COMETAPI_MCP_SECRETS).", run]
