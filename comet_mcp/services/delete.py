"""Deleting a key so that its value goes with it, also where the answer was lost.

A delete is on disk before it is sent. One whose answer was lost may still be carried out; whoever then finds the key
gone removes its stored value, which is of no use to anybody any more.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from comet_mcp.api.client import CometAPI
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import APIError, CometError, NotFoundError, RefusedError, UnauthorizedError, UnclearError
from comet_mcp.journal.operations import Operation, State
from comet_mcp.secret_store import NOWHERE, Forgotten
from comet_mcp.services.change_journal import ChangeJournal
from comet_mcp.services.core import Core
from comet_mcp.services.hold import Hold
from comet_mcp.services.reading import read_again
from comet_mcp.services.secrets import Secrets
from comet_mcp.text import quoted


@dataclass(frozen=True, slots=True)
class Gone:
    """A key that is not there: the delete of ours that was left open, if one was, and where its value was."""

    by: Operation | None
    forgotten: Forgotten

    def __str__(self) -> str:
        """In sentences; "" where nothing is known of it."""
        if self.by is None:
            return ""
        key = f"Key {self.by.key_id} {quoted(self.by.spec.name)}"
        said = f"{key} is deleted now: what came of its delete at {when(int(self.by.begun))} was not known."
        return f"{said} {self.forgotten}".strip()


@dataclass(frozen=True, slots=True)
class Deleted:
    """How a delete went, where that has to be said, and where the key's value was."""

    notes: list[str]
    forgotten: Forgotten

    @property
    def sentences(self) -> list[str]:
        """All that is to be said; "" where the value was nowhere."""
        return [*self.notes, str(self.forgotten)]


class Deleter:
    """Deletes the keys of one account."""

    def __init__(self, core: Core, changes: ChangeJournal, secrets: Secrets) -> None:
        self._api = core.api
        self._changes = changes
        self._secrets = secrets

    async def delete(self, hold: Hold, row: Key, deadline: Deadline) -> Deleted:
        """Delete a key that was read under the hold, and its stored value.

        Raises:
            UnsentError, RefusedError: It is still there.
            UnclearError: Whether it is, is not known.
        """
        notes = []
        operation = await self._changes.begin_delete(hold, row)
        try:
            if not await delete_key(self._api, row, deadline):
                notes.append("The API's answer was lost, but the key is gone.")
        except NotFoundError:
            notes.append("Somebody else deleted it at the same moment.")
        except UnclearError:
            await self._changes.note(hold, operation, State.OUTCOME_UNKNOWN)
            raise
        except APIError:
            await self._changes.note(hold, operation, State.NOT_DONE)
            raise
        forgotten = await self._secrets.forget(row.id, row.created_time, deadline, row)
        for sent in hold.deletes:
            await self._changes.note(hold, sent, State.SETTLED)
        for lost in hold.open:
            await self._changes.note_gone(hold, lost)
        return Deleted(notes, forgotten)

    async def read(self, key_id: int, deadline: Deadline) -> Key:
        """The key of that id. Raises NotFoundError; where a delete of it was left open, that says so and settles it."""
        try:
            return await self._api.get_token(key_id, seconds=deadline.left)
        except NotFoundError:
            if said := str(await self.gone(key_id, deadline)):
                raise NotFoundError(said) from None
            raise

    async def gone(self, key_id: int, deadline: Deadline, was: Key | None = None) -> Gone:
        """Settle the deletes of a key that is not there. Where there were any, its stored value is removed.

        With the key as the account `was` known to have it, the value goes in any case: of an id alone that is not
        known, for another account of the same API may have it.
        """
        sent = await self._changes.open_deletes(key_id)
        created = was.created_time if was else sent[-1].key_created if sent else None
        forgotten = await self._secrets.forget(key_id, created, deadline, was) if sent or was else NOWHERE
        with contextlib.suppress(CometError):  # they are settled once more by the next call: no harm
            await self._changes.settle_deletes(sent)
        return Gone(sent[-1] if sent else None, forgotten)


async def delete_key(api: CometAPI, row: Key, deadline: Deadline) -> bool:
    """Delete a key. False where the API's answer was lost and the key is gone all the same.

    Raises:
        NotFoundError: There was none.
        UnsentError, RefusedError: It is still there.
        UnclearError: Whether it is, is not known.
    """
    deadline.require_time_to_write()
    key_id = row.id
    try:
        await api.delete_token(key_id, seconds=deadline.left * 0.6)
    except NotFoundError:
        raise
    except APIError as error:
        try:
            await read_again(api, key_id, row.created_time, seconds=deadline.left)
        except NotFoundError:
            return False
        except APIError:
            if isinstance(error, RefusedError) and not isinstance(error, UnauthorizedError):
                # a proxy can refuse what the API behind it has done
                raise UnclearError(
                    f"The delete of key {key_id} was refused ({error.code}), and the key could not be read again, "
                    f"so it is not known whether it is there. Call get_api_key with id {key_id} in a minute.",
                    code="delete_outcome_unknown",
                    request_id=error.request_id,
                ) from None
            raise error from None  # of the two it is the one that says what may have happened to the key
        if isinstance(error, UnclearError):
            raise UnclearError(
                f"{error.args[0]} Key {key_id} is still there, and the delete may still be carried out. Call "
                f"get_api_key with id {key_id} in a minute, and delete_api_key again if it is there.",
                code="delete_outcome_unknown",
                request_id=error.request_id,
            ) from None
        raise
    return True
