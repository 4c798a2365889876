"""The only reader of the environment and of the config file.

A value is looked for in the environment, then in the config file (shared with the official cli:
`~/.config/cometapi/config.toml`, on every system), then the default holds. An empty value counts as absent:
some clients pass an empty string for a field their user left blank. `SETTINGS` is the whole list.

What is wrong never stops the server from starting, for a client shows a server that does not start as nothing but
an error code. It is kept in `Settings.problems`, and every call answers with it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from comet_mcp.errors import TOKEN_PAGE, SettingsError
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.reading import RULES, TABLE, read_policy
from comet_mcp.setting_names import Names
from comet_mcp.text import quoted
from comet_mcp.units import PER_USD, Units

PUBLIC_API = "https://api.cometapi.com"
MAX_TIMEOUT = 15.0

Secrets = Literal["file", "keyring", "result", "none"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
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
    "rotate_api_key",
    "save_api_key",
    "verify_api_key",
    "list_models",
    "get_account",
]
_T = TypeVar("_T")
_PLACEHOLDERS = ("PASTE-THE-TOKEN-HERE", "YOUR-ACCESS-TOKEN")
"""README's, and the official cli's."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the variable, the key in the config file (dotted), and its meaning. A `guard` holds agents back."""

    variable: str
    key: str
    help: str
    default: str = ""
    secret: bool = False
    guard: bool = False


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
        "COMETAPI_MCP_STATE",
        "mcp.state",
        "The journal, one SQLite file shared by all servers of a user.",
        "the user's state directory",
    ),
    Setting("COMETAPI_MCP_UNITS_PER_USD", "mcp.units_per_usd", "Quota units in one US dollar.", str(PER_USD)),
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
        "Proxy for calls of the API, such as http://proxy.example:3128. The usual proxy variables are not read.",
        secret=True,
    ),
    Setting(
        "COMETAPI_MCP_CA_BUNDLE",
        "mcp.ca_bundle",
        "PEM file with the certificates to trust, instead of the system's.",
        "the system's trust store",
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
    Setting("COMETAPI_MCP_LOG", "mcp.log", "Log level on stderr: DEBUG, INFO, WARNING, ERROR.", "WARNING"),
    Setting(
        "COMETAPI_MCP_CONFIG",
        "",
        "Another config file, for a second account.",
        str(Path("~/.config/cometapi/config.toml")),
    ),
    *(Setting(rule.variable, rule.key, rule.help, rule.default, guard=True) for rule in RULES),
)
_NAMES = Names(
    {setting.variable: setting.key for setting in SETTINGS},
    [setting.variable for setting in SETTINGS if setting.guard],
)
_NO_TOKEN = "COMETAPI_ACCESS_TOKEN is not set."  # noqa: S105 - a message


def default_state() -> Path:
    """`cometapi-mcp/journal.sqlite3` in the directory where the system keeps a user's program state."""
    from platformdirs import user_state_path  # noqa: PLC0415 - not needed where COMETAPI_MCP_STATE is set

    try:
        return user_state_path("cometapi-mcp", appauthor=False) / "journal.sqlite3"
    except RuntimeError:  # as in _at_home
        return Path("journal.sqlite3")


def default_config() -> Path:
    """The file of the official cli, on every system."""
    return _at_home(".config", "cometapi", "config.toml")


def _at_home(*parts: str) -> Path:
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
    key_dir: Path = field(default_factory=lambda: _at_home(".config", "cometapi", "keys"))
    state: Path = field(default_factory=default_state)
    units: Units = Units()  # noqa: RUF009 - frozen
    timeout: float = MAX_TIMEOUT
    proxy: SecretStr | None = None
    ca_bundle: Path | None = None
    calls: int = 350
    read_only: bool = False
    disable_tools: frozenset[ToolName] = frozenset()
    confirm: Confirm = "never"
    confirm_fallback: Fallback = "refuse"
    audit: AuditMode = "on"
    log: LogLevel = "WARNING"
    policy: Policy = Policy()  # noqa: RUF009 - frozen
    config: Path = field(default_factory=default_config)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def require_usable(self) -> None:
        """Raise SettingsError, with the steps that mend it, while something is wrong."""
        if self.problems:
            raise SettingsError(how_to_mend(self.problems, self.config))

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The problems but for a missing token: where a person looks at settings, the token may be elsewhere."""
        return tuple(problem for problem in self.problems if problem != _NO_TOKEN)


class _WrongSettingError(ValueError):
    """One value is not what it has to be; the text says what would be right."""


def how_to_mend(problems: tuple[str, ...], config: Path | None = None) -> str:
    """The problems, then the steps that mend them: the answer to every call while something is wrong.

    Args:
        problems: The sentences.
        config: The config file, None for the usual one.
    """
    file = quoted(str(config), 300) if config else "~/.config/cometapi/config.toml"
    client = 'the "env" block of this server in the MCP client\'s config'
    about_token = [problem for problem in problems if "ACCESS_TOKEN" in problem]
    others = [problem for problem in problems if problem not in about_token]
    steps = []
    if about_token:
        places = f'into {client} as COMETAPI_ACCESS_TOKEN, or as access_token = "..." into {file}'
        steps = [f"copy a personal access token from {TOKEN_PAGE}", f"put it, with nothing around it, {places}"]
    if others:
        in_file = ["config file" in problem for problem in others]
        where = [f"the config file {file}"] * any(in_file) + [client] * (not all(in_file))
        steps.append(f"correct {'what else is wrong' if about_token else 'that'} in {' and in '.join(where)}")
    steps.append("restart the client")
    numbered = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    secret = " Do not ask for the token in the conversation." if about_token else ""
    return f"{' '.join(problems)} Ask the person who runs this server to: {numbered}.{secret}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every setting. Never raises for a wrong value: what is wrong is in `problems`."""
    problems: list[str] = []
    named = environ.get("COMETAPI_MCP_CONFIG", "")
    try:
        path = Path(named).expanduser() if named else default_config()
    except RuntimeError:
        path = Path(named)
    config = _config_file(path, problems, named=bool(named))
    return understood(environ, config, path, problems)


