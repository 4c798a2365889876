"""Every client that `install` knows, on one screen: where its servers stand, in which form, and what an entry needs.

Sources: the clients' documentation, and runs of those that could be run. A path is a template: `{NAME|else}` is an
environment variable or what stands for it, `*` any one folder. Of several the first that is there holds, else the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from comet_mcp.clients.jsonc import Extra

Form = Literal["json", "toml", "toml array", "yaml", "yaml list"]
Reference = Literal["$V", "${V}", "${env:V}", "{env:V}"]

_XDG = "{XDG_CONFIG_HOME|~/.config}"
_SUPPORT = "~/Library/Application Support"
_APPDATA = "{APPDATA|~/AppData/Roaming}"
_PACKAGES = "{LOCALAPPDATA|~/AppData/Local}/Packages"


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `key` is where its servers stand in the file; `extra` is added to the entry."""

    name: str
    title: str
    linux: tuple[str, ...]
    macos: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    key: str = "mcpServers"
    form: Form = "json"
    extra: dict[str, Any] = field(default_factory=dict)
    takes_comments: bool = False
    refuses: tuple[Extra, ...] = ()
    """What it was seen not to read in its JSON; of the other clients nobody knows."""
    passes: tuple[str, ...] | None = None
    """The environment variables that a server gets beside its own; None for all."""
    withholds: tuple[str, ...] = ()
    """Words in the names of variables that it does not pass, where it passes all others."""
    expands: tuple[Reference, ...] = ()
    """How an entry's variable may name another one, so that the client puts that one's value in its place."""
    then: str = "start a new session"

    def paths(self, platform: str) -> tuple[str, ...]:
        """The templates of its file on a system, by `sys.platform`."""
        own = {"darwin": self.macos, "win32": self.windows}.get(platform)
        return own or self.linux


_STRICT: tuple[Extra, ...] = ("comments", "trailing commas", "a byte order mark")
_RESTART = "quit and start it again"
_CODEX_PASSES = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")

