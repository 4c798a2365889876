"""`--profile NAME`: which account a command works with, and which one a client's entry starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from comet_mcp.__main__ import main
from comet_mcp.server import create_server
from comet_mcp.settings import load
from tests.support import Home, data_of


@pytest.fixture
def home(make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose config file has the account as the profile `work`, and no other."""
    home = make_home()
    config = home.directory / ".config" / "cometapi" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[profiles.work]\naccess_token = "{home.sandbox.access_token}"\nbase_url = "{home.url}"\n', encoding="utf-8"
    )
    for name in list(os.environ):
        if name.startswith(("COMETAPI", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COMETAPI_PROFILE", "")  # what a command sets is undone after the test
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home.directory))
    return home


def bare(home: Home) -> dict[str, str]:
    """The environment of a client that passes hardly any."""
    return {name: text for name, text in home.environment.items() if not name.startswith("COMETAPI")}


@pytest.mark.long
async def test_the_entry_that_install_writes_with_a_profile_starts_the_server_that_serves_it(home: Home) -> None:
    assert main(["install", "cursor", "--profile", "work", "--yes"]) == 0
    written = json.loads((home.directory / ".cursor" / "mcp.json").read_text(encoding="utf-8"))
    entry = written["mcpServers"]["cometapi"]
    assert home.sandbox.access_token not in json.dumps(written)
    start = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**bare(home), **entry.get("env", {})}
    )
    async with Client(stdio_client(start)) as client:
        assert 'the one of the profile "work" at 127.0.0.1' in (client.instructions or "")
        assert not (await client.call_tool("get_account", {})).is_error


def test_install_refuses_a_profile_that_the_config_file_does_not_have(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "--profile", "wrok", "--yes"]) == 2
    assert 'Did you mean "work"?' in capsys.readouterr().err
    assert not (home.directory / ".cursor").exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 41, "é"])
def test_a_name_that_no_profile_can_have_is_wrong_usage(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    del home
    assert main(["install", "--profile", name]) == 2
    assert "letters, digits, - and _" in capsys.readouterr().err


def test_a_profile_may_stand_before_the_command_too(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    del home
    assert main(["--profile", "wrok", "policy"]) == 1
    assert 'names "wrok", and the config file has no such profile.' in "".join(capsys.readouterr())


async def test_two_profiles_share_a_journal_and_no_key(home: Home, make_home: Callable[..., Home]) -> None:
    other = make_home()
    config = home.directory / ".config" / "cometapi" / "config.toml"
    text = config.read_text(encoding="utf-8")
    there = f'access_token = "{other.sandbox.access_token}"\nbase_url = "{other.url}"\n'
    config.write_text(f"{text}[profiles.home]\n{there}", encoding="utf-8")
    secrets = set()
    for profile in ("work", "home"):
        settings = load({**bare(home), "COMETAPI_PROFILE": profile, "COMETAPI_MCP_STATE": str(home.state)})
        async with Client(create_server(settings)) as client:
            key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
            secrets.add(key["secret"]["path"])
    assert len(secrets) == 2
    assert [[row.name for row in each.sandbox.keys] for each in (home, other)] == [["blog"], ["blog"]]
