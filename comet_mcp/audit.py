"""The audit trail: what was changed, when, by which client, and how it ended.

Two rows of the journal for each writing call: one is on disk before anything is sent, the other follows the outcome.
A call whose second row is missing never ended: its server was killed.

    begin    time, account, tool, the arguments that the caller gave, key id, client
    end      time, the number of the row that began it, outcome (ok, nothing_done where all was so already, or an
             error's code), id of the key that was made, the key's name (before the call, where it had one), the
             person's answer, and the policy's verdict where it refused
    pruned   time, up to which row older ones were dropped, how many, and the last one's hash

Rows are numbered without a gap, and each carries the SHA-256 of the hash before it, its number and its entry: what is
cut out, altered, moved or put in is found. This tells of accidents and careless hands. Somebody who rewrites the whole
file can make a chain that holds; only a hash that was kept elsewhere shows that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import anyio

from comet_mcp.errors import AuditError, CometError, JournalError
from comet_mcp.settings import AuditMode
from comet_mcp.state.file import Database, StateFile
from comet_mcp.state.intents import DEAD_AFTER

NO_HASH = "0" * 64
"""What stands before the first row of a trail."""

UNDER_WAY_FOR = 300.0 + DEAD_AFTER
"""Seconds in which a call without an end may still be running: a person's time to answer, and the call itself."""

_LONGEST = 2_000
_ANY = "surrogateescape"  # a damaged row has to be read to be named
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{8,}")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_~%]{24,}")

_TYPES: dict[str, type] = {"call": int, "key_id": int, "through": int, "rows": int, "arguments": dict}
"""What is no text in an entry."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Note:
    """What is known of a call by the time it ends."""

    outcome: str = "ok"
    key_id: int | None = None
    key_name: str | None = None
    confirmation: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it. `entry` is JSON, unless somebody altered it."""

    id: int
    entry: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """The entry, without what is of another type than it was written with; empty where it is no JSON object."""
        try:
            fields = json.loads(self.entry)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(fields, dict):
            return {}
        return {name: value for name, value in fields.items() if isinstance(value, _TYPES.get(name, str))}


@dataclass(frozen=True, slots=True)
class Verified:
    """What an examination of the chain found: `fault` is a sentence about the first row that is wrong, or None.

    `before` tells, in sentences, what was wrong with rows that were dropped since.
    """

    rows: int
    head: str
    fault: str | None
    before: tuple[str, ...] = ()


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


def now() -> str:
    """The time as entries have it: ISO, UTC, milliseconds. Such times are in order as text."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A moment in the form of `now`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def without_secrets(value: Any, known: Iterable[str] = ()) -> Any:
    """An argument without what could be a key or a token, and no longer than 2,000 characters a string."""
    if isinstance(value, list):
        return [without_secrets(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for secret in known:
        value = value.replace(secret, "***")
    shown = _LONG_WORD.sub(_hidden, _KEY.sub("***", value))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)"


def _hidden(found: re.Match[str]) -> str:
    """Three stars for a long word that could be a key or a token; ids of models and names of files stay readable."""
    word = found[0]
    is_name = "_" in word and word.lower() == word
    could_be = any(map(str.isdigit, word)) and any(map(str.isalpha, word)) and not is_name
    return "***" if could_be else word


def append(db: Database, entry: dict[str, Any]) -> int:
    """Add a row at the end of the chain, inside a writing transaction. Returns its number."""
    last = db.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    number, previous = last or (0, NO_HASH)
    number = max(number, _last_number(db)) + 1
    text = json.dumps(entry, separators=(",", ":"))
    db.execute("INSERT INTO audit VALUES (?, ?, ?)", (number, text, hashed(previous, number, text)))
    return number


def hashed(previous: str, number: int, entry: str) -> str:
    """The hash of a row: SHA-256 of the hash before it, its number and its entry, in hexadecimal."""
    return hashlib.sha256(f"{previous}\n{number}\n{entry}".encode(errors=_ANY)).hexdigest()


def rows_of(db: Database) -> list[Row]:
    """The whole trail, oldest first."""
    found = db.execute("SELECT id, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM audit ORDER BY id")
    return [Row(number, entry.decode(errors=_ANY), hash_.decode(errors=_ANY)) for number, entry, hash_ in found]


def verify(db: Database) -> Verified:
    """Go through the chain from its begin, or from where it was pruned, to the number of the row written last."""
    rows = rows_of(db)
    head = rows[-1].hash if rows else NO_HASH
    previous, expected = NO_HASH, 1
    for row in rows:
        fields = row.fields
        through = fields.get("through")
        if fields.get("kind") == "pruned" and isinstance(through, int) and expected <= through:
            previous, expected = str(fields.get("hash")), through + 1
    for row in rows:
        if row.id < expected:
            return Verified(len(rows), head, f"Row {row.id} was put in.")
        if row.id != expected:
            return Verified(len(rows), head, _missing(expected, row.id - 1))
        if row.hash != hashed(previous, row.id, row.entry):
            before = " (or the one before it was, and its hash with it)" if row.id > 1 else ""
            return Verified(len(rows), head, f"Row {row.id} was altered{before}.")
        previous, expected = row.hash, expected + 1
    last = _last_number(db)
    return Verified(len(rows), head, _missing(expected, last) if last >= expected else None, _dropped_faults(rows))


def _dropped_faults(rows: list[Row]) -> tuple[str, ...]:
    return tuple(
        f"When the rows up to {fields.get('through')} were dropped ({fields.get('time')}): {fields['fault']}"
        for fields in (row.fields for row in rows)
        if fields.get("kind") == "pruned" and "fault" in fields
    )


def holds(db: Database, head: str) -> bool:
    """Whether the hash is one of this chain's: of a row that is there, or of the last one that was pruned."""
    rows = rows_of(db)
    pruned = (row.fields.get("hash") for row in rows if row.fields.get("kind") == "pruned")
    return head in (*(row.hash for row in rows), *pruned)