CLIENTS: tuple[Client, ...] = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        (f"{_XDG}/Claude/claude_desktop_config.json",),
        (f"{_SUPPORT}/Claude/claude_desktop_config.json",),
        (
            f"{_PACKAGES}/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json",
            f"{_APPDATA}/Claude/claude_desktop_config.json",
        ),
        passes=("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"),
        refuses=_STRICT,
        then=_RESTART,
    ),
    Client(
        "claude-code",
        "Claude Code",
        ("{CLAUDE_CONFIG_DIR|~}/.claude.json",),
        extra={"type": "stdio"},
        refuses=("comments", "trailing commas"),
        expands=("${V}",),
    ),
    Client("cursor", "Cursor", ("~/.cursor/mcp.json",), expands=("${env:V}",), then=_RESTART),
    Client(
        "vscode",
        "VS Code",
        (f"{_XDG}/Code/User/mcp.json",),
        (f"{_SUPPORT}/Code/User/mcp.json",),
        (f"{_APPDATA}/Code/User/mcp.json",),
        key="servers",
        extra={"type": "stdio"},
        takes_comments=True,
        expands=("${env:V}",),
        then="say that you trust the server when it asks",
    ),
    Client(
        "vscode-insiders",
        "VS Code Insiders",
        (f"{_XDG}/Code - Insiders/User/mcp.json",),
        (f"{_SUPPORT}/Code - Insiders/User/mcp.json",),
        (f"{_APPDATA}/Code - Insiders/User/mcp.json",),
        key="servers",
        extra={"type": "stdio"},
        takes_comments=True,
        expands=("${env:V}",),
        then="say that you trust the server when it asks",
    ),
    Client(
        "devin",
        "Devin Desktop (was Windsurf)",
        ("~/.config/devin/mcp_config.json", "~/.codeium/windsurf/mcp_config.json"),
        windows=(f"{_APPDATA}/devin/mcp_config.json", "~/.codeium/windsurf/mcp_config.json"),
        then=_RESTART,
    ),
    Client(
        "zed",
        "Zed",
        (f"{_XDG}/zed/settings.json",),
        ("~/.config/zed/settings.json",),
        (f"{_APPDATA}/Zed/settings.json",),
        key="context_servers",
        takes_comments=True,
        then="nothing: it reads the file again by itself",
    ),
    Client("jetbrains", "JetBrains AI Assistant", ("~/.ai/mcp/mcp.json",), then="turn the server on in its settings"),
    Client("junie", "Junie", ("~/.junie/mcp/mcp.json",)),
    Client(
        "gemini",
        "Gemini CLI",
        ("~/.gemini/settings.json",),
        takes_comments=True,
        refuses=("trailing commas", "a byte order mark"),
        withholds=("TOKEN", "KEY", "SECRET", "PASSWORD", "AUTH", "CREDENTIAL"),
        expands=("${V}", "$V"),
    ),
    Client("antigravity", "Antigravity", ("~/.gemini/antigravity/mcp_config.json", "~/.gemini/config/mcp_config.json")),
    Client(
        "codex",
        "Codex",
        ("{CODEX_HOME|~/.codex}/config.toml",),
        key="mcp_servers",
        form="toml",
        # without `required` a run does not wait for it; without an approval mode it may not write unattended
        extra={"required": True, "startup_timeout_sec": 30, "default_tools_approval_mode": "prompt"},
        passes=_CODEX_PASSES,
    ),
    Client("goose", "goose", ("~/.config/goose/config.yaml",), key="extensions", form="yaml",
           windows=(f"{_APPDATA}/Block/goose/config/config.yaml",)),
    Client("opencode", "opencode", (f"{_XDG}/opencode/opencode.json", f"{_XDG}/opencode/opencode.jsonc"), key="mcp",
           takes_comments=True, expands=("{env:V}",)),
    Client("kilo", "Kilo", (f"{_XDG}/kilo/kilo.json", f"{_XDG}/kilo/kilo.jsonc"), key="mcp", takes_comments=True,
           expands=("{env:V}",)),
    Client("copilot", "GitHub Copilot CLI", ("{COPILOT_HOME|~/.copilot}/mcp-config.json",), takes_comments=True,
           extra={"type": "local", "tools": ["*"]}, expands=("${V}", "$V")),
    # it waits three seconds for a server that names no time
    Client("cline", "Cline", ("{CLINE_MCP_SETTINGS_PATH|{CLINE_DIR|~/.cline}/data/settings/cline_mcp_settings.json}",),
           extra={"disabled": False, "autoApprove": [], "timeout": 60}, refuses=_STRICT),
    Client("qwen", "Qwen Code", ("~/.qwen/settings.json",), takes_comments=True, refuses=("trailing commas",),
           expands=("${V}", "$V"), then=_RESTART),
    Client("kimi", "Kimi Code", ("{KIMI_CODE_HOME|~/.kimi-code}/mcp.json",), refuses=_STRICT),
    Client("droid", "Factory Droid", ("~/.factory/mcp.json",), takes_comments=True, extra={"type": "stdio"},
           refuses=("trailing commas", "a byte order mark"), expands=("${V}",),
           then="nothing: it reads the file again by itself"),
    Client("vibe", "Mistral Vibe", ("{VIBE_HOME|~/.vibe}/config.toml",), key="mcp_servers", form="toml array",
           extra={"transport": "stdio"}, passes=("HOME", "LC_CTYPE", "PATH", "TERM", "USER")),
    Client("continue", "Continue", ("~/.continue/config.yaml",), form="yaml list"),
    Client("kiro", "Kiro", ("~/.kiro/settings/mcp.json",), expands=("${V}",),
           then="nothing: it reads the file again by itself"),
    Client("warp", "Warp", ("~/.warp/.mcp.json",), then=_RESTART),
    Client("lmstudio", "LM Studio", ("~/.lmstudio/mcp.json",), then="nothing: it reads the file again by itself"),
)  # fmt: skip

BY_NAME = {client.name: client for client in CLIENTS}
