"""How a client starts this server: by an absolute path, for most pass hardly any environment; never with a token."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import which
from typing import Any

from comet_mcp.clients.table import Client
from comet_mcp.errors import SettingsError

NAME = "cometapi"
"""What the server is called in every client."""
KEPT = ("COMETAPI_MCP_CONFIG", "COMETAPI_PROFILE")
"""Variables that say where the settings are. They hold no secret, and a client passes only what its entry names."""
ENVIRONMENTS = ("env", "environment", "envs")
"""What clients call the variables of an entry."""
DISTRIBUTION = "cometapi-mcp"


@dataclass(frozen=True, slots=True)
class Start:
    """A command, its arguments, and the variables it needs."""

    command: str
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_this(cls, environ: Mapping[str, str]) -> Start:
        """That of the program that runs now: through uvx where it came so, else its installed command."""
        env = {name: environ[name] for name in KEPT if environ.get(name)}
        uvx = which("uvx")
        if uvx and _is_uv_cache(Path(sys.prefix)):
            return cls(uvx, ["--from", _source(), DISTRIBUTION], env)
        command = Path(sysconfig.get_path("scripts")) / f"{DISTRIBUTION}{'.exe' if sys.platform == 'win32' else ''}"
        if command.is_file():
            return cls(str(command), [], env)
        return cls(sys.executable, ["-P", "-m", "comet_mcp"], env)

    def entry(self, client: Client) -> dict[str, Any]:
        """The client's entry for it."""
        if client.key == "mcp":  # opencode and what came of it
            environment = {"environment": self.env} if self.env else {}
            return {"type": "local", "command": [self.command, *self.args], **environment, "enabled": True}
        if client.name == "goose":
            return {
                "enabled": True,
                "type": "stdio",
                "name": NAME,
                "description": "Makes and manages scoped CometAPI keys",
                "cmd": self.command,
                "args": self.args,
                "envs": self.env,
                "timeout": 300,
            }
        env = {"env": self.env} if self.env else {}
        return {**client.extra, "command": self.command, "args": self.args, **env}

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Start:
        """What an entry of any client starts. Raises SettingsError where it has no command."""
        command = entry.get("command", entry.get("cmd"))
        words = [*(command if isinstance(command, list) else [command]), *(entry.get("args") or [])]
        if not words[:1] or not all(isinstance(word, str) for word in words) or not words[0]:
            raise SettingsError("it has no command")
        env = next((found for name in ENVIRONMENTS if isinstance(found := entry.get(name), dict)), {})
        return cls(words[0], words[1:], {str(name): str(value) for name, value in env.items()})

    @property
    def is_this(self) -> bool:
        """Whether it starts the installation that runs now."""
        own = Start.of_this({})
        here = folder_of(which(self.command) or self.command)
        if Path(own.command).stem == "uvx":
            return here == folder_of(own.command) and self.args == own.args
        return here in (folder_of(own.command), folder_of(sys.executable))


def folder_of(command: str) -> Path:
    """The folder that a command stands in, links to it resolved: an interpreter there may be a link itself."""
    return Path(command).parent.resolve()


def _is_uv_cache(prefix: Path) -> bool:
    """Whether an environment is one that uv made for one run and may remove."""
    return any(part.startswith(("archive-v", "environments-v", "builds-v")) for part in prefix.parts)


def _source() -> str:
    """What `uvx --from` takes to get this very program again: where it was installed from, else its version."""
    try:
        package = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return DISTRIBUTION
    direct = json.loads(package.read_text("direct_url.json") or "{}")
    url = direct.get("url")
    if not url:
        return f"{DISTRIBUTION}=={package.version}"
    vcs = direct.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else str(url)
