"""`cometapi-mcp doctor`: what is wrong on this machine, and what helps. It changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial

import click

from comet_mcp import __version__
from comet_mcp import settings as configuration
from comet_mcp.cli.options import profile_option
from comet_mcp.cli.policy import said_of
from comet_mcp.cli.tables import hung
from comet_mcp.cli.terminal import examples
from comet_mcp.clients.table import Client
from comet_mcp.doctor import configuration as of_settings
from comet_mcp.doctor import places, program
from comet_mcp.doctor.clients import client_checks, settings_in_entries
from comet_mcp.doctor.connection import check_connection
from comet_mcp.doctor.findings import Check, Finding, examine
from comet_mcp.doctor.records import check_records
from comet_mcp.redaction import Redactor
from comet_mcp.settings import Settings


@click.command("doctor", epilog=examples("cometapi-mcp doctor", "cometapi-mcp doctor --json --no-start"))
@profile_option
@click.option("--no-start", is_flag=True, help="Do not start the clients' entries.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(*, no_start: bool, as_json: bool) -> int:
    """Look for what is wrong with this installation, its settings, the API, and the MCP clients.

    It says what to do about each. Nothing is changed, here or on the account, and no secret is shown. The exit status
    is 1 where there is a problem.
    """
    environ = dict(os.environ)
    settings, client = _settings(environ)
    redactor = Redactor(settings.known_secrets)
    findings = [
        _redacted(finding, redactor) for finding in examine(_checks(settings, client, environ, starts=not no_start))
    ]
    is_well = all(finding.state != "problem" for finding in findings)
    if as_json:
        shown = {"version": __version__, "ok": is_well, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        _show(findings)
    return 0 if is_well else 1


def _settings(environ: Mapping[str, str]) -> tuple[Settings, Client | None]:
    """The settings here; where they lack nothing but a token, those of a client whose entry has one, and the client."""
    settings = configuration.load(environ)
    if settings.access_token is None and not settings.mistakes:
        for client, found in settings_in_entries(environ):
            if found.access_token is not None:
                return found, client
    return settings, None


def _checks(settings: Settings, client: Client | None, environ: Mapping[str, str], *, starts: bool) -> list[Check]:
    return [
        Check("python", program.check_python),
        Check("packages", program.check_packages),
        Check("module", program.check_module),
        Check("command", partial(program.check_command, environ)),
        Check("config", partial(of_settings.check_files, settings)),
        Check("settings", partial(of_settings.check_settings, settings, client)),
        Check("token", partial(of_settings.check_token, settings, client)),
        Check("api", partial(check_connection, settings), within=20),
        Check("keys", partial(places.check_key_directory, settings)),
        Check("journal", partial(places.check_journal_file, settings)),
        Check("disk", partial(places.check_disk, settings)),
        Check("keychain", partial(places.check_keychain, settings)),
        Check("places", partial(places.check_places, settings)),
        Check("records", partial(check_records, settings), within=20),
        *client_checks(environ, settings, starts=starts),
        Check("policy", partial(_policy, settings)),
    ]


def _policy(settings: Settings) -> Iterator[Finding]:
    """What agents may do, in words; what is wrong with the policy stands with the settings."""
    if not settings.policy.problems and not settings.mistakes:
        for words in said_of(settings):
            yield Finding("policy", "ok", words.removeprefix("- "))


def _redacted(finding: Finding, redactor: Redactor) -> Finding:
    return Finding(finding.check, finding.state, redactor.text(finding.says), redactor.text(finding.cure))


def _show(findings: list[Finding]) -> None:
    name = max(len(finding.check) for finding in findings)
    state = max(len(finding.state) for finding in findings)
    for finding in findings:
        click.echo(hung(f"{finding.state:{state}}  {finding.check:{name}}  ", finding.says))
        if finding.cure:
            click.echo(hung(f"{'':{state}}  {'':{name}}  -> ", finding.cure))
    count = {kind: sum(finding.state == kind for finding in findings) for kind in ("problem", "warning", "not checked")}
    plural = {"problem": "problems", "warning": "warnings"}
    said = [f"{number} {plural.get(kind, kind) if number > 1 else kind}" for kind, number in count.items() if number]
    click.echo(f"\n{', '.join(said)}." if said else "\nAll is well.")
