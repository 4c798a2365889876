"""Our settings in the config file, which is the official cli's too: whatever else is in it stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comet_mcp.clients import toml_file
from comet_mcp.clients.file import edited, read_text, write_text
from comet_mcp.errors import SettingsError

_BOM = "\ufeff"
_PRIVATE = 0o600


class ConfigFile:
    """The config file as it was read, and as it is to become.

    Args:
        path: Where it is, or will be.
        profile: Whose tables are changed, "" for those at the file's top.

    Raises:
        SettingsError: It can't be read, or is no TOML.
    """

    def __init__(self, path: Path, profile: str) -> None:
        self.path = path
        self._above = ["profiles", profile] if profile else []
        self._before = read_text(path)
        self._after = self._before or ""
        self._read()

    @property
    def content(self) -> dict[str, Any]:
        """What it will say."""
        return self._read()

    @property
    def own(self) -> Mapping[str, Any]:
        """The same of the profile's tables."""
        found: Any = self._read()
        for step in self._above:
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def put(self, values: Mapping[str, Any], table: str = "") -> None:
        """Change the settings of these names in a table; None takes one out. Raises SettingsError."""
        where = [*self._above, table] if table else self._above
        self._after = edited(self._after, self.path, lambda text: toml_file.with_values(text, where, values))

    def write(self) -> None:
        """Write it, for its owner alone. Raises SettingsError: it can't be written, or was changed meanwhile."""
        if self._after != (self._before or ""):
            write_text(self.path, self._before, self._after, mode=_PRIVATE)
            self._before = self._after

    def _read(self) -> dict[str, Any]:
        try:
            return toml_file.read(self._after.removeprefix(_BOM))
        except toml_file.NotTOMLError as error:
            raise SettingsError(f"{self.path} can't be read: {error}. Nothing was changed.") from None
