"""Every claim outside the code that can be checked: the tables of the docs, server.json, versions, dependencies."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from comet_mcp import __version__
from comet_mcp.cli.root import root
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError
from comet_mcp.server import TOOLS
from comet_mcp.settings import SETTINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
PACKAGE: dict[str, Any] = SERVER["packages"][0]


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of a page's first table with that first column heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_server_json_is_valid_for_the_registry() -> None:
    schema = json.loads((ROOT / "tests" / "data" / "server.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(SERVER, schema)
    assert SERVER["name"] == "io.github.cometapi-mcp/cometapi-mcp"
    assert len(SERVER["description"]) <= 100
    assert f"mcp-name: {SERVER['name']}" in README


def test_server_json_has_the_version_of_the_package() -> None:
    assert SERVER["version"] == PACKAGE["version"] == __version__


def test_server_json_describes_every_setting_and_marks_the_secret_one() -> None:
    listed = {entry["name"]: (entry["description"], entry["isSecret"]) for entry in PACKAGE["environmentVariables"]}
    assert listed == {setting.variable: (setting.help, setting.secret) for setting in SETTINGS}
    secrets = [name for name, (_, secret) in listed.items() if secret]
    assert secrets == ["COMETAPI_ACCESS_TOKEN", "COMETAPI_MCP_PROXY"]  # a proxy's address may hold a password


def test_the_docs_list_the_tools_in_their_order_and_tells_which_only_read() -> None:
    assert all(f"`{tool.description.name}`" in README for tool in TOOLS)
    rows = {row[0].strip("`"): row[2] == "no" for row in table("tools.md", "tool")}
    offered = {tool.description.name: tool.description.annotations for tool in TOOLS}
    assert list(rows) == list(offered)
    assert rows == {name: bool(hints and hints.read_only_hint) for name, hints in offered.items()}


def test_the_docs_list_the_fields_of_create_with_their_defaults() -> None:
    rows = {row[0].strip("`"): row[2] for row in table("tools.md", "field")}
    defaults = {
        name: "" if field.is_required() else json.dumps(field.default) for name, field in KeySpec.model_fields.items()
    }
    assert rows == defaults


def test_the_docs_list_every_setting_with_its_key_in_the_file_and_its_default() -> None:
    rows = {row[0].strip("`"): (row[1].strip("`"), row[3].strip("`")) for row in table("settings.md", "variable")}
    assert rows == {setting.variable: (setting.key, setting.default) for setting in SETTINGS}


def test_every_error_code_in_the_docs_exists_in_the_code() -> None:
    known = {error.code for error in _subclasses(CometError)}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "comet_mcp").rglob("*.py"))
    known |= set(re.findall(r'code="([a-z_]+)"', source))
    named = set(re.findall(r"\[([a-z]+_?[a-z_]*)\]", " ".join(row[0] for row in table("errors.md", "you see"))))
    assert named
    assert named <= known


def test_every_command_in_the_docs_exists_and_every_command_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "README.ja.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"(?<![\w-])cometapi-mcp ([a-z]+)(?![\w-])", text))
    told = {name for row in table("terminal.md", "command") for name in re.findall(r"`([a-z]+)`", row[0])}
    known = set(root.list_commands(click.Context(root)))
    assert told == known
    assert named <= known
    assert {"setup", "login", "doctor", "run", "keys"} <= named


def test_every_dependency_has_its_reason_above_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    project = tomllib.loads(text)["project"]
    assert len(project["dependencies"]) >= 5
    before = "["
    for line in block.splitlines()[1:-2]:
        if line.strip().startswith('"'):
            assert before.strip().startswith(("#", '"')), line
        before = line


DOCS = [f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", ["README.md", "AGENTS.md", "CHANGELOG.md", "examples/README.md", *DOCS])
def test_files_named_in_the_prose_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:comet_mcp|tests|release|docs|examples)/[\w/.]+)`", text))
    assert all((ROOT / path).exists() for path in named), sorted(p for p in named if not (ROOT / p).exists())


@pytest.mark.parametrize("name", ["README.md", "AGENTS.md", "CHANGELOG.md", "benchmarks/README.md", *DOCS])
def test_no_heading_and_no_paragraph_stands_twice(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    rows = [line for line in text.splitlines() if re.match(r"\| [^|-]", line)]
    paragraphs = [block.strip() for block in text.split("\n\n") if len(block) > 80]
    repeated = {entry for group in (headings, rows, paragraphs) for entry in group if group.count(entry) > 1}
    assert not repeated


def _subclasses(cls: type[CometError]) -> set[type[CometError]]:
    return {cls}.union(*(_subclasses(child) for child in cls.__subclasses__()))
