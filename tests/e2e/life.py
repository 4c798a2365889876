"""What the tests of a key's life share: a key with every field set, and programs that use or change it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client

from comet_mcp.domain.key import KeySpec
from comet_mcp.sandbox import Key, Sandbox
from comet_mcp.server import create_server
from tests.support import Home

FIELDS = tuple(KeySpec.model_fields)
LATER = 1_900_000_000
FULL: dict[str, Any] = {
    "name": "blog",
    "expired_time": LATER,
    "remain_quota": 2_500_000,
    "unlimited_quota": False,
    "model_limits_enabled": True,
    "model_limits": "gpt-4.1-mini,gpt-4o",
    "allow_ips": "192.0.2.1\n2001:db8::/32",
    "group": "auto",
    "cross_group_retry": True,
}
CHANGES: list[dict[str, Any]] = [{"name": "renamed"}, {"status": "disabled"}, {"add_budget_usd": 1}]
"""A field, the status, and a top-up: these are written in different ways."""


def full_key(sandbox: Sandbox, **fields: Any) -> Key:
    """A key with no field at its default."""
    return sandbox.add_key(**{**FULL, **fields})


def body_of(row: Key) -> dict[str, Any]:
    """The nine fields; the API keeps no difference between null and "" in the list of addresses."""
    return {name: getattr(row, name) or "" if name == "allow_ips" else getattr(row, name) for name in FIELDS}


def row_of(sandbox: Sandbox, key_id: int) -> Key:
    (row,) = [row for row in sandbox.keys if row.id == key_id]
    return row


def spend(row: Key, units: int) -> None:
    """What a model call of that price does to the row."""
    row.remain_quota -= units
    row.used_quota += units


def before_each_write(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, happens: Callable[[], None]) -> None:
    """Let something happen after an update was sent and before it is carried out."""
    update = sandbox.account.update

    def late(sent: dict[str, Any], *, status_only: bool) -> Key:
        happens()
        return update(sent, status_only=status_only)

    monkeypatch.setattr(sandbox.account, "update", late)


def spend_before_writes(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, row: Key, *units: int) -> None:
    """Let a program spend one amount before each update is carried out, and nothing when there is none left."""
    spending = iter(units)
    before_each_write(monkeypatch, sandbox, lambda: spend(row, next(spending, 0)))


def after_each_write(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, happens: Callable[[], None]) -> None:
    """Let something happen right after an update was carried out."""
    update = sandbox.account.update

    def early(sent: dict[str, Any], *, status_only: bool) -> Key:
        row = update(sent, status_only=status_only)
        happens()
        return row

    monkeypatch.setattr(sandbox.account, "update", early)


def before_read(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, number: int, happens: Callable[[], None]) -> None:
    """Let something happen right before the API reads a row for the `number`th time."""
    record = sandbox.account.record
    reads = iter(range(1, 100))

    def late(row: Key) -> dict[str, Any]:
        if next(reads) == number:
            happens()
        return record(row)

    monkeypatch.setattr(sandbox.account, "record", late)


@asynccontextmanager
async def connected(home: Home, **extra: str) -> AsyncIterator[Client]:
    """A client of a server in this process, which talks to the home's sandbox over a socket."""
    home.extra.update(extra)
    async with Client(create_server(home.settings)) as client:
        yield client
