"""What `watch` has said already, in a file of its own beside the journal: for one watcher at a time.

Each kind of notice is noted by itself, so that a look with one threshold forgets nothing of a look with another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from comet_mcp.domain.watch import Notice
from comet_mcp.errors import CometError
from comet_mcp.secret_store.directory import Directory

_FILE = "said.json"
_DIGITS = 16
"""Hex digits that stand for a notice: the file tells no names, and stays small."""


class Said:
    """What was said of each account."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @classmethod
    @contextmanager
    def held(cls, path: Path) -> Iterator[Said]:
        """What is in a directory, alone among all watchers. Raises CometError where it can't be used."""
        try:
            with Directory.opened(path) as directory, directory.locked():
                yield cls(directory)
        except OSError as error:
            why = error.strerror or error
            raise CometError(
                f"What was said before is noted in {path}, and that can't be used: {why}. Nothing was said.",
                code="not_noted",
            ) from None

    def of(self, account: str, found: Iterable[Notice]) -> set[str]:
        """The ids of those notices that were said of an account."""
        noted = self._read()
        return {one.id for one in found if _short(one.id) in noted.get(f"{account} {one.kind}", [])}

    def note(self, account: str, kinds: Iterable[str], said: Iterable[Notice]) -> None:
        """Note that these, and no others of these kinds, were said and still hold. Raises OSError."""
        noted, said = self._read(), list(said)
        for kind in kinds:
            noted[f"{account} {kind}"] = sorted(_short(one.id) for one in said if one.kind == kind)
        self._directory.replace(_FILE, json.dumps(noted, indent=1).encode())

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._directory.read(_FILE) or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(ids, list) for ids in found.values()):
            raise OSError(0, f"{_FILE} in it is damaged; remove it, and what holds now is said once more")
        return found


def _short(id: str) -> str:
    return hashlib.sha256(id.encode()).hexdigest()[:_DIGITS]
