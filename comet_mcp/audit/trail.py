"""Writing the trail: a row before a call and a row after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comet_mcp.audit.chain import appending, now
from comet_mcp.audit.redaction import without_secrets
from comet_mcp.clock import Clock
from comet_mcp.errors import AuditError, JournalError
from comet_mcp.journal.base import Journal, Step
from comet_mcp.redaction import Redactor
from comet_mcp.settings import AuditMode

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Note:
    """What is known of a call by the time it ends."""

    outcome: str = "ok"
    key_id: int | None = None
    key_name: str | None = None
    confirmation: str | None = None
    policy: str | None = None


class AuditTrail:
    """The trail of one account's calls."""

    def __init__(
        self, journal: Journal, mode: AuditMode, clock: Clock, account: Callable[[], str], redactor: Redactor
    ) -> None:
        self._journal = journal
        self._mode = mode
        self._clock = clock
        self._account = account
        self._redactor = redactor

    async def begin(self, tool: str, arguments: dict[str, Any], client: str) -> int | None:
        """Put a row before a call. Returns its number, None where there is no trail, or it can't be written.

        Args:
            tool: The tool's name.
            arguments: Those that the caller gave: as they were checked, or, where they are wrong, as they came. What
                could be a secret in them is not written.
            client: Name and version of the program that called, "" where it did not say.

        Raises:
            AuditError: The trail is required, or was there and is gone. Nothing may be done.
        """
        if self._mode == "off":
            return None
        key_id = arguments.get("id")
        shown = {
            str(without_secrets(name, self._redactor)): without_secrets(value, self._redactor, name)
            for name, value in arguments.items()
        }
        entry = {
            "kind": "begin",
            "time": now(self._clock),
            "account": self._account(),
            "tool": tool,
            "arguments": shown,
            "key_id": key_id if type(key_id) is int else None,  # what was sent may be no id
            "client": without_secrets(client, self._redactor),
        }
        try:
            # a create begins its operation next, and with it this row is on disk before anything is sent
            return await self._journal.run(appending(entry, durable=tool != "create_api_key"))
        except JournalError as error:
            if self._mode == "required":
                raise AuditError(
                    "The audit trail can't be written, and COMETAPI_MCP_AUDIT=required lets nothing be changed "
                    f"without it. Nothing was done. {error.args[0]}"
                ) from None
            if error.code == "journal_replaced":
                raise
            log.warning("%s is not in the audit trail: %s", tool, error)
            return None

    async def end(self, begun: int | None, tool: str, note: Note, *also: Step[None]) -> None:
        """Put a row after a call, and carry out what else is noted at its end in the same transaction."""
        steps: list[Step[Any]] = []
        if begun is not None:
            entry = {
                "kind": "end",
                "time": now(self._clock),
                "call": begun,
                "tool": tool,
                "outcome": note.outcome,
                "key_id": note.key_id,
                "key_name": without_secrets(note.key_name, self._redactor),
                "confirmation": note.confirmation,
                "policy": without_secrets(note.policy, self._redactor),
            }
            known = {name: value for name, value in entry.items() if value is not None}
            steps.append(appending(known, durable=False))
        steps += also
        if not steps:
            return
        try:
            await self._journal.run(*steps)
        except JournalError as error:
            log.warning("the end of %s (%s) is not in the journal: %s", tool, note.outcome, error)

    async def settled(self, key_id: int, name: str) -> None:
        """Put a row after a key was found that a create made whose end in the trail names none."""
        if self._mode == "off":
            return
        entry = {"kind": "settled", "time": now(self._clock), "account": self._account(), "key_id": key_id}
        entry["key_name"] = without_secrets(name, self._redactor)
        try:
            await self._journal.run(appending(entry, durable=True))
        except JournalError as error:
            log.warning("that key %s was found is not in the audit trail: %s", key_id, error)
