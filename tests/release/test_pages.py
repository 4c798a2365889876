"""README and docs: what is made of the code is as the code makes it, the blocks and links start the server."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from ruamel.yaml import YAML

from release import ROOT, pages
from release.start import SOURCE
from tests.support import Home

DOCS = sorted((ROOT / "docs").glob("*.md"))
EVERY_PAGE = [ROOT / "README.md", ROOT / "README.ja.md", ROOT / "AGENTS.md", ROOT / "examples" / "README.md", *DOCS]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = ["uvx", "--from", SOURCE, "cometapi-mcp"]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every server in a client's configuration, whatever its form."""
    if isinstance(value, dict):
        if "command" in value or "cmd" in value:
            yield value
        for inner in value.values():
            yield from entries(inner)


def argv(entry: dict[str, Any]) -> list[str]:
    command: Any = entry.get("command", entry.get("cmd"))
    return [*command] if isinstance(command, list) else [command, *entry["args"]]


def starts(page: str) -> list[list[str]]:
    """The command that each block of a page gives a client, and those of the shell that start uvx."""
    read: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": YAML(typ="safe").load}
    found = []
    for language, text in FENCE.findall(page):
        if language in read:
            found += [argv(entry) for entry in entries(read[language](text))]
        elif "uvx" in text:
            words = shlex.split(text)
            found.append(words[words.index("uvx") :] if language != "text" else goose(text.strip()))
    return found


def goose(link: str) -> list[str]:
    query = parse_qs(urlsplit(link).query)
    return [*query["cmd"], *query["arg"]]


@pytest.mark.parametrize("name", pages.PAGES)
def test_what_is_made_of_the_code_is_as_the_code_makes_it(name: str) -> None:
    page = text_of(name)
    assert page.count("<!-- made: ") == page.count("<!-- /made -->") > 0
    assert page == pages.filled(page), "python -m release.pages writes it"


def test_every_block_starts_the_server_by_the_same_command() -> None:
    found = [start for name in pages.PAGES for start in starts(text_of(name)) if start[0] != "docker"]
    assert len(found) >= 12
    assert all(start[:4] == START for start in found), found
    assert {tuple(start[4:]) for start in found} == {(), ("--version",)}


def test_the_one_click_links_hold_the_same_command_and_no_token() -> None:
    made = text_of("README.md").split("<!-- made: links -->")[1].split("<!-- /made -->")[0]
    links = dict(re.findall(r"\[([^\]]+)\]\((https://[^)\s]+)\)", made))
    assert list(links) == ["Cursor", "VS Code", "VS Code Insiders", "LM Studio", "Kiro"]
    for client, link in links.items():
        query = {name: value for name, (value,) in parse_qs(urlsplit(link).query, strict_parsing=True).items()}
        text = query["config"]
        entry = json.loads(base64.b64decode(text, validate=True) if client in {"Cursor", "LM Studio"} else text)
        assert (query["name"], argv(entry)) == ("cometapi", START), client
        if client.startswith("VS Code"):
            (asked,) = json.loads(query["inputs"])
            assert entry["env"] == {"COMETAPI_ACCESS_TOKEN": f"${{input:{asked['id']}}}"}
            assert (asked["type"], asked["password"]) == ("promptString", True)
            assert query.get("quality") == ("insiders" if "Insiders" in client else None)
        else:
            assert "env" not in entry


@pytest.mark.long
async def test_the_command_that_is_printed_starts_the_server(
    make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv fetches what the server needs, so this takes a network. It installs this checkout, not the repository."""
    home = make_home()
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    (start,) = {tuple(start) for start in starts(text_of("README.md")) if len(start) == len(START)}
    command, *arguments = [str(ROOT) if word == SOURCE else word for word in start]
    environment = dict(os.environ) | {k: v for k, v in home.environment.items() if k.startswith("COMETAPI_")}
    server = StdioServerParameters(command=command, args=arguments, env=environment)
    async with Client(stdio_client(server)) as client:
        made = await client.call_tool("create_api_key", {"name": "by uvx", "remain_quota": 500_000})
    assert not made.is_error
    assert [row.name for row in home.sandbox.keys] == ["by uvx"]


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_readme_leads_to_every_page_of_the_docs_and_fits_on_a_few_screens() -> None:
    readme = text_of("README.md")
    assert len(readme.splitlines()) < 250
    assert not [page.name for page in DOCS if f"](docs/{page.name})" not in readme]


def test_the_japanese_readme_has_the_commands_of_the_english_one() -> None:
    english, japanese = FENCE.findall(text_of("README.md")), FENCE.findall(text_of("README.ja.md"))
    assert all(block in english for block in japanese)
    shared = re.compile(r"git clone|demo|mcpServers|doctor")
    set_up = [block for block in english if shared.search(block[1])]
    assert [block for block in japanese if block in set_up] == set_up
    words = re.compile(r"`((?:\.venv/bin/)?cometapi-mcp [^`]*|git pull[^`]*|login|setup)`")
    assert set(words.findall(text_of("README.ja.md"))) <= set(words.findall(text_of("README.md"))) | {"setup"}