def prune(db: Database, before: str) -> int:
    """Drop the rows at the begin of the trail that are older than `before`, and note that. Returns how many.

    The note has the hash of the last dropped row, from which the chain then begins, and what was wrong with the chain.
    """
    old = list(takewhile(lambda row: row.fields.get("time", "") < before, rows_of(db)))
    if old:
        entry = {"kind": "pruned", "time": now(), "through": old[-1].id, "rows": len(old), "hash": old[-1].hash}
        fault = verify(db).fault
        append(db, entry | {"fault": fault} if fault else entry)
        db.execute("DELETE FROM audit WHERE id <= ?", (old[-1].id,))
    return len(old)


def calls(rows: Iterable[Row], moment: str) -> list[dict[str, Any]]:
    """The calls of a trail, oldest first, each with what its two rows say.

    `outcome` is null where a call has not ended, and `state` tells why: `ended`, `under_way` or `never_ended`.

    Args:
        rows: The trail.
        moment: Before this time a call without an end must have ended, in the form of `now`.
    """
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        fields = row.fields
        if fields.get("kind") == "begin":
            found[row.id] = {
                "call": row.id,
                "begun": fields.get("time"),
                "ended": None,
                "state": "under_way" if fields.get("time", "") >= moment else "never_ended",
                "tool": fields.get("tool"),
                "arguments": fields.get("arguments"),
                "outcome": None,
                "key_ids": [fields["key_id"]] if fields.get("key_id") is not None else [],
                "client": fields.get("client"),
                "account": fields.get("account"),
            }
        elif fields.get("kind") == "end":
            number = fields.get("call", row.id)
            call = found.setdefault(
                number,
                {"call": number, "begun": None, "tool": fields.get("tool"), "arguments": None, "key_ids": []},
            )
            call |= {"ended": fields.get("time"), "state": "ended", "outcome": fields.get("outcome")}
            call |= {name: fields[name] for name in ("key_name", "confirmation", "policy") if name in fields}
            if fields.get("key_id") not in (None, *call["key_ids"]):
                call["key_ids"] = [*call["key_ids"], fields["key_id"]]
        elif fields.get("kind") != "pruned":
            found[row.id] = {"call": row.id, "begun": None, "state": "unreadable", "tool": None, "key_ids": []}
    return list(found.values())


def _last_number(db: Database) -> int:
    """The number of the row written last, which SQLite keeps although the row may be gone."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return int(found[0]) if found else 0


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."
