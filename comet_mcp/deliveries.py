"""What is to be done once an answer was written to the client: told by the transport, asked for by the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Finish = Callable[[bool], Awaitable[None]]
"""Gets whether the answer was written."""


class Deliveries:
    """The answers that are on their way to one client, by the ids of their requests."""

    def __init__(self) -> None:
        self._waiting: dict[str | int, Finish] = {}

    def expect(self, request_id: str | int, finish: Finish) -> None:
        """Have `finish` done once the answer to that request was written."""
        self._waiting[request_id] = finish

    async def written(self, request_id: str | int | None, *, read: bool = True) -> None:
        """The answer to that request was written; or, where not `read`, nobody will read it."""
        finish = self._waiting.pop(request_id, None) if request_id is not None else None
        if finish is not None:
            await finish(read)

    async def give_up(self) -> None:
        """No other answer will be written."""
        for request_id in list(self._waiting):
            await self.written(request_id, read=False)
