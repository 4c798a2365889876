"""The environment in which each client starts a server."""

from __future__ import annotations

import pytest

from comet_mcp.clients import jsonc
from comet_mcp.clients.environment import environment_in
from comet_mcp.clients.start import Start
from comet_mcp.clients.table import BY_NAME, CLIENTS, Client

SHELL = {
    "HOME": "/home/me",
    "PATH": "/bin",
    "COMETAPI_ACCESS_TOKEN": "made-up-token",
    "COMETAPI_BASE_URL": "https://api.example",
    "HTTPS_PROXY": "http://proxy.example:1",
}


def passed(client: str, **variables: str) -> dict[str, str]:
    return environment_in(BY_NAME[client], variables, SHELL, "linux")


def test_a_client_that_passes_a_few_variables_passes_no_setting() -> None:
    for client in ("codex", "vibe", "claude-desktop"):
        assert passed(client, COMETAPI_PROFILE="work") == {
            "HOME": "/home/me",
            "PATH": "/bin",
            "COMETAPI_PROFILE": "work",
        }


def test_windows_gets_what_no_program_there_starts_without() -> None:
    shell = {"SYSTEMROOT": "C:\\Windows", "USERPROFILE": "C:\\me", "PATH": "C:\\bin", "COMETAPI_USER_ID": "1"}
    assert environment_in(BY_NAME["codex"], {}, shell, "win32") == {
        name: shell[name] for name in ("SYSTEMROOT", "USERPROFILE", "PATH")
    }


def test_a_client_that_passes_all_passes_all() -> None:
    assert passed("claude-code") == SHELL


def test_a_client_that_withholds_secrets_withholds_the_token_alone() -> None:
    assert passed("gemini") == {name: value for name, value in SHELL.items() if name != "COMETAPI_ACCESS_TOKEN"}


@pytest.mark.parametrize(
    ("client", "reference", "value"),
    [
        ("claude-code", "${COMETAPI_ACCESS_TOKEN}", "made-up-token"),
        ("claude-code", "${MISSING:-else}", "else"),
        ("claude-code", "$COMETAPI_ACCESS_TOKEN", "$COMETAPI_ACCESS_TOKEN"),
        ("gemini", "$COMETAPI_ACCESS_TOKEN", "made-up-token"),
        ("vscode", "${env:COMETAPI_ACCESS_TOKEN}", "made-up-token"),
        ("opencode", "{env:COMETAPI_ACCESS_TOKEN}", "made-up-token"),
        ("opencode", "${env:COMETAPI_ACCESS_TOKEN}", "${env:COMETAPI_ACCESS_TOKEN}"),
        ("codex", "${COMETAPI_ACCESS_TOKEN}", "${COMETAPI_ACCESS_TOKEN}"),
        ("gemini", "${MISSING}", ""),
    ],
)
def test_a_variable_is_put_in_place_where_the_client_does_so(client: str, reference: str, value: str) -> None:
    assert passed(client, X=reference)["X"] == value


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_was_written_for_a_client_is_read_as_it_starts_it(client: Client) -> None:
    start = Start("/bin/x", ["--from", "y"], {"COMETAPI_PROFILE": "work"})
    assert Start.of_entry(start.entry(client)) == start


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        ('{"a": ["// no, ]", 1], "b": {}}', set()),
        ('{"a": 1} // c', {"comments"}),
        ('/* c */ {"a": [1,]}', {"comments", "trailing commas"}),
        ('{"a": 1, // c\n}', {"comments", "trailing commas"}),
    ],
)
def test_what_strict_json_has_not_is_found(text: str, extras: set[str]) -> None:
    assert jsonc.extras(text) == extras
