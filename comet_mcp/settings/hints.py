"""What helps a person to find out why a setting is not there. None is a problem: such names are others' too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from comet_mcp.errors import TOKEN_PAGE
from comet_mcp.settings.names import PROFILES
from comet_mcp.settings.profiles import VARIABLE as PROFILE
from comet_mcp.settings.profiles import names
from comet_mcp.text import quoted

_TOKEN = "access_token"  # noqa: S105 - a name
KEYCHAIN = "The system's keychain"
"""How a problem with the one that has the access token begins; it ends with the command that fixes it."""
RUN_THAT = "run that in a terminal"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")
_ENDS = ("TOKEN", "KEY")
_DEPTH = 3
"""Tables within tables that are looked through."""


def missing_token(profile: str) -> str:
    """That there is no access token, for the account of a profile or, "", for the one at the file's top."""
    if profile:
        return f"The profile {quoted(profile)} has no access_token."
    return "COMETAPI_ACCESS_TOKEN is not set."


def how_to_fix(
    problems: tuple[str, ...], config: Path | None = None, hints: tuple[str, ...] = (), profile: str = ""
) -> str:
    """The problems, then the steps that fix them: the answer to every call while something is wrong.

    Args:
        problems: The sentences.
        config: The config file, None for the usual one.
        hints: What helps to find the first of them.
        profile: The profile that was chosen, "" for none.
    """
    file = quoted(str(config), 300) if config else "~/.config/cometapi/config.toml"
    client = 'the "env" block of this server in the MCP client\'s config'
    about_token = [text for text in problems if _is_about_token(text, profile)]
    of_keychain = [text for text in problems if text.startswith(KEYCHAIN)]
    others = [problem for problem in problems if problem not in (*about_token, *of_keychain)]
    steps = [RUN_THAT] if of_keychain else []
    if about_token:
        places = f'into {client} as COMETAPI_ACCESS_TOKEN, or as access_token = "..." into {file}'
        if profile:
            places = f'as access_token = "..." into [profiles.{profile}] of {file}'
        login = f"`cometapi-mcp login{f' --profile {profile}' if profile else ''}`"
        steps += [
            f"copy a personal access token from {TOKEN_PAGE}",
            f"run {login} in a terminal, or put it, with nothing around it, {places}",
        ]
    if others:
        in_file = ["config file" in problem and not problem.startswith(PROFILE) for problem in others]
        where = [f"the config file {file}"] * any(in_file) + [client] * (not all(in_file))
        steps.append(f"correct {'what else is wrong' if steps else 'that'} in {' and in '.join(where)}")
    steps.append("restart the client")
    numbered = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    secret = " Do not ask for the token in the conversation." if about_token else ""
    said = " ".join((*problems[:1], *hints, *problems[1:]))
    return f"{said} Ask the person who runs this server to: {numbered}.{secret}"


def _is_about_token(problem: str, profile: str) -> bool:
    """Whether another token fixes it; a mistyped name is no matter of the token's value."""
    is_of_token = "ACCESS_TOKEN" in problem and "ACCESS_TOKEN_IN" not in problem
    return problem == missing_token(profile) or (is_of_token and not problem.startswith("The variable"))


def about_token(environ: Mapping[str, str], config: Mapping[str, Any], path: Path) -> Iterator[str]:
    """Where an access token was looked for in vain, and what may be meant for one, in sentences."""
    file = quoted(str(path), 300)
    yield f"The config file {file} has none." if path.is_file() else f"There is no config file {file}."
    for variable, text in environ.items():
        upper = variable.upper()
        if text and upper.startswith("COMET") and upper.endswith(_ENDS):
            is_model_key = upper == "COMETAPI_KEY"
            what = "holds a key for models, which is no access token" if is_model_key else "is not read"
            yield f"The variable {quoted(variable)} is set, and {what}."
    for name in names(config):
        if config[PROFILES][name].get(_TOKEN):
            yield f"The profile {quoted(name)} has one: COMETAPI_PROFILE={name} chooses it."
    for table in _tables_with_token({name: table for name, table in config.items() if name != PROFILES}):
        yield f"{_TOKEN} in [{table}] of the config file is not read: it belongs at its top, above the first [table]."
    for name, value in config.items():
        if isinstance(value, str) and value and name.upper().endswith(_ENDS):
            yield f"{quoted(name)} in the config file is not read."


def _tables_with_token(config: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, dict) and depth < _DEPTH:
            shown = f"{above}{quoted(name)[1:-1]}"
            if _TOKEN in value:
                yield shown
            yield from _tables_with_token(value, f"{shown}.", depth + 1)


def proxy_of_others(environ: Mapping[str, str]) -> str:
    """The variable that names a proxy to other programs, "" where there is none."""
    return next((name for name in _PROXIES if environ.get(name)), "")
