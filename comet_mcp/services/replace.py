"""The key that takes an old one's place: made now, or by a call before or beside this one."""

from __future__ import annotations

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.errors import CreateUnclearError, NotFoundError
from comet_mcp.journal.operations import OldKey, Operation, State
from comet_mcp.services.core import Core
from comet_mcp.services.create import Creator
from comet_mcp.services.delivery import Told
from comet_mcp.services.finding import Created
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota
from comet_mcp.services.reading import read_again
from comet_mcp.services.retire import Retirement
from comet_mcp.services.secrets import Secrets
from comet_mcp.services.take_up import TakeUp


class Replacer:
    """Makes the keys of one account that replace others."""

    def __init__(
        self, core: Core, *, progress: Progress, creator: Creator, taker: TakeUp, secrets: Secrets, quota: Quota
    ) -> None:
        self._api, self._clock = core.api, core.clock
        self._progress = progress
        self._creator = creator
        self._taker = taker
        self._secrets = secrets
        self._quota = quota

    async def new_key(
        self, old: Key, retirement: Retirement, known: list[Operation], deadline: Deadline, told: Told
    ) -> tuple[Created, int]:
        """The new key, made now, or by a call before or beside this one, and the quota units that it was given."""
        spec = writable_spec(old)
        replaced = OldKey(old.id, old.created_time, retirement.end, retirement.until, spec.remain_quota)
        over = {rotation.id for rotation in known if rotation.state is State.RETIRED}
        await self._secrets.check(deadline)
        end = self._clock.monotonic() + self._api.timeout * 0.8
        while True:
            try:
                async with self._creator.reserved():
                    operation, is_new = await self._creator.begin(
                        spec, deadline, old=replaced, extra=old.extra, over=over
                    )
                    given = operation.old.left if operation.old else 0
                    if is_new:
                        return await self._creator.make(operation, deadline, told), given
                if operation.is_held(self._clock.now()) and not operation.disconnected:
                    await self._clock.sleep(0.1)
                elif operation.key_id is not None:
                    if (created := await self.resumed(operation, deadline, told)) is not None:
                        return created, given
                elif (created := await self._taker.take_up(operation, deadline, told)) is not None:
                    return created, given
            except CreateUnclearError as error:
                raise _explained(error, old) from None
            if self._clock.monotonic() > end:
                raise CreateUnclearError(
                    f"Another call is rotating key {old.id} right now. Try again in a few seconds."
                )

    async def resumed(self, operation: Operation, deadline: Deadline, told: Told) -> Created | None:
        """The new key that an earlier call made, with its value stored now if it was not. None where it is gone."""
        row = await self.made(operation, deadline)
        if row is None:
            await self._progress.advance(operation.id, State.RELEASED)  # somebody deleted it: another is made
            return None
        self._quota.enforcer.require_own(row)
        created = await self._creator.store(Created(row, operation.id), deadline)
        told.of(row)
        told.operations.append(operation.id)
        return created

    async def made(self, operation: Operation, deadline: Deadline) -> Key | None:
        """The key that a rotation made; None where it is gone, and where its id is another key's by now."""
        if operation.key_id is None:
            return None
        try:
            return await read_again(self._api, operation.key_id, operation.key_created, seconds=deadline.left)
        except NotFoundError:
            return None


def _explained(error: CreateUnclearError, old: Key) -> CreateUnclearError:
    """The error of an unclear create, with the next step of the rotation."""
    if error.code == "create_ambiguous":
        step = (
            f"The old key {old.id} is untouched. Once one of them is left, store its value with save_api_key, and then "
            f"disable or delete key {old.id}; rotate_api_key would make one more."
        )
    else:
        step = "Then call rotate_api_key again, which goes on with that key."
    return CreateUnclearError(f"{error.args[0]} {step}", code=error.code)