def understood(
    environ: Mapping[str, str], config: Mapping[str, Any], path: Path | None = None, unread: Sequence[str] = ()
) -> Settings:
    """The settings that the environment and the parsed config file say together.

    Args:
        environ: All variables.
        config: What is in the config file.
        path: The config file, None for the usual one.
        unread: Why it could not be read.
    """
    path = path or default_config()
    problems = list(unread)
    strays = _NAMES.strays(environ, config)
    policy = read_policy(environ, config, [*unread, *(stray.text for stray in strays if stray.table == TABLE)])
    problems += [stray.text for stray in strays if stray.table != TABLE]

    def read(variable: str, parse: Callable[[str], _T], default: _T) -> _T:
        text, source = _lookup(variable, environ, config)
        if not text:
            return default
        try:
            return parse(text)
        except _WrongSettingError as wrong:
            problems.append(f"{source} {wrong}.")
            return default

    def place(variable: str, default: Path) -> Path:
        path = read(variable, _path, default)
        if not path.is_absolute():
            problems.append(f"{variable} is not set, and this user has no home directory. Set it, or HOME.")
        return path

    allow_http = read("COMETAPI_MCP_ALLOW_HTTP", _flag, default=False)
    token = read("COMETAPI_ACCESS_TOKEN", _token, None)
    if token is None and not any("COMETAPI_ACCESS_TOKEN" in problem for problem in problems):
        problems.insert(0, _NO_TOKEN)
    base = Settings(state=Path())
    return Settings(
        access_token=token,
        base_url=read("COMETAPI_BASE_URL", lambda text: _base_url(text, allow_http=allow_http), base.base_url),
        user_id=read("COMETAPI_USER_ID", _user_id, None),
        secrets=read("COMETAPI_MCP_SECRETS", _one_of(get_args(Secrets)), base.secrets),
        key_dir=place("COMETAPI_MCP_KEY_DIR", base.key_dir),
        state=place("COMETAPI_MCP_STATE", default_state()),
        units=read("COMETAPI_MCP_UNITS_PER_USD", _units, base.units),
        timeout=read("COMETAPI_MCP_TIMEOUT", _timeout, base.timeout),
        proxy=read("COMETAPI_MCP_PROXY", _proxy, None),
        ca_bundle=read("COMETAPI_MCP_CA_BUNDLE", _certificates, None),
        calls=read("COMETAPI_MCP_CALLS", _calls, base.calls),
        read_only=read("COMETAPI_MCP_READ_ONLY", _flag, base.read_only),
        disable_tools=read("COMETAPI_MCP_DISABLE_TOOLS", _tool_names, base.disable_tools),
        confirm=read("COMETAPI_MCP_CONFIRM", _one_of(get_args(Confirm)), base.confirm),
        confirm_fallback=read("COMETAPI_MCP_CONFIRM_FALLBACK", _one_of(get_args(Fallback)), base.confirm_fallback),
        audit=read("COMETAPI_MCP_AUDIT", _one_of(get_args(AuditMode)), base.audit),
        log=read("COMETAPI_MCP_LOG", _one_of(get_args(LogLevel)), base.log),
        policy=policy,
        config=path,
        problems=tuple(problems),
        warnings=_exposed(path, config),
    )


def _config_file(path: Path, problems: list[str], *, named: bool) -> dict[str, Any]:
    if not named and not path.is_absolute():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if named:
            problems.append(f"COMETAPI_MCP_CONFIG names {quoted(str(path), 300)}, and there is no such file.")
    except tomllib.TOMLDecodeError as error:
        # its text holds a position and a character, never a value
        problems.append(f"The config file {quoted(str(path), 300)} is not valid TOML: {error}.")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"The config file {quoted(str(path), 300)} can't be read ({type(error).__name__}).")
    return {}


