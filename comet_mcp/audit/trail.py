"""Writing the trail: a row before a call and a row after it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from comet_mcp.audit.chain import append, now
from comet_mcp.audit.redaction import without_secrets
from comet_mcp.errors import AuditError, CometError, JournalError
from comet_mcp.settings import AuditMode
from comet_mcp.state.file import StateFile

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
    """The trail of one account's calls. `known` are secrets to leave out wherever they turn up in an argument."""

    def __init__(self, file: StateFile, mode: AuditMode, account: str, known: Iterable[str] = ()) -> None:
        self._file = file
        self._mode = mode
        self._account = account
        self._known = [secret for secret in known if secret]

    @asynccontextmanager
    async def call(self, tool: str, arguments: dict[str, Any], client: str) -> AsyncIterator[Note]:
        """Put a row before and a row after what happens inside. What is raised there passes through.

        Args:
            tool: The tool's name.
            arguments: Those that the caller gave, as they were checked. What could be a secret in them is not
                written.
            client: Name and version of the program that called, "" where it did not say.

        Raises:
            AuditError: The trail is required, and the row before could not be written. Nothing inside ran.
        """
        note = Note()
        begun = await self._begin(tool, arguments, client)
        try:
            yield note
        except CometError as error:
            note.outcome = error.code
            note.policy = str(error.args[0]) if error.code.startswith("policy") else None
            raise
        except Exception:
            note.outcome = "internal_error"
            raise
        except BaseException:
            note.outcome = "cancelled"
            raise
        finally:
            if begun is not None:
                with anyio.CancelScope(shield=True):  # the client has given up the call: the trail has not
                    await self._end(begun, tool, note)

    async def settled(self, key_id: int, name: str) -> None:
        """Put a row after a key was found that a create made whose end in the trail names none."""
        if self._mode == "off":
            return
        entry = {"kind": "settled", "time": now(), "account": self._account, "key_id": key_id}
        entry["key_name"] = without_secrets(name, self._known)
        try:
            await self._file.write(lambda db: append(db, entry))
        except JournalError as error:
            log.warning("that key %s was found is not in the audit trail: %s", key_id, error)

    async def _begin(self, tool: str, arguments: dict[str, Any], client: str) -> int | None:
        if self._mode == "off":
            return None
        entry = {
            "kind": "begin",
            "time": now(),
            "account": self._account,
            "tool": tool,
            "arguments": {name: without_secrets(value, self._known) for name, value in arguments.items()},
            "key_id": arguments.get("id"),
            "client": without_secrets(client, self._known),
        }
        try:
            # a create writes its intent next, and with it this row is on disk before anything is sent
            return await self._file.write(lambda db: append(db, entry), synced=tool != "create_api_key")
        except JournalError as error:
            if self._mode == "required":
                raise AuditError(
                    "The audit trail can't be written, and COMETAPI_MCP_AUDIT=required lets nothing be changed "
                    f"without it. Nothing was done. {error.args[0]}"
                ) from None
            log.warning("%s is not in the audit trail: %s", tool, error)
            return None

    async def _end(self, begun: int, tool: str, note: Note) -> None:
        entry = {
            "kind": "end",
            "time": now(),
            "call": begun,
            "tool": tool,
            "outcome": note.outcome,
            "key_id": note.key_id,
            "key_name": without_secrets(note.key_name, self._known),
            "confirmation": note.confirmation,
            "policy": without_secrets(note.policy, self._known),
        }
        known = {name: value for name, value in entry.items() if value is not None}
        try:
            await self._file.write(lambda db: append(db, known), synced=False)
        except JournalError as error:
            log.warning("the end of %s (%s) is not in the audit trail: %s", tool, note.outcome, error)
