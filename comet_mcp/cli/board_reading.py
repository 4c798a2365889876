"""The board for a person at this machine, read of the account that the settings name."""

from __future__ import annotations

from dataclasses import replace

from comet_mcp.board.data import Board
from comet_mcp.board.reading import Spent, read_board, read_spent
from comet_mcp.cli.people import for_people
from comet_mcp.cli.terminal import redacted
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.redaction import Redactor
from comet_mcp.settings import Settings

_WITHIN = 120.0
"""Seconds for all questions: a person has more time than a client."""


class Reading:
    """Reads what the board shows. What was spent takes most calls of the API: it is kept until it is asked anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redactor = Redactor(settings.known_secrets)
        self._spent: Spent | None = None

    async def board(self, *, is_new: bool = True) -> Board:
        """The board of now; with what was spent as it was read before, unless `is_new`. Raises CometError."""
        app = Services.of(self._settings, redactor=self._redactor)
        try:
            deadline = Deadline(app.clock, _WITHIN)
            with redacted(self._redactor):
                if is_new or self._spent is None:
                    self._spent = await read_spent(app, deadline)
                board = await read_board(app, deadline, self._spent)
        finally:
            await app.aclose()
        return replace(board, notes=[for_people(note) for note in board.notes])
