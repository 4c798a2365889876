"""The parts of the journal, for one account."""

from __future__ import annotations

from pathlib import Path

from comet_mcp.state.claims import Claims
from comet_mcp.state.file import StateFile
from comet_mcp.state.intents import Intents
from comet_mcp.state.ledger import Ledger
from comet_mcp.state.reveals import Reveals
from comet_mcp.state.rotations import Rotations
from comet_mcp.state.used_answers import UsedAnswers


class Journal:
    """Everything that is remembered of one account. What is in the file is opened at the first use."""

    def __init__(self, path: Path, account: str) -> None:
        self.file = StateFile(path)
        self.ledger = Ledger(self.file, account)
        self.intents = Intents(self.file, account, self.ledger)
        self.claims = Claims(self.file, account)
        self.rotations = Rotations(self.file, account)
        self.reveals = Reveals(self.file, account)
        self.used_answers = UsedAnswers(self.file)

    def close(self) -> None:
        """Close the file, if it was opened."""
        self.file.close()
