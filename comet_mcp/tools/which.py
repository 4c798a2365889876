"""Which key a tool is about: by its id, or by a name that no other key has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.context import Context
from comet_mcp.errors import ArgumentError
from comet_mcp.services.naming import key_named

KeyId = Annotated[int, Field(description="Or key_name")]
"""A key's id; 0 where none is given. That key_name can take its place is said here alone, for both."""

KeyName = str
"""A key's name instead of its id; "" where none is given."""


async def id_of(context: Context, id: int, key_name: str) -> int:
    """The id of the key that is meant. The name is looked up anew in each run of a tool, before a person is asked.

    Raises:
        ArgumentError: Neither or both are given, or several keys have the name.
        NotFoundError: No key has it.
    """
    if id < 0:
        raise ArgumentError("id must be at least 1.")
    if bool(id) == bool(key_name):
        raise ArgumentError(
            "id and key_name both say which key. Give one of them."
            if id
            else "Say which key: give its id, or key_name with its exact name."
        )
    if id:
        return id
    row = await key_named(context.app.api, key_name, context.app.clock.now())
    context.note.key_id, context.note.key_name = row.id, row.name
    return row.id