def _exposed(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """A warning where other users can read a file with an access token in it. Windows has no such modes."""
    if os.name != "posix" or not config.get("access_token"):
        return ()
    try:
        mode = path.stat().st_mode
    except OSError:
        return ()
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ()
    shown = quoted(str(path), 300)
    return (f"Other users of this machine can read {shown}, which holds the access token. Run: chmod 600 {shown}",)


def _lookup(variable: str, environ: Mapping[str, str], config: Mapping[str, Any]) -> tuple[str, str]:
    """The value as text ("" for none), and the name under which a problem with it is reported."""
    if text := environ.get(variable, ""):
        return text, variable
    key = next(setting.key for setting in SETTINGS if setting.variable == variable)
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        value = str(int(value))
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return ("" if value is None else str(value)), f"{key} in the config file ({variable})"


def _token(text: str) -> SecretStr:
    """A token that can be right: visible ASCII without spaces, quotes or a scheme word around it."""
    if text.startswith("${"):
        raise _WrongSettingError("holds a placeholder that the MCP client did not fill in")
    if text.strip().strip("\"'<>").upper() in _PLACEHOLDERS:
        raise _WrongSettingError("holds the placeholder of an example; put the token in its place")
    if re.match(r"\s*bearer\b", text, re.IGNORECASE):
        raise _WrongSettingError('starts with "Bearer"; the token goes there alone')
    if text != text.strip() or "\n" in text or "\r" in text:
        raise _WrongSettingError("has a space or line break before, after or inside the token; paste the token alone")
    if text[0] in "\"'`“‘" or text[-1] in "\"'`”’":
        raise _WrongSettingError("has quotation marks around the token; paste the token alone")
    if re.search(r"\s", text):
        raise _WrongSettingError("has a space inside; a token has none")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise _WrongSettingError("has a character that no token has; copy the token again")
    return SecretStr(text)


def _base_url(text: str, *, allow_http: bool) -> str:
    """Scheme, host and path, without a trailing slash or /v1.

    Shown values are safe: a URL with a name or password in it is refused before anything of it is quoted.
    """
    example = f"give an address such as {PUBLIC_API}"
    try:
        url = urlsplit(text.strip())
        host, port = url.hostname, url.port
    except ValueError:
        raise _WrongSettingError(f"is not an address; {example}") from None
    if url.username is not None or url.password is not None:
        raise _WrongSettingError("has a name or password in it; the access token has its own setting")
    if url.scheme not in ("http", "https") or not host or not host.isascii() or not text.strip().isprintable():
        raise _WrongSettingError(f"is not an http or https address; {example}")
    if url.query or url.fragment:
        raise _WrongSettingError(f"has a ? or # part; {example}")
    if url.scheme == "http" and not allow_http and not _is_loopback(host):
        raise _WrongSettingError(
            "is plain http to another machine, which would send the token unencrypted; use https, "
            "or set COMETAPI_MCP_ALLOW_HTTP=1 if that network is yours"
        )
    path = re.sub(r"(/v1)?/*$", "", url.path.rstrip("/"))
    name = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{name}{f':{port}' if port else ''}{path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _user_id(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise _WrongSettingError("must be the account's number, such as 1042")
    return text.strip()


def _one_of(words: tuple[_T, ...]) -> Callable[[str], _T]:
    def parse(text: str) -> _T:
        for word in words:
            if text.lower() == str(word).lower():
                return word
        raise _WrongSettingError(f"must be one of {', '.join(map(str, words))}")

    return parse


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise _WrongSettingError("must be 1 or 0")


def _tool_names(text: str) -> frozenset[ToolName]:
    known = {name: name for name in get_args(ToolName)}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise _WrongSettingError(f"names {quoted(name)}, which is no tool; the tools are {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _path(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise _WrongSettingError("names the home of a user that this machine does not have") from None
    if "\0" in text or not path.is_absolute():
        raise _WrongSettingError("must be a full path, such as one that starts with / or ~ or C:\\")
    return path


def _units(text: str) -> Units:
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        raise _WrongSettingError(f"must be a whole number, such as {PER_USD}")
    return Units(int(text))


def _proxy(text: str) -> SecretStr:
    try:
        url = urlsplit(text)
        fine = url.scheme in ("http", "https") and url.hostname and url.port is not None
    except ValueError:
        fine = False
    if not fine:
        raise _WrongSettingError("must be a proxy's address with its port, such as http://proxy.example:3128")
    return SecretStr(text)


def _certificates(text: str) -> Path:
    import ssl  # noqa: PLC0415 - few have a bundle of their own

    path = _path(text)
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is one
        raise _WrongSettingError("names no file of certificates in PEM form that can be read") from None
    return path


def _calls(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise _WrongSettingError("must be a whole number, 0 for no limit")
    return int(text)


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= MAX_TIMEOUT:
        raise _WrongSettingError(f"must be a number of seconds from 1 to {MAX_TIMEOUT:g}")
    return seconds
