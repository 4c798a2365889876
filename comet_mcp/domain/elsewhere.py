"""Places for programs on other machines, as they are written: `github:OWNER/REPO/SECRET_NAME` or `command:LINE`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

Kind = Literal["github", "command"]
_GITHUB = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,38})/([A-Za-z0-9._-]{1,100})/([A-Za-z_][A-Za-z0-9_]{0,99})")
_LONGEST = 1000
_FORMS = '"github:OWNER/REPO/SECRET_NAME" or "command:PROGRAM ARGUMENT ..."'


class Elsewhere(NamedTuple):
    """A place: what takes the value, and where it puts it. GitHub knows no case in names, so one spelling stands here.

    As text it is one that `parse` takes.
    """

    kind: Kind
    where: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}"

    @classmethod
    def parse(cls, text: str) -> Elsewhere:
        """What a person means. Raises ArgumentError."""
        kind, _, where = text.strip().partition(":")
        where = where.strip()
        if kind == "command" and where and where.isprintable() and len(where) <= _LONGEST:
            return cls("command", where)
        if kind != "github":
            raise ArgumentError(f"{quoted(text)} is no place for programs elsewhere. Give {_FORMS}.")
        found = _GITHUB.fullmatch(where)
        if found is None or found[2] in (".", ".."):
            raise ArgumentError(f"{quoted(text)} is no secret of a repository. Give github:OWNER/REPO/SECRET_NAME.")
        if found[3].upper().startswith("GITHUB_"):
            raise ArgumentError(f"{quoted(text)}: GitHub takes no secret whose name begins with GITHUB_.")
        return cls("github", f"{found[1].lower()}/{found[2].lower()}/{found[3].upper()}")

    def is_listed(self, listed: Iterable[str]) -> bool:
        """Whether it is one of these: exact places, or beginnings of some that end in `*`."""
        return any(_fits(_folded(str(self)), _folded(entry)) for entry in listed)


def is_entry(text: str) -> bool:
    """Whether a list of places may have this entry."""
    kind, _, where = text.partition(":")
    return kind in get_args(Kind) and bool(where.strip()) and text.isprintable() and "*" not in text[:-1]


def is_of_github(entry: str) -> bool:
    """Whether an entry of such a list is for secrets of GitHub, which take a token."""
    return entry.startswith("github:")


def _fits(place: str, entry: str) -> bool:
    return place.startswith(entry[:-1]) if entry.endswith("*") else place == entry


def _folded(text: str) -> str:
    """In the one case that counts: a command's letters are as they are."""
    kind, _, where = text.partition(":")
    return f"{kind}:{where.strip().lower() if kind == 'github' else where.strip()}"
