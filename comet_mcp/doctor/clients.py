"""The MCP clients of this machine: whether each has an entry that it can read and start."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import which

from comet_mcp import __version__
from comet_mcp import settings as configuration
from comet_mcp.clients.environment import environment_in
from comet_mcp.clients.file import entry_in, is_there, path_of, refused_in
from comet_mcp.clients.start import KEPT, Start
from comet_mcp.clients.table import CLIENTS, Client
from comet_mcp.doctor.findings import Check, Finding
from comet_mcp.doctor.start import START_WITHIN, DidNotStartError, Starts
from comet_mcp.errors import SettingsError
from comet_mcp.redaction import Redactor
from comet_mcp.settings import Settings
from comet_mcp.text import printable, quoted


def client_checks(
    environ: Mapping[str, str], settings: Settings, *, starts: bool, platform: str = sys.platform
) -> list[Check]:
    """A check of each client that is found, after one that says which those are.

    Args:
        environ: The environment that clients are started in.
        settings: Those that were looked at: what is wrong with them too, is told once.
        starts: Whether entries are started.
        platform: The system, as `sys.platform` has it.
    """
    shared = Starts() if starts else None
    looks = [
        _Look(client, path_of(client, environ, platform), environ, settings, platform, shared)
        for client in CLIENTS
        if is_there(client, environ, platform)
    ]
    return [
        Check("clients", partial(_any, looks)),
        *(Check(f"client {look.client.name}", look.findings, 2 * START_WITHIN) for look in looks),
    ]


def settings_in_entries(environ: Mapping[str, str], platform: str = sys.platform) -> Iterator[tuple[Client, Settings]]:
    """The settings that a server has that a client starts, for each client with an entry that can be read."""
    for client in CLIENTS:
        with suppress(SettingsError):  # the client's own check says what is wrong
            entry = entry_in(client, path_of(client, environ, platform))
            if entry is not None:
                variables = Start.of_entry(entry).env
                yield client, configuration.load(environment_in(client, variables, environ, platform))


def _any(looks: list[_Look]) -> Iterator[Finding]:
    """Whether any client can start this server."""
    if not looks:
        says = "No MCP client was found in its usual place."
        yield Finding(
            "clients", "warning", says, "Run: cometapi-mcp install --print, and paste that into the client's file."
        )
    elif not any(look.has_entry() for look in looks):
        titles = ", ".join(look.client.title for look in looks)
        says = f"None of the MCP clients that were found has this server: {titles}."
        yield Finding("clients", "warning", says, f"Run: cometapi-mcp install {looks[0].client.name}")
    else:
        yield Finding("clients", "ok", f"found: {', '.join(look.client.title for look in looks)}")


@dataclass(frozen=True, slots=True)
class _Look:
    """One client that was found."""

    client: Client
    path: Path
    environ: Mapping[str, str]
    settings: Settings
    platform: str
    starts: Starts | None

    @property
    def check(self) -> str:
        return f"client {self.client.name}"

    def has_entry(self) -> bool:
        try:
            return entry_in(self.client, self.path) is not None
        except SettingsError:
            return True  # its own check says what is wrong

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the file, else with the entry, else with the start."""
        client = self.client
        try:
            entry = entry_in(client, self.path)
            refused = refused_in(client, self.path)
        except SettingsError as error:
            cure = f"Correct the file, or move it away; then run: cometapi-mcp install {client.name}"
            yield Finding(self.check, "problem", f"{client.title}: {error.args[0]}", cure)
            return
        if refused:
            what = " and ".join(refused)
            says = f"{client.title} does not read {what}, and {self.path} has such."
            yield Finding(self.check, "problem", says, f"Take {what} out of that file.")
        if entry is None:
            yield Finding(self.check, "ok", f"{client.title} does not have this server ({self.path})")
            return
        try:
            start = Start.of_entry(entry)
        except SettingsError as error:
            says = f"The entry of {client.title} in {self.path} can't be started: {error.args[0]}."
            yield Finding(self.check, "problem", says, f"Run: cometapi-mcp install {client.name}")
            return
        yield from self._of_start(start)

    def _of_start(self, start: Start) -> Iterator[Finding]:
        environment = environment_in(self.client, start.env, self.environ, self.platform)
        shown = quoted(start.command, 300)
        again = f"Run: cometapi-mcp install {self.client.name}"
        if which(start.command, path=environment.get("PATH", "")) is None:
            says = f"{self.client.title} starts {shown}, and there is no such program where it looks."
            yield Finding(self.check, "problem", says, again)
            return
        if not start.is_this:
            says = f"{self.client.title} starts {shown}, another installation than this one."
            yield Finding(self.check, "warning", says, f"{again}; or remove the installation that you do not use.")
        there = configuration.load(environment)
        missing = sorted(set(there.problems) - set(self.settings.problems))
        for problem in missing:
            says = f"As {self.client.title} starts it, with {_passed(self.client)}: {problem}"
            yield Finding(self.check, "problem", says, self._cure_of(problem))
        unpassed = [
            name for name in self._ours() if environment.get(name) != self.environ[name] and name not in start.env
        ]
        if unpassed and not missing:
            says = (
                f"{self.client.title} does not pass {', '.join(unpassed)} to the server, which then has another value."
            )
            cure = again if set(unpassed) & set(KEPT) else self._cure_of("is not set")
            yield Finding(self.check, "warning", says, cure)
        if self.starts is not None:
            yield self._listed(self.starts, start, environment, Redactor(there.known_secrets))
        else:
            yield Finding(self.check, "ok", f"{self.client.title} has this server, and starts {shown}; not tried")

    def _ours(self) -> list[str]:
        """The variables of this environment that settings are read from, and those that say where they are."""
        sources = self.settings.sources.items()
        read = [variable for variable, source in sources if source == f"the variable {variable}"]
        return [variable for variable in dict.fromkeys((*read, *KEPT)) if self.environ.get(variable)]

    def _cure_of(self, problem: str) -> str:
        if problem != self.settings.missing_token and "is not set" not in problem:
            return f"Correct that in the entry of {self.path}; then start the client again."
        return (
            f"Put the setting into the config file {quoted(str(self.settings.config), 300)}, which "
            "the server reads wherever it is started."
        )

    def _listed(self, starts: Starts, start: Start, environment: Mapping[str, str], redactor: Redactor) -> Finding:
        """Start it as the client does, and list its tools."""
        title = self.client.title
        try:
            found = starts.of(start, environment)
        except DidNotStartError as error:
            says = redactor.text(f"{title} can't start it: {error}")
            cure = (
                f"Run its command in a terminal to see more: {printable(' '.join([start.command, *start.args]), 300)}"
            )
            return Finding(self.check, "problem", says, redactor.text(cure))
        says = f"{title} starts version {printable(found.version, 40)}, with {found.tools} tools"
        if found.version != __version__:
            cure = f"Run: cometapi-mcp install {self.client.name}; or upgrade the other installation."
            return Finding(self.check, "warning", f"{says}; this one is version {__version__}.", cure)
        if not found.tools:
            return Finding(self.check, "warning", f"{says}.", "Look at mcp.disable_tools and mcp.read_only.")
        return Finding(self.check, "ok", says)


def _passed(client: Client) -> str:
    if client.passes is None:
        return "the variables that it passes"
    return f"{', '.join(client.passes)} and nothing else of the environment"
