"""`cometapi-mcp install` and `uninstall`, on files as people have them."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from comet_mcp.cli.root import main
from comet_mcp.clients.file import entry_in, is_there, path_of, read_text, write_text
from comet_mcp.clients.start import Start
from comet_mcp.clients.table import BY_NAME, CLIENTS, Client
from comet_mcp.errors import SettingsError

SECRET = "made-up-secret-of-another-server"

STARTS = {
    "plain": '{"mcpServers": {"other": {"command": "x", "env": {"T": "%s"}}}}',
    "comments": '{\n  // mine\n  "KEY": {\n    "other": {"command": "x", "env": {"T": "%s"}}, // c\n  },\n}\n',
    "tabs": '{\n\t"KEY": {\n\t\t"other": {"command": "x", "env": {"T": "%s"}}\n\t},\n\t"z": 1\n}\n',
    "CRLF": '{\r\n  "KEY": {\r\n    "other": {"command": "x", "env": {"T": "%s"}}\r\n  }\r\n}\r\n',
    "byte order mark": '\ufeff{\n  "KEY": {\n    "other": {"command": "x", "env": {"T": "%s"}}\n  }\n}\n',
}
JSON_CLIENTS = [client for client in CLIENTS if client.form == "json"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    for name in list(os.environ):
        if name.startswith(("COMETAPI", "XDG_", "CLAUDE", "CODEX", "CLINE", "COPILOT", "KIMI", "VIBE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path / "AppData" / "Roaming"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    return tmp_path


def file_of(client: Client) -> Path:
    path = path_of(client, os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("client", JSON_CLIENTS, ids=lambda client: client.name)
def test_an_install_and_an_uninstall_leave_a_file_as_it_was(
    client: Client, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(client)
    before = (STARTS[kind] % SECRET).replace("KEY", client.key).replace("mcpServers", client.key).encode()
    path.write_bytes(before)
    assert main(["install", client.name, "--yes"]) == 0
    assert entry_in(client, path) == Start.of_this({}).entry(client)
    after = path.read_bytes()
    assert SECRET.encode() in after
    assert main(["install", client.name, "--yes"]) == 0  # once more changes nothing
    assert path.read_bytes() == after
    assert path.with_name(path.name + ".before-cometapi").read_bytes() == before
    assert main(["uninstall", client.name, "--yes"]) == 0
    assert path.read_bytes() == before
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_file_that_is_not_there_is_made_for_its_owner_alone(client: Client) -> None:
    assert main(["install", client.name, "--yes"]) == 0
    path = path_of(client, os.environ)
    assert entry_in(client, path) == Start.of_this({}).entry(client)
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["uninstall", client.name, "--yes"]) == 0
    assert entry_in(client, path) is None


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_is_no_configuration_is_left_alone_and_named(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(client)
    path.write_text("{ half a file: [")
    assert main(["install", client.name, "--yes"]) == 1
    assert path.read_text() == "{ half a file: ["
    said = capsys.readouterr().err
    assert str(path) in said
    assert "Nothing was changed" in said or "can't be read" in said


@pytest.mark.parametrize(
    ("name", "platform", "path"),
    [
        ("claude-desktop", "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", ".config/Claude/claude_desktop_config.json"),
        ("vscode", "darwin", "Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", "AppData/Roaming/Code/User/mcp.json"),
        ("zed", "darwin", ".config/zed/settings.json"),
        ("zed", "win32", "AppData/Roaming/Zed/settings.json"),
        ("goose", "win32", "AppData/Roaming/Block/goose/config/config.yaml"),
        ("claude-code", "linux", ".claude.json"),
        ("cline", "linux", ".cline/data/settings/cline_mcp_settings.json"),
    ],
)
def test_each_client_has_its_file_in_its_place(name: str, platform: str, path: str, home: Path) -> None:
    assert path_of(BY_NAME[name], os.environ, platform) == home / path


def test_the_store_s_claude_desktop_has_its_file_in_its_package(home: Path) -> None:
    package = home / "AppData/Local/Packages/Claude_made0up"
    package.mkdir(parents=True)
    (package / "LocalCache/Roaming/Claude").mkdir(parents=True)
    expected = package / "LocalCache/Roaming/Claude/claude_desktop_config.json"
    assert path_of(BY_NAME["claude-desktop"], os.environ, "win32") == expected


@pytest.mark.parametrize(
    ("name", "variable", "path"),
    [
        ("codex", "CODEX_HOME", "config.toml"),
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("copilot", "COPILOT_HOME", "mcp-config.json"),
        ("zed", "XDG_CONFIG_HOME", "zed/settings.json"),
        ("cline", "CLINE_DIR", "data/settings/cline_mcp_settings.json"),
    ],
)
def test_a_client_s_own_variable_moves_its_file(name: str, variable: str, path: str) -> None:
    assert path_of(BY_NAME[name], {variable: "/elsewhere"}, "linux") == Path("/elsewhere") / path


def test_what_a_person_added_to_the_entry_stays() -> None:
    path = file_of(BY_NAME["cursor"])
    ours = {"command": "/old/cometapi-mcp", "args": [], "disabled": True, "env": {"COMETAPI_MCP_READ_ONLY": "1"}}
    path.write_text(json.dumps({"mcpServers": {"cometapi": ours}}))
    assert main(["install", "cursor", "--yes"]) == 0
    entry = entry_in(BY_NAME["cursor"], path)
    assert entry == {**ours, "command": Start.of_this({}).command}


def test_a_token_that_stands_in_the_entry_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(BY_NAME["cursor"])
    ours = {"command": "old", "args": [], "env": {"COMETAPI_ACCESS_TOKEN": "made-up-token"}}
    path.write_text(json.dumps({"mcpServers": {"cometapi": ours}}))
    assert main(["install", "cursor", "--dry-run"]) == 0
    assert "made-up-token" not in capsys.readouterr().out
    assert json.loads(path.read_text())["mcpServers"]["cometapi"] == ours


def test_the_entry_says_where_the_settings_are_for_a_client_passes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_MCP_CONFIG", "/etc/cometapi.toml")
    monkeypatch.setenv("COMETAPI_ACCESS_TOKEN", "made-up-token")
    path = file_of(BY_NAME["codex"])
    assert main(["install", "codex", "--yes"]) == 0
    assert 'COMETAPI_MCP_CONFIG = "/etc/cometapi.toml"' in path.read_text()
    assert "made-up-token" not in path.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_followed_and_stays_a_link(home: Path) -> None:
    path, real = file_of(BY_NAME["cursor"]), home / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    path.symlink_to(real)
    assert main(["install", "cursor", "--yes"]) == 0
    assert path.is_symlink()
    assert "cometapi" in real.read_text()


def test_a_read_only_file_is_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(BY_NAME["cursor"])
    path.write_text("{}")
    monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as root, who may write everything
    assert main(["install", "cursor", "--yes"]) == 1
    assert path.read_text() == "{}"
    assert "read-only" in capsys.readouterr().err


def test_a_folder_in_the_file_s_place_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(BY_NAME["cursor"])
    path.mkdir()
    assert main(["install", "cursor", "--yes"]) == 1
    assert "is a folder" in capsys.readouterr().err


if sys.platform != "win32":

    def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SettingsError, match="is no ordinary file"):
            read_text(tmp_path / "pipe")

    def test_a_device_is_replaced_by_no_file() -> None:
        with pytest.raises(SettingsError, match="is no ordinary file"):
            write_text(Path(os.devnull), None, "made up")


def test_without_a_client_those_that_are_there_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install"]) == 1
    assert "No MCP client was found" in capsys.readouterr().out
    file_of(BY_NAME["cursor"])
    file_of(BY_NAME["codex"])
    assert main(["install", "codex", "--yes"]) == 0
    capsys.readouterr()
    assert main(["install"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["cursor", "found"]
    assert lines[1].split()[:3] == ["codex", "has", "this"]
    assert "To add it: cometapi-mcp install cursor" in lines
    assert lines[-1].startswith("It knows these too: claude-desktop, ")
    assert "codex" not in lines[-1]
    assert [client.name for client in CLIENTS if is_there(client, os.environ)] == ["cursor", "codex"]


def test_nothing_is_written_where_nobody_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(BY_NAME["cursor"])
    assert main(["install", "cursor"]) == 1
    assert not path.exists()
    assert "--yes" in capsys.readouterr().err


def test_a_misspelt_client_is_answered_with_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "cursr"]) == 2
    assert "Did you mean cursor?" in capsys.readouterr().err
    assert main(["install", "emacs"]) == 2
    assert "--print" in capsys.readouterr().err


def test_a_strict_client_s_comments_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    file_of(BY_NAME["claude-desktop"]).write_text("{} // mine")
    assert main(["install", "claude-desktop", "--dry-run"]) == 0
    assert "strict JSON only" in capsys.readouterr().out


def test_the_block_for_any_other_client_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--print"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["mcpServers"]["cometapi"]["args"] == Start.of_this({}).args


def test_several_clients_are_done_one_by_one_and_one_that_fails_stops_no_other() -> None:
    file_of(BY_NAME["cursor"]).write_text("{ broken")
    zed = file_of(BY_NAME["zed"])
    assert main(["install", "cursor", "zed", "--yes"]) == 1
    assert entry_in(BY_NAME["zed"], zed) is not None


def test_the_command_of_the_entry_is_there() -> None:
    start = Start.of_this({})
    assert Path(start.command).is_absolute()
    assert Path(start.command).exists()
