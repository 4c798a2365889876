"""Every setting: its variable, its key in the config file, and what it means. README and server.json repeat it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comet_mcp.domain.money import PER_USD
from comet_mcp.errors import TOKEN_PAGE
from comet_mcp.policy.rules import RULES

PUBLIC_API = "https://api.cometapi.com"
GITHUB_API = "https://api.github.com"
MAX_TIMEOUT = 15.0
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
"""The name of an environment variable, as every shell takes it."""

Secrets = Literal["file", "keyring", "result", "none"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
TokenPlace = Literal["file", "keyring"]
Confirm = Literal["never", "destructive", "writes"]
Fallback = Literal["refuse", "allow"]
AuditMode = Literal["on", "required", "off"]
ToolName = Literal[
    "plan_api_key",
    "create_api_key",
    "list_api_keys",
    "get_api_key",
    "update_api_key",
    "delete_api_key",
    "tidy_api_keys",
    "rotate_api_key",
    "save_api_key",
    "verify_api_key",
    "list_models",
    "get_account",
    "get_usage",
]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the variable, the key in the config file (dotted), and its meaning. A `guard` holds agents back."""

    variable: str
    key: str
    help: str
    default: str = ""
    secret: bool = False
    guard: bool = False


def is_ours_alone(variable: str) -> bool:
    """Whether a variable is for this server alone, so that no program has to get it. Windows knows no case in names."""
    return variable.upper() == "COMETAPI_ACCESS_TOKEN" or variable.upper().startswith("COMETAPI_MCP_")


SETTINGS = (
    Setting(
        "COMETAPI_ACCESS_TOKEN",
        "access_token",
        f"Personal access token of the account, raw, from {TOKEN_PAGE}. Not a model key.",
        secret=True,
    ),
    Setting("COMETAPI_BASE_URL", "base_url", "Address of the API. A trailing /v1 is dropped.", PUBLIC_API),
    Setting("COMETAPI_USER_ID", "user_id", "Account id, sent as New-Api-User. Self-hosted gateways need it."),
    Setting(
        "COMETAPI_MCP_ACCESS_TOKEN_IN",
        "mcp.access_token_in",
        "keyring where cometapi-mcp login has put the access token into the system's keychain; file else.",
        "file",
    ),
    Setting(
        "COMETAPI_MCP_SECRETS",
        "mcp.secrets",
        "Where a new key's value goes: file (a 0600 file per key), keyring, result (plaintext to the model), none.",
        "file",
    ),
    Setting(
        "COMETAPI_MCP_KEY_DIR",
        "mcp.key_dir",
        "Directory of the key files.",
        str(Path("~/.config/cometapi/keys")),
    ),
    Setting(
        "COMETAPI_MCP_KEY_VARIABLES",
        "mcp.key_variables",
        "Variables that save_api_key may set beside those whose names end in _KEY or _TOKEN, separated by commas.",
    ),
    Setting(
        "COMETAPI_MCP_ENV_DIRS",
        "mcp.env_dirs",
        "Folders in and below which save_api_key may write dotenv files unasked, full paths separated by commas.",
    ),
    Setting(
        "COMETAPI_MCP_PLACES",
        "mcp.places",
        "Where save --to may put values: github:OWNER/REPO/SECRET or command:LINE, whole or ending in *, with commas.",
    ),
    Setting(
        "COMETAPI_MCP_GITHUB_API",
        "mcp.github_api",
        "Address of GitHub's API, for GitHub Enterprise; https, unless it is this machine.",
        GITHUB_API,
    ),
    Setting(
        "COMETAPI_MCP_STATE",
        "mcp.state",
        "The journal, one SQLite file shared by all servers of a user.",
        "in the user's state directory",
    ),
    Setting(
        "COMETAPI_MCP_UNITS_PER_USD",
        "mcp.units_per_usd",
        "Quota units in one US dollar; where it is not set, an API that says otherwise is refused.",
        str(PER_USD),
    ),
    Setting(
        "COMETAPI_MCP_TIMEZONE",
        "mcp.timezone",
        "Zone in which dates are meant and days begin, an IANA name such as Asia/Tokyo.",
        "this machine's",
    ),
    Setting("COMETAPI_MCP_TIMEOUT", "mcp.timeout", "Seconds within which every call answers, 1 to 15.", "15"),
    Setting(
        "COMETAPI_MCP_ALLOW_HTTP",
        "mcp.allow_http",
        "1 allows plain http to a host that is not this machine; the token then travels unencrypted.",
        "0",
    ),
    Setting(
        "COMETAPI_MCP_PROXY",
        "mcp.proxy",
        "Proxy to another machine's API, such as http://proxy.example:3128. The usual proxy variables are not read.",
        secret=True,
    ),
    Setting(
        "COMETAPI_MCP_CA_BUNDLE",
        "mcp.ca_bundle",
        "PEM file with the certificates to trust, instead of the system's.",
        "what the system trusts",
    ),
    Setting(
        "COMETAPI_MCP_CALLS",
        "mcp.calls",
        "Calls of the API in three minutes, at most; the API itself allows 360. 0 for no limit.",
        "350",
    ),
    Setting(
        "COMETAPI_MCP_READ_ONLY",
        "mcp.read_only",
        "1 leaves out every tool that changes something.",
        "0",
        guard=True,
    ),
    Setting(
        "COMETAPI_MCP_DISABLE_TOOLS",
        "mcp.disable_tools",
        "Names of tools to leave out, separated by commas.",
        guard=True,
    ),
    Setting(
        "COMETAPI_MCP_CONFIRM",
        "mcp.confirm",
        "What a person confirms first: never, destructive (update, delete, rotate), writes (create and save too).",
        "never",
        guard=True,
    ),
    Setting(
        "COMETAPI_MCP_CONFIRM_FALLBACK",
        "mcp.confirm_fallback",
        "What happens where the client can't ask a person: refuse, allow.",
        "refuse",
        guard=True,
    ),
    Setting(
        "COMETAPI_MCP_AUDIT",
        "mcp.audit",
        "The audit trail of writing calls: on, required (no write without its entry), off.",
        "on",
        guard=True,
    ),
    Setting(
        "COMETAPI_MCP_REPLAY",
        "mcp.replay",
        "0: no recording of a start's handshake, from which a later start answers while it is still loading.",
        "1",
    ),
    Setting("COMETAPI_MCP_LOG", "mcp.log", "Log level on stderr: DEBUG, INFO, WARNING, ERROR.", "WARNING"),
    Setting(
        "COMETAPI_MCP_CONFIG",
        "",
        "Another config file, for a second account.",
        str(Path("~/.config/cometapi/config.toml")),
    ),
    Setting(
        "COMETAPI_PROFILE",
        "",
        "Which account of the config file this is, by the name of its [profiles.NAME] table; --profile says the same.",
        "the one at the file's top",
    ),
    *(Setting(rule.variable(), rule.key(), rule.help(), rule.default, guard=True) for rule in RULES),
)
