"""What takes a key's value for programs on other machines: one class for each kind of place."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr

from comet_mcp.domain.elsewhere import Elsewhere
from comet_mcp.settings import Settings


class Manager(Protocol):
    """Keeps values for programs elsewhere. A third one takes its class, its kind in `domain.elsewhere`, a line below.

    Each method has so many seconds, and raises UnwrittenError where nothing was changed there, StoreError where that is
    not known. Nothing that it says has the value.
    """

    async def has_value(self, where: str, seconds: float) -> bool:
        """Whether a value is seen there, which `put` would replace. False where that can't be seen."""

    async def put(self, where: str, value: SecretStr, seconds: float) -> None:
        """Put the value there, in place of any other. Done twice it is the same."""

    async def clear(self, where: str, seconds: float) -> bool:
        """Remove what is there. False where the person has to."""


def manager_of(place: Elsewhere, settings: Settings) -> Manager:
    """What takes values for that kind of place."""
    if place.kind == "github":
        from comet_mcp.secret_store.github import GitHub  # noqa: PLC0415 - few put values elsewhere

        return GitHub(settings)
    from comet_mcp.secret_store.command import Command  # noqa: PLC0415

    return Command()
