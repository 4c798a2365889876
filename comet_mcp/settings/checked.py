"""What the server was told, once it is checked."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from comet_mcp.clock import MACHINE_ZONE
from comet_mcp.domain.money import Units
from comet_mcp.errors import SettingsError
from comet_mcp.policy.policy import Policy
from comet_mcp.settings.hints import how_to_fix
from comet_mcp.settings.table import (
    GITHUB_API,
    MAX_TIMEOUT,
    PUBLIC_API,
    AuditMode,
    Confirm,
    Fallback,
    LogLevel,
    Secrets,
    ToolName,
)
from comet_mcp.text import quoted


def default_state() -> Path:
    """`cometapi-mcp/journal.sqlite3` in the directory where the system keeps a user's program state."""
    from platformdirs import user_state_path  # noqa: PLC0415 - not needed where COMETAPI_MCP_STATE is set

    try:
        return user_state_path("cometapi-mcp", appauthor=False) / "journal.sqlite3"
    except RuntimeError:  # as in at_home
        return Path("journal.sqlite3")


def default_config() -> Path:
    """The file of the official cli, on every system."""
    return at_home(".config", "cometapi", "config.toml")


def at_home(*parts: str) -> Path:
    """A path below the user's home; one that is not absolute where there is none, as for many a container's user."""
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError:
        return Path(*parts)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server was told, checked. `problems` and `warnings` are sentences for the person who runs it."""

    access_token: SecretStr | None = None
    base_url: str = PUBLIC_API
    user_id: str | None = None
    secrets: Secrets = "file"
    key_dir: Path = field(default_factory=lambda: at_home(".config", "cometapi", "keys"))
    key_variables: frozenset[str] = frozenset()
    env_dirs: tuple[Path, ...] = ()
    places: tuple[str, ...] = ()
    github_api: str = GITHUB_API
    github_token: SecretStr | None = None
    """The person's GH_TOKEN, which is read only where a place of GitHub is listed."""
    state: Path = field(default_factory=default_state)
    units: Units = Units(is_assumed=True)  # noqa: RUF009 - frozen
    timezone: tzinfo = MACHINE_ZONE
    timeout: float = MAX_TIMEOUT
    proxy: SecretStr | None = None
    ca_bundle: Path | None = None
    calls: int = 350
    read_only: bool = False
    replay: bool = True
    """Whether a start is recorded, and a later one answers the handshake from that."""
    disable_tools: frozenset[ToolName] = frozenset()
    confirm: Confirm = "never"
    confirm_fallback: Fallback = "refuse"
    audit: AuditMode = "on"
    log: LogLevel = "WARNING"
    policy: Policy = Policy()  # noqa: RUF009 - frozen
    config: Path = field(default_factory=default_config)
    profile: str = ""
    """The profile that was chosen, "" for the account at the top of the config file."""
    unknown_profile: str = ""
    """The one of the problems that says that there is no such profile, "" where there is."""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    missing_token: str = ""
    """The one of the problems that says that there is no access token, "" where that is none."""
    is_in_keychain: bool = False
    """Whether the access token is the keychain's."""
    hints: tuple[str, ...] = ()
    """Where a token was looked for, and what may be meant for one, while it is missing."""
    in_file: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The variables whose values came from the config file, each with its key there."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each setting's value is from, in words, by its variable: a variable, a place in the config file, ..."""
    files: Mapping[Path, str] = field(default_factory=dict, compare=False)
    """The config files there could be, each with what became of it: read, not there, can't be read, not looked for."""
    unread_proxy: str = ""
    """The variable in which other programs find a proxy, while this one has none."""

    def require_usable(self) -> None:
        """Raise SettingsError, with the steps that fix it, while something is wrong."""
        if self.problems:
            raise SettingsError(how_to_fix(self.problems, self.config, self.hints, self.profile))

    def source(self, variable: str) -> str:
        """Where a setting's value is to be corrected: its variable, or its key in the config file."""
        if variable == "COMETAPI_ACCESS_TOKEN" and self.is_in_keychain:
            return "the system's keychain (cometapi-mcp login --keychain does that)"
        key = self.in_file.get(variable)
        return f"{key} in the config file {quoted(str(self.config), 300)}" if key else variable

    @property
    def known_secrets(self) -> list[str]:
        """What no text may repeat: the access tokens, and the proxy's password as it is, in an address and as sent.

        A name without a password is one.
        """
        tokens = (self.access_token, self.github_token)
        known = [token.get_secret_value() for token in tokens if token]
        url = urlsplit(self.proxy.get_secret_value()) if self.proxy else None
        if url is not None and (secret := url.password or url.username):
            name, password = unquote(url.username or ""), unquote(url.password or "")
            sent = base64.b64encode(f"{name}:{password}".encode()).decode()
            known += [unquote(secret), secret, sent]
        return known

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The problems but for a missing token: where a person looks at settings, the token may be elsewhere."""
        return tuple(problem for problem in self.problems if problem != self.missing_token)
