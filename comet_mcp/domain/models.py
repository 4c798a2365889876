"""The list of models of a key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_PART = r"[^\s\[\]\"'{},]"
_ID = re.compile(rf"(?:{_PART}|\[{_PART}+\])+")
_IN_BRACKETS = re.compile(r"\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class ModelList:
    """The ids of `model_limits`, trimmed, each once.

    The API splits at commas without trimming, so " b" never matches (measured): what is sent is `text`.
    """

    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, ids: Iterable[str]) -> Self:
        """The list of these ids."""
        return cls(tuple(dict.fromkeys(entry.strip() for entry in ids)))

    @classmethod
    def parse(cls, model_limits: str) -> Self:
        """The list that the API's text has, ids with commas between; what is empty there is no entry."""
        return cls.of(entry for entry in model_limits.split(",") if entry.strip())

    @property
    def text(self) -> str:
        """The list in the API's form."""
        return ",".join(self.ids)

    @property
    def wrong(self) -> list[str]:
        """The entries that look like no id of a model, but rather like a list that was written in another form.

        An id has no spaces, quotes or braces, as a rule, and brackets in pairs, not around it all: `[free]gpt-4o`.
        """
        return [entry for entry in self.ids if not _ID.fullmatch(entry) or _IN_BRACKETS.fullmatch(entry)]

    def allows(self, other: ModelList) -> bool:
        """Whether it has every model that the other one has."""
        return set(other.ids) <= set(self.ids)
