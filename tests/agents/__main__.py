"""`python -m tests.agents`: plays every dialogue and prints what it took."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from comet_mcp.sandbox import Sandbox
from tests.agents.dialogues import DIALOGUES
from tests.agents.play import Agent, Dialogue, table
from tests.support import Home


async def main() -> str:
    """The table, once every dialogue has been played."""
    played: list[tuple[Dialogue, Agent]] = []
    for dialogue in DIALOGUES:
        sandbox = Sandbox()
        with tempfile.TemporaryDirectory() as directory, sandbox.serve() as url:
            home = Home(Path(directory), url, sandbox)
            played.append((dialogue, await dialogue.play(home)))
    return table(played)


print(anyio.run(main))
