"""How the calls of the audit trail look: as a table or as JSON lines."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import click

from comet_mcp.audit import chain
from comet_mcp.audit.calls import UNDER_WAY_FOR, calls
from comet_mcp.audit.redaction import measure
from comet_mcp.cli.tables import Column, show_table
from comet_mcp.cli.terminal import console
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.told_times import local, seconds_of
from comet_mcp.journal.rows import AuditRow
from comet_mcp.policy.rules import RULES
from comet_mcp.text import escaped, printable, quoted

_COLUMNS = (
    Column("TIME", may_shrink=True),
    Column("TOOL", may_shrink=True),
    Column("KEY"),
    Column("NAME", may_shrink=True, from_width=80),
    Column("OUTCOME", may_shrink=True),
    Column("CONFIRMED", may_shrink=True, from_width=120),
    Column("POLICY", may_shrink=True, from_width=140),
    Column("CLIENT", may_shrink=True, from_width=160),
    Column("ARGUMENTS", may_shrink=True, from_width=100),
)
_SHOWN = 100
_NARROW = 40
"""Columns that a name, a client or the rules of a verdict may take: one long one would move all others apart."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which calls are shown, and how."""

    since: str | None
    tool: str | None
    key: int | None
    as_json: bool


def show_calls(rows: list[AuditRow], wanted: Chosen, zone: tzinfo) -> None:
    """Print the calls: on a terminal with times in the person's zone, else in UTC."""
    running_since = chain.stamp(datetime.fromtimestamp(SYSTEM.now(), UTC) - timedelta(seconds=UNDER_WAY_FOR))
    chosen = [
        call
        for call in calls(rows, running_since)
        if (wanted.since is None or str(call.get("begun") or call.get("ended") or "") >= wanted.since)
        and (wanted.tool is None or call["tool"] == wanted.tool)
        and (wanted.key is None or wanted.key in call["key_ids"])
    ]
    if wanted.as_json:
        for call in chosen:
            say(json.dumps(call, ensure_ascii=False))
        return
    drawn_in = zone if console().is_terminal else None
    show_table(_COLUMNS, [_cells(call, drawn_in) for call in chosen])


def _time(call: dict[str, Any], zone: tzinfo | None) -> str:
    """When a call was begun, or else ended: in that zone, None for UTC to the second."""
    time = f"{str(call.get('begun') or call.get('ended') or '')[:19]}Z"
    if time == "Z":
        return "?"
    try:
        return local(seconds_of(time), zone) if zone else time
    except ValueError:  # of a row that was altered
        return time


def _cells(call: dict[str, Any], zone: tzinfo | None) -> tuple[str, ...]:
    given = call.get("arguments") or {}
    # each value is cut by itself: a long one must not hide the argument after it
    words = [f"{name}={_value(name, value)}" for name, value in given.items()]
    cells = (
        _time(call, zone),
        call["tool"] or "?",
        ", ".join(map(str, call["key_ids"])) or "-",
        quoted(str(call["key_name"]), _NARROW) if call.get("key_name") else "-",
        _outcome(call),
        call.get("confirmation") or "-",
        printable(_rules(str(call.get("policy") or "-")), _NARROW),
        printable(call.get("client") or "-", _NARROW),
    )
    return tuple(_written(cell) for cell in (*(printable(str(cell)) for cell in cells), " ".join(words)))


def _value(name: str, value: Any) -> str:
    """An argument's value; of a long list of addresses the widest come first, for they must not be what is cut off."""
    if name == "allow_ips" and isinstance(value, str) and len(value) > _SHOWN and "\n" in value:
        value = measure(AddressList.parse(value))
    return printable(json.dumps(value, ensure_ascii=False), _SHOWN)


def _outcome(call: dict[str, Any]) -> str:
    """How it ended, and how often where equal refusals have one row."""
    if call["state"] != "ended":
        return str(call["state"].replace("_", " "))
    return f"{call['outcome']} ({call['count']} times)" if call.get("count", 1) > 1 else str(call["outcome"])


def _rules(verdict: str) -> str:
    """The names of the rules that a verdict of the policy is about; --json has the whole of it."""
    return ", ".join(rule.name for rule in RULES if f"{rule.name}: " in verdict) or printable(verdict, _SHOWN)


def _written(text: str) -> str:
    """The text as the terminal, or the file behind standard output, can take it."""
    return escaped(text, sys.stdout.encoding or "utf-8")


def say(line: str) -> None:
    """Print a line, whatever is in it."""
    click.echo(_written(line))
