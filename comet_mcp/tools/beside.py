"""Work with the catalog asked beside it, which may be slow."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from comet_mcp.context import Context
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError

_T = TypeVar("_T")


async def beside_catalog(
    context: Context,
    body: KeySpec,
    warnings: list[str],
    max_wait: float,
    work: Callable[[], Awaitable[_T]],
    *,
    is_new: bool = False,
) -> _T:
    """What `work` gives. The catalog, which may be slow, is asked beside it for what to warn of.

    It is waited for `max_wait` seconds once the work is done. For a new key the account's balance is asked for too.
    """
    refused: CometError | None = None
    unknown: list[str] | None = None
    uncovered: list[str] = []
    async with anyio.create_task_group() as beside:

        async def look_up() -> None:
            nonlocal unknown
            with contextlib.suppress(Exception):  # whatever is wrong with the catalog, the key's own answer counts
                unknown = await context.app.catalog.warnings(body)

        async def compare() -> None:
            with contextlib.suppress(Exception):  # as above
                uncovered.extend(await context.app.catalog.uncovered(body))

        beside.start_soon(look_up)
        if is_new:
            beside.start_soon(compare)
        try:
            done = await work()
        except CometError as error:
            refused = error  # raised below: a task group would wrap it
        beside.cancel_scope.deadline = anyio.current_time() + (0 if refused else max_wait)
    if refused is not None:
        raise refused
    if unknown is None:
        unknown = ["Whether the account has these models and this group could not be checked."]
    warnings += [*unknown, *uncovered]
    return done
