"""Writing the trail: a row before a call and a row after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from comet_mcp.audit.chain import appended, appending, now
from comet_mcp.audit.redaction import shortened, without_secrets
from comet_mcp.audit.refusals import Refusals
from comet_mcp.clock import Clock
from comet_mcp.errors import AuditError, JournalError
from comet_mcp.journal.base import Decision, Journal, Reads, Rows, Step
from comet_mcp.redaction import Redactor
from comet_mcp.settings import AuditMode

MOST_BYTES = 256 * 2**20
"""Bytes of the journal's file, beyond which no call gets a row any more. At four fifths of it a warning comes."""

_SHORT = 500
_MOST_OWED = 100
"""Steps that could not be carried out and are kept for later."""
_PRUNE = "Drop old rows: cometapi-mcp audit prune --before 90d"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Note:
    """What is known of a call by the time it ends."""

    outcome: str = "ok"
    key_id: int | None = None
    key_name: str | None = None
    confirmation: str | None = None
    policy: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    """All that were given, of a call that may have changed something."""


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
        self._refusals = Refusals(clock)
        self._owed: list[Step[None]] = []
        self._warned = False
        journal.add_rider(self._owed_next)

    async def require_writable(self) -> None:
        """Raise AuditError where the trail is required and a call's row could not be written: nothing is asked then."""
        if self._mode == "required":
            try:
                await self._journal.run(self._measuring())
            except JournalError as error:
                self._require_none(error)

    def _require_none(self, error: JournalError) -> None:
        if self._mode == "required":
            raise AuditError(
                "The audit trail can't be written, and COMETAPI_MCP_AUDIT=required lets nothing be changed "
                f"without it. Nothing was done. {error.args[0]}"
            ) from None

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
        entry = self._begin(tool, arguments, client)
        try:
            # a create begins its operation next, and with it this row is on disk before anything is sent
            step = appending(entry, durable=tool != "create_api_key")
            return await self._journal.run(step, self._measuring(), *self._due())
        except JournalError as error:
            self._require_none(error)
            if error.code == "journal_replaced":
                raise
            log.warning("%s is not in the audit trail: %s", tool, error)
            return None

    async def end(self, begun: int | None, tool: str, note: Note, *also: Step[None]) -> None:
        """Put a row after a call, and carry out what else is noted at its end in the same transaction.

        Where the journal can't be used just then, what `also` notes comes with whatever is carried out next.
        """
        steps: list[Step[Any]] = []
        if begun is not None:
            steps.append(appending(self._end(begun, tool, note), durable=False))
        await self._carry_out([*steps, *also], tool, note, also)

    async def _carry_out(self, steps: list[Step[Any]], tool: str, note: Note, owed: Sequence[Step[None]] = ()) -> None:
        if not steps:
            return
        try:
            await self._journal.run(*steps)
        except JournalError as error:
            self._owed = [*self._owed, *owed][-_MOST_OWED:]
            log.warning("the end of %s (%s) is not in the journal: %s", tool, note.outcome, error)

    def _owed_next(self) -> Step[None] | None:
        """The oldest of the steps that could not be carried out; it stays until it was."""
        if not self._owed:
            return None
        step = self._owed[0]

        def carried_out(_: None) -> None:
            self._owed = [left for left in self._owed if left is not step]

        return replace(step, after=carried_out)

    async def unbegun(self, tool: str, arguments: dict[str, Any], client: str, note: Note, *also: Step[None]) -> None:
        """Note a call that ended before it came to change anything. Arguments are those of `begin`, and of `end`."""
        steps: list[Step[Any]] = list(also)
        if self._mode != "off":
            begin = self._begin(tool, arguments, client)
            if note.outcome in ("ok", "nothing_done"):  # nothing was left to do: a call like others
                steps += [appending(begin, durable=False), _ending(lambda last: self._end(last, tool, note))]
            else:
                end = self._end(0, tool, note)
                del end["call"]
                entry = {**begin, **end, "kind": "refused", "last": begin["time"]}
                entry |= {name: entry[name][:_SHORT] for name in ("policy", "key_name", "client") if entry.get(name)}
                steps += [appending(due, durable=False) for due in self._refusals.add(entry)]
            steps += [self._measuring()] * (len(steps) > len(also))
        await self._carry_out(steps, tool, note, also)

    async def aclose(self) -> None:
        """Write what was summed up and is not written yet."""
        await self._carry_out(self._due(), "a refused call", Note("refused"))

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

    def _begin(self, tool: str, arguments: dict[str, Any], client: str) -> dict[str, Any]:
        """What is known of a call before it changes anything."""
        key_id = arguments.get("id")
        return {
            "kind": "begin",
            "time": now(self._clock),
            "account": self._account(),
            "tool": tool,
            "arguments": shortened(self._shown(arguments)),
            "key_id": key_id if type(key_id) is int else None,  # what was sent may be no id
            "client": without_secrets(client, self._redactor),
        }

    def _end(self, begun: int, tool: str, note: Note) -> dict[str, Any]:
        """What is known of a call at its end."""
        whole = self._shown(note.arguments)
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
            "arguments": whole if whole != shortened(whole) else None,
        }
        return {name: value for name, value in entry.items() if value is not None}

    def _shown(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            str(without_secrets(name, self._redactor)): without_secrets(value, self._redactor, name)
            for name, value in arguments.items()
        }

    def _due(self) -> list[Step[Any]]:
        return [appending(entry, durable=False) for entry in self._refusals.due()]

    def _measuring(self) -> Step[int]:
        """Refuses rows, with those it stands beside, where the journal is full; says it before in time."""

        def decide(rows: Rows) -> Decision[int]:
            if rows.size >= MOST_BYTES:
                raise JournalError(f"The journal with the audit trail has grown to {_megabytes(rows.size)}. {_PRUNE}")
            return Decision(rows.size)

        return Step(Reads(audit="tail"), decide, durable=False, after=self._warn)

    def _warn(self, size: int) -> None:
        if size >= MOST_BYTES * 0.8 and not self._warned:
            self._warned = True
            log.warning(
                "the journal with the audit trail has %s of the %s that it may have; then nothing more is written into "
                "the trail. %s",
                _megabytes(size),
                _megabytes(MOST_BYTES),
                _PRUNE,
            )


def _ending(entry: Callable[[int], dict[str, Any]]) -> Step[int]:
    """Puts the end of a call after its begin, which is the last row."""

    def decide(rows: Rows) -> Decision[int]:
        write = appended(rows, entry(rows.audit[-1].id))
        return Decision(write.row.id, [write])

    return Step(Reads(audit="tail"), decide, durable=False)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MB"
