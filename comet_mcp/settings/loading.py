"""The only reader of the environment and of the config file.

A value is looked for in the environment, then in the config file (shared with the official cli:
`~/.config/cometapi/config.toml`, on every system), then the default holds. An empty value counts as absent:
some clients pass an empty string for a field their user left blank. `SETTINGS` is the whole list.

What is wrong never stops the server from starting, for a client shows a server that does not start as nothing but
an error code. It is kept in `Settings.problems`, and every call answers with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from comet_mcp.domain.elsewhere import is_of_github
from comet_mcp.policy.reading import read_policy
from comet_mcp.policy.rule import TABLE, flag
from comet_mcp.settings import hints, values
from comet_mcp.settings.checked import Settings, default_config, default_state
from comet_mcp.settings.file import exposed, read_config
from comet_mcp.settings.given import Given
from comet_mcp.settings.names import Names
from comet_mcp.settings.profiles import ACCOUNT, chosen
from comet_mcp.settings.table import (
    SETTINGS,
    AuditMode,
    Confirm,
    Fallback,
    LogLevel,
    Secrets,
    is_ours_alone,
)
from comet_mcp.text import is_placeholder

_NAMES = Names(
    {setting.variable: setting.key for setting in SETTINGS},
    [setting.variable for setting in SETTINGS if setting.guard],
)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every setting. Never raises for a wrong value: what is wrong is in `problems`."""
    problems: list[str] = []
    named = environ.get("COMETAPI_MCP_CONFIG", "")
    usual = default_config()
    try:
        path = Path(named).expanduser() if named else usual
    except RuntimeError:
        path = Path(named)
    if is_placeholder(named):
        problems.append("COMETAPI_MCP_CONFIG holds a placeholder that was not filled in.")
        return understood(environ, {}, path, problems)
    config = read_config(path, problems, named=bool(named))
    files = {path: config.state}
    if path != usual:
        files[usual] = "not looked for, since COMETAPI_MCP_CONFIG names another"
    return replace(understood(environ, config.content, path, problems), files=files)


def load_as(config: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the config file would give if it said this, whatever account the environment names."""
    others = {variable: text for variable, text in environ.items() if variable not in ACCOUNT}
    return understood(others, config, load(environ).config)


def for_others(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All variables but our own, for a program of the person's that has no part in our token."""
    return {name: value for name, value in environ.items() if not is_ours_alone(name)}


def inherited(names: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of these names, for a program that gets no others of ours."""
    return {name: environ[name] for name in names if name in environ}


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
    with_profile = chosen(environ, config)
    problems = [*unread] or [with_profile.problem] * bool(with_profile.problem)
    strays = _NAMES.strays(environ, config, with_profile.table, with_profile.own)
    policy = read_policy(
        with_profile.environ,
        with_profile.config,
        [*unread, *(stray.text for stray in strays if stray.table == TABLE)],
        with_profile.full_key,
    )
    problems += [stray.text for stray in strays if stray.table != TABLE]

    given = Given(with_profile, path, problems)
    read = given.read
    allow_http = read("COMETAPI_MCP_ALLOW_HTTP", flag, default=False)
    token = given.token(with_profile.name)
    is_told = unread or with_profile.problem or given.is_wrong_token
    missing_token = hints.missing_token(with_profile.name) if token is None and not is_told else ""
    if missing_token:
        problems.insert(0, missing_token)
    base = Settings(state=Path())
    places = read("COMETAPI_MCP_PLACES", values.places, base.places)
    return Settings(
        access_token=token,
        base_url=read("COMETAPI_BASE_URL", lambda text: values.base_url(text, allow_http=allow_http), base.base_url),
        user_id=read("COMETAPI_USER_ID", values.user_id, None),
        secrets=read("COMETAPI_MCP_SECRETS", values.one_of(get_args(Secrets)), base.secrets),
        key_dir=given.place("COMETAPI_MCP_KEY_DIR", base.key_dir),
        key_variables=read("COMETAPI_MCP_KEY_VARIABLES", values.variable_names, frozenset()),
        env_dirs=read("COMETAPI_MCP_ENV_DIRS", values.paths, ()),
        places=places,
        github_api=read("COMETAPI_MCP_GITHUB_API", values.github_api, base.github_api),
        github_token=SecretStr(environ.get("GH_TOKEN", "")) if any(map(is_of_github, places)) else None,
        state=given.place("COMETAPI_MCP_STATE", default_state()),
        units=read("COMETAPI_MCP_UNITS_PER_USD", values.units_per_usd, base.units),
        timezone=read("COMETAPI_MCP_TIMEZONE", values.timezone, base.timezone),
        timeout=read("COMETAPI_MCP_TIMEOUT", values.timeout, base.timeout),
        proxy=read("COMETAPI_MCP_PROXY", values.proxy, None),
        ca_bundle=read("COMETAPI_MCP_CA_BUNDLE", values.certificates, None),
        calls=read("COMETAPI_MCP_CALLS", values.calls, base.calls),
        read_only=read("COMETAPI_MCP_READ_ONLY", flag, base.read_only),
        replay=read("COMETAPI_MCP_REPLAY", flag, base.replay),
        disable_tools=read("COMETAPI_MCP_DISABLE_TOOLS", values.tool_names, base.disable_tools),
        confirm=read("COMETAPI_MCP_CONFIRM", values.one_of(get_args(Confirm)), base.confirm),
        confirm_fallback=read(
            "COMETAPI_MCP_CONFIRM_FALLBACK", values.one_of(get_args(Fallback)), base.confirm_fallback
        ),
        audit=read("COMETAPI_MCP_AUDIT", values.one_of(get_args(AuditMode)), base.audit),
        log=read("COMETAPI_MCP_LOG", values.one_of(get_args(LogLevel)), base.log),
        policy=policy,
        config=path,
        profile=with_profile.name,
        unknown_profile=with_profile.problem if not unread else "",
        problems=tuple(problems),
        warnings=(*with_profile.warnings, *exposed(path, config)),
        missing_token=missing_token,
        is_in_keychain=given.is_in_keychain,
        hints=tuple(hints.about_token(environ, config, path)) if missing_token and not with_profile.name else (),
        in_file=given.in_file,
        sources=given.sources(),
        unread_proxy="" if environ.get("COMETAPI_MCP_PROXY") else hints.proxy_of_others(environ),
    )
