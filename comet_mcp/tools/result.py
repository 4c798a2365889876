"""What a tool returns, as JSON knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(kw_only=True, eq=False, repr=False)
class Result:
    """A tool's result: a dataclass of strings, numbers, lists and other results. What is None is left out.

    `unpublished` fields are not named in the output schema, which every conversation has to read. None has a text form
    of its own: it would show a value, and generating it takes a part of the server's start.
    """

    unpublished: ClassVar[frozenset[str]] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        return {name: _plain(value) for name, value in vars(self).items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.as_json() if isinstance(value, Result) else value
