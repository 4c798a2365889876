"""TOML and YAML files of clients: our entry in and out, the rest as it was."""

from __future__ import annotations

import pytest

from comet_mcp.clients import toml_file, yaml_file

OURS = {"command": "/opt/x", "args": ["a"], "env": {"A": "b"}}

TOML = {
    "nothing": "",
    "a comment": '# mine\nmodel = "x"\n',
    "another server": "[mcp_servers.other]\ncommand = 'a' # c\n\n[profiles.x]\na = 1\n",
    "dotted keys": "mcp_servers.o.command = 'z'\n",
    "a table of its own": "[mcp_servers]\n[mcp_servers.o]\ncommand = 'c'\n# tail\n",
    "one line": "mcp_servers = {o = {command = 'c'}}\n",
    "a string of many lines": 'a = """\n[mcp_servers.cometapi]\n"""\n',
}


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", TOML)
def test_a_table_comes_and_goes_and_the_rest_of_the_toml_stays(kind: str, eol: str) -> None:
    text = TOML[kind].replace("\n", eol)
    after = toml_file.with_table(text, ["mcp_servers"], "cometapi", OURS)
    assert toml_file.read(after)["mcp_servers"]["cometapi"] == OURS
    assert all(line in after.splitlines() for line in text.splitlines() if "{" not in line)
    assert eol == "\n" or not text or "\n" not in after.replace("\r\n", "")
    assert toml_file.without_table(after, ["mcp_servers"], "cometapi") == text


def test_a_table_that_is_there_is_replaced() -> None:
    text = "[mcp_servers.cometapi]\ncommand = 'old'\n\n[z]\nq = 1\n"
    after = toml_file.with_table(text, ["mcp_servers"], "cometapi", OURS)
    assert toml_file.read(after) == {"mcp_servers": {"cometapi": OURS}, "z": {"q": 1}}


def test_an_item_comes_and_goes_in_an_array_of_tables() -> None:
    text = "# c\nq = 1\n[[mcp_servers]]\nname = 'o'\ncommand = 'c'\n\n[z]\na = 1\n"
    after = toml_file.with_item(text, ["mcp_servers"], "cometapi", OURS)
    assert toml_file.read(after)["mcp_servers"][1] == {"name": "cometapi", **OURS}
    changed = toml_file.with_item(after, ["mcp_servers"], "cometapi", {"command": "n"})
    assert toml_file.read(changed)["mcp_servers"][1] == {"name": "cometapi", "command": "n"}
    assert toml_file.read(toml_file.without_item(after, ["mcp_servers"], "cometapi")) == toml_file.read(text)


@pytest.mark.parametrize("text", ["a = ", "mcp_servers = 3", "a = 1\na = 2"])
def test_what_can_not_be_edited_as_toml_is_refused(text: str) -> None:
    with pytest.raises(toml_file.NotTOMLError):
        toml_file.with_table(text, ["mcp_servers"], "cometapi", OURS)


YAML = {
    "a comment": "# c\nA: x\nextensions:\n  dev:\n    enabled: true  # c\n    args:\n    - a\n# tail\nz: 1\n",
    "deep": "extensions:\n    dev:\n        t: |\n            a\n            b\n    # about x\n    x: {a: 1}\nz: 1\n",
}


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", YAML)
def test_a_mapping_s_entry_comes_and_goes_and_the_rest_of_the_yaml_stays(kind: str, eol: str) -> None:
    text = YAML[kind].replace("\n", eol)
    after = yaml_file.with_entry(text, "extensions", "cometapi", OURS, in_list=False)
    assert yaml_file.read(after)["extensions"]["cometapi"] == OURS
    assert yaml_file.without_entry(after, "extensions", "cometapi", in_list=False) == text


NONE_YET = ["", "a: 1", "extensions: {}\nz: 1\n", "extensions: # none\n", "extensions:\nz: 1", "extensions: ~\n"]


@pytest.mark.parametrize("text", NONE_YET)
def test_where_there_is_no_entry_yet_one_is_made(text: str) -> None:
    after = yaml_file.with_entry(text, "extensions", "cometapi", OURS, in_list=False)
    assert yaml_file.read(after)["extensions"] == {"cometapi": OURS}
    assert "# none" not in text or "# none" in after
    assert yaml_file.read(yaml_file.without_entry(after, "extensions", "cometapi", in_list=False))["extensions"] == {}


@pytest.mark.parametrize(
    "text",
    ["", "n: A\nmcpServers:\n  - name: o\n    command: c\nz: 1\n", "mcpServers:\n- name: o\n", "mcpServers: []\n"],
)
def test_an_item_comes_and_goes_in_a_list(text: str) -> None:
    after = yaml_file.with_entry(text, "mcpServers", "cometapi", OURS, in_list=True)
    assert yaml_file.read(after)["mcpServers"][-1] == {"name": "cometapi", **OURS}
    again = yaml_file.without_entry(after, "mcpServers", "cometapi", in_list=True)
    assert again == text or yaml_file.read(again)["mcpServers"] == []


@pytest.mark.parametrize("text", ["a: [", "- a", "extensions: 3\n"])
def test_what_can_not_be_edited_as_yaml_is_refused(text: str) -> None:
    with pytest.raises(yaml_file.NotYAMLError):
        yaml_file.with_entry(text, "extensions", "cometapi", OURS, in_list=False)
