"""What of a server's own machine can fail: the key store has no room, the journal is held by another program."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comet_mcp.errors import JournalError, StoreError

if TYPE_CHECKING:
    from tests.simulation.server import Server

_WAITED_FOR = 3.0
"""Seconds for which the product waits for a journal that is locked."""


def store(server: Server) -> None:
    """Now and then, while there is trouble, a value can't be written."""
    place: Any = server.app.store
    if server.settings.secrets != "file":
        return
    save, gateway = place.save, server.gateway

    def saved(*args: Any) -> Any:
        if gateway.random.random() < gateway.fault_rate / 4:
            server.log(server.loop.now, server.name, "its key store fails")
            raise StoreError("The key directory can't be written: the disk is full.")
        return save(*args)

    place.save = saved


def journal(server: Server) -> None:
    """While another program holds the journal, a step waits, and fails where that lasts too long."""
    place: Any = server.app.journal
    run, machine = place.run, server.machine

    async def waited(step: Any, *also: Any) -> Any:
        end = server.loop.now + _WAITED_FOR
        while server.loop.now < machine.locked_until:
            if server.loop.now >= end:
                raise JournalError("The journal is locked by another program. Try again in a minute.")
            await asyncio.sleep(0.05)
        return await run(step, *also)

    place.run = waited


def hold_journal(server: Server, seconds: float) -> None:
    """Another program, a backup for example, holds the journal for a while."""
    server.machine.locked_until = server.loop.now + seconds
    server.log(server.loop.now, server.machine.name, "the journal is locked for %s seconds", seconds)


def content(path: Path) -> str:
    """What a file has in it; nothing where there is none."""
    return path.read_text() if path.is_file() else ""
