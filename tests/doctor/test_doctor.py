"""`cometapi-mcp doctor` on a machine where all is well, and on one with each fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from comet_mcp import __version__
from comet_mcp.clients.start import Start
from comet_mcp.doctor import places, start
from comet_mcp.doctor.start import Started
from comet_mcp.sandbox import Sandbox
from comet_mcp.server import TOOLS
from tests.doctor.faults import FAULTS
from tests.doctor.machine import ELSEWHERE, Machine
from tests.support import in_process


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    home, sandbox = tmp_path / "home", Sandbox("gateway", user_header="required")
    home.mkdir()
    with ExitStack() as stack:
        yield Machine(home, sandbox, stack.enter_context(sandbox.serve()), monkeypatch, stack)


def test_where_all_is_well_every_check_says_so_and_the_tools_are_counted(machine: Machine) -> None:
    before = machine.tree()
    status, findings = machine.findings()
    assert [finding for finding in findings if finding["state"] != "ok"] == []
    assert status == 0
    said = {finding["check"]: finding["says"] for finding in findings}
    assert f"with {len(TOOLS)} tools" in said["client codex"]
    assert said["account"] == 'number 1, "sandbox"'
    assert "agents may make" in said["policy"]
    assert machine.tree() == before


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_cure_and_nothing_is_changed(machine: Machine, name: str) -> None:
    fault = FAULTS[name]
    fault.plant(machine)
    before, asked = machine.tree(), [] if fault.starts else ["--no-start"]
    status, findings = machine.findings(*asked)
    assert machine.tree() == before
    found = [finding for finding in findings if finding["check"] == fault.check]
    assert any(
        (finding["state"], fault.says in finding["says"], fault.cure in finding["cure"]) == (fault.state, True, True)
        for finding in found
    ), found
    assert status == int(any(finding["state"] == "problem" for finding in findings))
    assert not [finding for finding in findings if finding["state"] == "problem" and not finding["cure"]]
    assert not [finding for finding in findings if "could not be checked" in finding["says"]]
    text = str(findings)
    assert not [secret for secret in machine.secrets() if secret in text]


@pytest.mark.parametrize(
    "name", ["a_model_key_in_the_token_s_place", "a_proxy_that_is_not_there", "a_wrong_value", "a_create_in_doubt"]
)
def test_a_person_reads_one_line_a_check_with_the_cure_below_it(machine: Machine, name: str) -> None:
    fault = FAULTS[name]
    fault.plant(machine)
    status, said = machine.doctor("--no-start")
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if fault.says in line)
    assert lines[at].startswith(fault.state)
    assert fault.cure in lines[at + 1]
    assert lines[-1] == "1 warning." if status == 0 else "problem" in lines[-1]
    assert not [secret for secret in machine.secrets() if secret in said]


def test_places_that_have_what_they_need_are_counted(machine: Machine) -> None:
    python = Path(sys.executable).as_posix()
    machine.environ |= {
        "GH_TOKEN": "made-up-token-of-github",
        "COMETAPI_MCP_PLACES": f"github:me/shop/*, command:'{python}' put.py *, command:*, command:pass*",
    }
    _, findings = machine.findings("--no-start")
    found = [(finding["state"], finding["says"]) for finding in findings if finding["check"] == "places"]
    assert found == [("ok", "4 listed; what they need is here")]


def test_on_a_terminal_what_has_no_room_goes_on_below_itself_and_no_word_is_cut(machine: Machine) -> None:
    wide = in_process("doctor", "--no-start", environment=machine.environ).stdout
    narrow = in_process("doctor", "--no-start", environment=machine.environ, columns=60).stdout
    assert narrow.split() == wide.split()
    lines = narrow.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("ok") and " settings " in line)
    column = lines[at].index("from the config file")
    assert lines[at + 1][:column].isspace()
    assert all(len(line) <= 60 or len(line[column:].split()) == 1 for line in lines)


def test_settings_of_the_config_file_are_named_as_they_are_there(machine: Machine) -> None:
    _, findings = machine.findings("--no-start")
    (said,) = (finding["says"] for finding in findings if finding["check"] == "settings")
    assert said.endswith(": access_token, base_url, user_id at the top; state in [mcp]; all others are the default")


def test_a_token_that_only_a_client_s_entry_has_is_that_which_is_looked_at(machine: Machine) -> None:
    machine.write_config(access_token="")
    machine.client_file("codex").unlink()
    own = Start.of_this({})
    entry = {
        "command": own.command,
        "args": own.args,
        "env": {"COMETAPI_ACCESS_TOKEN": machine.sandbox.access_token},
    }
    machine.entry("cursor", json.dumps({"mcpServers": {"cometapi": entry}}))
    status, findings = machine.findings("--no-start")
    said = {finding["check"]: finding["says"] for finding in findings}
    assert status == 0, findings
    assert "in the entry of Cursor; here there is none" in said["token"]
    assert said["account"] == 'number 1, "sandbox"'


def test_a_token_that_the_api_repeats_is_not_shown(machine: Machine) -> None:
    token = machine.sandbox.renew_access_token("made-up-short-token")
    machine.write_config(access_token=f'"{token}"')
    machine.sandbox.faults.add("account", "refused", times=9, value=f"access token {token} is wrong")
    _, said = machine.doctor("--no-start")
    assert "access token *** is wrong" in said
    assert token not in said


def test_clients_that_start_the_same_start_it_once(machine: Machine) -> None:
    asked = []

    def say(begun: Start, environment: Mapping[str, str]) -> Started:
        asked.append((begun.command, "COMETAPI_MCP_LOG" in environment))
        return Started(__version__, 11)

    machine.patch.setattr(start, "started", say)
    machine.environ["COMETAPI_MCP_LOG"] = "ERROR"
    own = Start.of_this({})
    for client in ("cursor", "kimi", "qwen"):
        entry = {"command": own.command, "args": own.args}
        machine.entry(client, json.dumps({"mcpServers": {"cometapi": entry}}))
    _, findings = machine.findings()
    said = [finding["says"] for finding in findings if "with 11 tools" in finding["says"]]
    assert len(said) == 4
    assert sorted(asked) == [(own.command, False), (own.command, True)]  # Codex does not pass that variable


def test_a_check_that_fails_itself_is_told_and_the_others_go_on(machine: Machine) -> None:
    def fail(_: object) -> None:
        raise RuntimeError(f"made-up trouble with {machine.sandbox.access_token}")

    machine.patch.setattr(places, "_nearest", fail)
    status, findings = machine.findings("--no-start")
    unchecked = {finding["check"] for finding in findings if "could not be checked: RuntimeError" in finding["says"]}
    assert unchecked == {"keys", "journal", "disk"}
    assert "client codex" in {finding["check"] for finding in findings}
    assert machine.sandbox.access_token not in str(findings)
    assert status == 0


def test_a_machine_with_nothing_on_it_is_told_what_comes_first_and_nothing_is_made(
    tmp_path: Path, machine: Machine
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    machine.environ = {name: value for name, value in machine.environ.items() if not name.startswith("COMETAPI")} | {
        "HOME": str(empty),
        "USERPROFILE": str(empty),
        "COMETAPI_BASE_URL": machine.url,
    }
    status, findings = machine.findings()
    assert status == 1
    assert [finding["check"] for finding in findings if finding["state"] == "problem"] == ["token"]
    assert list(empty.iterdir()) == []


def test_an_entry_s_secrets_are_not_shown(machine: Machine) -> None:
    code = f"import sys; print('refused: {ELSEWHERE}', file=sys.stderr)"
    FAULTS["an_entry_that_ends_at_once"].plant(machine)
    path = machine.client_file("cursor")
    text = path.read_text().replace("import sys; print('made-up trouble', file=sys.stderr)", code)
    path.write_text(text.replace('"args"', f'"env": {{"COMETAPI_ACCESS_TOKEN": "{ELSEWHERE}"}}, "args"'))
    _, said = machine.doctor()
    assert "refused: ***" in said
    assert ELSEWHERE not in said
