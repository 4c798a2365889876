"""Each setting as it is given: its text, and where that stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import SecretStr

from comet_mcp.policy.rule import WrongValueError, filled
from comet_mcp.settings import values
from comet_mcp.settings.hints import KEYCHAIN
from comet_mcp.settings.kept_token import kept_token
from comet_mcp.settings.profiles import Chosen
from comet_mcp.settings.table import SETTINGS, TokenPlace
from comet_mcp.text import quoted

_T = TypeVar("_T")
_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
TOKEN = "COMETAPI_ACCESS_TOKEN"  # noqa: S105 - a name
DEFAULT = "the default"
"""Where a setting's value is from that nobody gave."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A setting's value as text, "" for none; its key where it stands in the config file, and the name for messages."""

    text: str
    key: str
    source: str
    is_empty_guard: bool = False


class Given:
    """What the environment and the parsed config file give.

    Args:
        chosen: All variables, and what is in the config file.
        path: The config file.
        problems: Sentences on what is wrong, to which more are added.
    """

    def __init__(self, chosen: Chosen, path: Path, problems: list[str]) -> None:
        self._chosen = chosen
        self._path = path
        self._problems = problems
        self.in_file: dict[str, str] = {}
        """The variables that were read from the config file, each with its key there."""
        self.is_in_keychain = False
        """Whether the access token is looked for there."""

    def read(self, variable: str, parse: Callable[[str], _T], default: _T) -> _T:
        """The value of a setting; the default where there is none or it is wrong, which is then a problem."""
        given = self._given(variable)
        if not given.text:
            if given.is_empty_guard:
                self._problems.append(f"{given.source} is empty. Give it a value, or leave the line out.")
            return default
        if given.key:
            self.in_file[variable] = given.key
        try:
            return parse(filled(given.text))
        except WrongValueError as wrong:
            self._problems.append(f"{given.source} {wrong}.")
            return default

    def place(self, variable: str, default: Path) -> Path:
        """The same for a path, which has to be a full one."""
        path = self.read(variable, values.path, default)
        if not path.is_absolute():
            self._problems.append(f"{variable} is not set, and this user has no home directory. Set it, or HOME.")
        return path

    def token(self, profile: str) -> SecretStr | None:
        """The access token of the environment or the file, else of the keychain where the file says so."""
        kept_in = self.read("COMETAPI_MCP_ACCESS_TOKEN_IN", values.one_of(get_args(TokenPlace)), "file")
        if self._given(TOKEN).text or kept_in == "file":
            return self.read(TOKEN, values.access_token, None)
        self.is_in_keychain = True
        try:
            return kept_token(self._path, profile)
        except WrongValueError as wrong:
            again = f"cometapi-mcp login --keychain{f' --profile {profile}' if profile else ''}"
            self._problems.append(f"{KEYCHAIN} {wrong}. Run `{again}`.")
            return None

    @property
    def is_wrong_token(self) -> bool:
        """Whether a token is given, or said to be in the keychain, or what was meant for one is told already."""
        return self.is_in_keychain or any(TOKEN in problem for problem in self._problems)

    def sources(self) -> dict[str, str]:
        """Where each setting's value is from, in words, by its variable."""
        return {variable: self._source(variable) for variable in _BY_VARIABLE}

    def _source(self, variable: str) -> str:
        given = self._given(variable)
        if variable == TOKEN and self.is_in_keychain:
            return KEYCHAIN.lower()
        if not given.text:
            return DEFAULT
        if not given.key:
            return f"the variable {variable}"
        table, _, name = given.key.rpartition(".")
        return f"{name} {f'in [{table}]' if table else 'at the top'} of the config file {quoted(str(self._path), 300)}"

    def _given(self, variable: str) -> _Given:
        """The value in the environment, else in the file. A guard that is empty there was meant to hold agents back."""
        if text := self._chosen.environ.get(variable, ""):
            return _Given(text, "", variable)
        setting = _BY_VARIABLE[variable]
        value: Any = self._chosen.config if setting.key else None
        for part in setting.key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        is_empty_guard = setting.guard and value in ("", [])
        if isinstance(value, bool):
            value = str(int(value))
        if isinstance(value, list):
            value = ",".join(map(str, value))
        text = "" if value is None else str(value)
        key = self._chosen.full_key(setting.key)
        return _Given(text, key, f"{key} in the config file ({variable})", is_empty_guard)
