"""The settings: which files were read, where each value came from, what is wrong; and the form of the access token."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from comet_mcp.clients.table import Client
from comet_mcp.doctor.findings import Finding
from comet_mcp.errors import TOKEN_PAGE
from comet_mcp.settings import Settings
from comet_mcp.settings.given import DEFAULT
from comet_mcp.text import quoted

_FILE = ("The config file", "COMETAPI_MCP_CONFIG")
"""How what is wrong with the file itself begins; what is wrong in it names the setting first."""
_TOKEN = "COMETAPI_ACCESS_TOKEN"  # noqa: S105 - a name


def check_files(settings: Settings) -> Iterator[Finding]:
    """What became of each config file, who owns it, and who may read it."""
    wrong = [problem for problem in settings.problems if problem.startswith(_FILE)]
    for problem in wrong:
        yield Finding("config", "problem", problem, _cure_of_file(settings.config, problem))
    for path, state in settings.files.items():
        if state != "can't be read" and not (wrong and path == settings.config):
            yield Finding("config", "ok", f"{quoted(str(path), 300)}: {state}")
    if owner := foreign_owner(settings.config):
        yield Finding(
            "config",
            "problem",
            f"The config file {quoted(str(settings.config), 300)} belongs to another user ({owner}).",
            f"Make a file of your own: copy it, and remove this one; or run: sudo chown $USER {settings.config}",
        )
    for warning in settings.warnings:
        says, _, command = warning.partition(" Run: ")
        cure = f"Run: {command}" if command else "Take it out of the environment, or choose no profile."
        yield Finding("config", "warning", says, cure)


def _cure_of_file(path: Path, problem: str) -> str:
    if "no such file" in problem:
        return "Make that file, or take COMETAPI_MCP_CONFIG out of the environment or of the client's entry."
    if "valid TOML" in problem:
        return "Correct the file at that place: a text stands in quotation marks, a [table] below what is above all."
    if "placeholder" in problem:
        return "Put the file's path into COMETAPI_MCP_CONFIG, or take it out."
    if "can't be read" in problem:
        return f"Make it a text file in UTF-8 that you may read: chmod 600 {path}"
    return "Correct the file, or move it away and begin a new one."


def foreign_owner(path: Path) -> str:
    """The number of the user that a file belongs to where that is another one, "" else. Windows has no such number."""
    if sys.platform != "win32" and path.exists() and (owner := path.stat().st_uid) != os.getuid():
        return f"number {owner}"
    return ""


def check_settings(settings: Settings, client: Client | None = None) -> Iterator[Finding]:
    """What is wrong with settings other than the token, else where each came from; of that client's entry, if any."""
    wrong = [
        problem for problem in settings.problems if not problem.startswith(_FILE) and not is_of_token(problem, settings)
    ]
    for problem in dict.fromkeys(wrong):
        yield _wrong("settings", problem, settings)
    for problem in dict.fromkeys(settings.policy.problems):
        if problem not in settings.problems:
            yield _wrong("policy", problem, settings)
    if not wrong:
        yield Finding("settings", "ok", "; ".join(_sources(settings, client)))


def _sources(settings: Settings, client: Client | None) -> Iterator[str]:
    """Where each setting came from that is not the default."""
    given = {variable: source for variable, source in settings.sources.items() if source != DEFAULT}
    variables = [variable for variable, source in given.items() if source == f"the variable {variable}"]
    if variables:
        environment = f"the environment that {client.title} gives" if client else "the environment"
        yield f"from {environment}: {', '.join(variables)}"
    file = f"the config file {quoted(str(settings.config), 300)}"
    in_file: dict[str, list[str]] = {}
    for variable, source in given.items():
        if source.endswith(f" of {file}"):
            name, _, place = source.removesuffix(f" of {file}").partition(" ")
            in_file.setdefault(place, []).append(name)
        elif variable not in variables:
            yield f"{variable} from {source}"
    if in_file:
        yield f"from {file}: " + "; ".join(f"{', '.join(names)} {place}" for place, names in in_file.items())
    yield "all others are the default" if given else "all are the default"


def _wrong(check: str, problem: str, settings: Settings) -> Finding:
    says, _, command = problem.partition(" Run: ")
    return Finding(check, "problem", says, f"Run: {command}" if command else _cure_of(problem, settings))


def _cure_of(problem: str, settings: Settings) -> str:
    if problem == settings.unknown_profile:
        return f"Choose one that is there, or make it: cometapi-mcp login --profile {settings.profile}"
    if "Did you mean" in problem or "belongs" in problem:
        return "Correct the name, or remove it; then restart the client."
    in_file = "config file" in problem
    where = (
        quoted(str(settings.config), 300) if in_file else 'the environment, or the "env" block of the client\'s entry'
    )
    return f"Correct that in {where}; then restart the client."


def is_of_token(problem: str, settings: Settings) -> bool:
    """Whether what is wrong is the access token's value: a mistyped name is no matter of it."""
    return problem == settings.missing_token or (_TOKEN in problem and not problem.startswith("The variable"))


def check_token(settings: Settings, client: Client | None = None) -> Iterator[Finding]:
    """The form of the access token; whether the API accepts it, only the API can say."""
    token = settings.access_token
    wrong = [problem for problem in settings.problems if is_of_token(problem, settings)]
    login = f"cometapi-mcp login{f' --profile {settings.profile}' if settings.profile else ''}"
    for problem in wrong:
        says = " ".join((problem, *settings.hints))
        yield Finding("token", "problem", says, f"Copy a personal access token from {TOKEN_PAGE} and run: {login}")
    if token is None:
        if not wrong:
            yield Finding("token", "not checked", "there is none to look at")
    else:
        where = f" in the entry of {client.title}; here there is none" if client else ""
        yield Finding("token", "ok", f"it has the form of one, from {settings.source(_TOKEN)}{where}")
