"""A key's value in a dotenv file of the person's own programs: who allows it, what is written, and what is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ElicitResult

import comet_mcp.confirmation.asking as confirmation
from comet_mcp.sandbox import Key
from tests.e2e.life import connected, full_key
from tests.e2e.steps import served
from tests.e2e.test_confirmation import LEGACY, MODERN, Person
from tests.support import Home, data_of, error_of, text_of

OLD = "sk-" + "anotherValueOfTheShop01234567"
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's modes, owners and links")


@pytest.fixture(autouse=True)
def quick_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "QUICKEST_PERSON", 0.0)


@pytest.fixture
def shop(home: Home) -> Path:
    shop = home.directory / "shop"
    shop.mkdir()
    return shop


@pytest.fixture
def row(home: Home) -> Key:
    return full_key(home.sandbox, name="staging")


@pytest.fixture
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of this process, too: `~` is the server's user's."""
    monkeypatch.setenv("HOME", str(home.directory))
    monkeypatch.setenv("USERPROFILE", str(home.directory))
    return home


@asynccontextmanager
async def asking(home: Home, person: Person, era: str = MODERN, **extra: str) -> AsyncIterator[Client]:
    home.extra.update(extra)
    async with served(home, mode=era, elicitation_callback=person) as client:
        yield client


def saving(row: Key, file: Path | str) -> dict[str, Any]:
    return {"id": row.id, "file": str(file), "variable": "OPENAI_API_KEY"}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def save(home: Home, row: Key, file: Path | str) -> dict[str, Any]:
    async with connected(home) as client:
        return data_of(await client.call_tool("save_api_key", saving(row, file)))


async def refused(home: Home, row: Key, file: Path | str) -> str:
    async with connected(home) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, file)))
    assert row.key not in said
    assert home.sandbox.count("reveal") == 0
    return said


@pytest.fixture
def listed(home: Home, shop: Path) -> Home:
    home.extra["COMETAPI_MCP_ENV_DIRS"] = str(shop)
    return home


# Who allows it.


async def test_a_file_in_a_listed_folder_is_made_for_its_owner_alone_and_the_result_says_what_else_it_needs(
    listed: Home, shop: Path, row: Key
) -> None:
    async with connected(listed) as client:
        result = await client.call_tool("save_api_key", saving(row, shop / ".env"))
    secret = data_of(result)["secret"]
    assert secret == {
        "stored_in": "file",
        "path": str(shop / ".env"),
        "variable": "OPENAI_API_KEY",
        "outcome": "created",
        "base_url": f"{listed.url}/v1",
        "needs": f"OPENAI_BASE_URL={listed.url}/v1",
    }
    assert (shop / ".env").read_text(encoding="utf-8") == f"OPENAI_API_KEY=sk-{row.key}\n"
    assert row.key not in text_of(result)
    assert names(shop) == [".env"]
    if sys.platform != "win32":
        assert (shop / ".env").stat().st_mode & 0o777 == 0o600


async def test_a_folder_below_a_listed_one_and_a_home_written_as_a_tilde_are_understood(
    at_home: Home, shop: Path, row: Key
) -> None:
    (shop / "web").mkdir()
    at_home.extra["COMETAPI_MCP_ENV_DIRS"] = "~/other, ~/shop"
    assert (await save(at_home, row, "~/shop/web/.env.local"))["secret"]["path"] == str(shop / "web" / ".env.local")


async def test_where_neither_is_so_the_answer_has_the_two_ways_and_nothing_of_the_file(
    at_home: Home, shop: Path, row: Key
) -> None:
    (shop / ".env").write_text(f"OPENAI_API_KEY={OLD}\n", encoding="utf-8")
    said = await refused(at_home, row, "~/shop/.env")
    assert said.startswith("[file_not_allowed]")
    assert "cometapi-mcp save staging --file ~/shop/.env --as OPENAI_API_KEY" in said
    assert f'env_dirs = ["{shop}"]' in said
    assert OLD not in said
    assert (shop / ".env").read_text(encoding="utf-8") == f"OPENAI_API_KEY={OLD}\n"


async def test_the_line_for_the_terminal_runs_nothing_that_a_keys_name_says(home: Home, shop: Path) -> None:
    row = full_key(home.sandbox, name="x; rm -rf ~")
    said = await refused(home, row, shop / "a b.env".replace(" ", "-"))
    assert f"cometapi-mcp save {row.id} --file" in said
    assert "rm -rf" not in said


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_person_who_says_yes_to_this_very_write_allows_it_where_nothing_else_is_asked(
    home: Home, shop: Path, row: Key, era: str
) -> None:
    (shop / ".env").write_text(f"A=1\nOPENAI_API_KEY={OLD}\n", encoding="utf-8")
    person = Person()
    async with asking(home, person, era, COMETAPI_MCP_CONFIRM="never") as client:
        answer = data_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
        data_of(await client.call_tool("save_api_key", {"id": row.id}))  # is not asked about
    (question,) = person.asked
    assert all(word in question for word in (str(shop / ".env"), "OPENAI_API_KEY", "staging", "sk-anot***4567"))
    assert OLD not in question
    assert answer["secret"]["outcome"] == "changed"
    assert "had another value there" in " ".join(answer["warnings"])
    assert (shop / ".env").read_text(encoding="utf-8") == f"A=1\nOPENAI_API_KEY=sk-{row.key}\n"


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_person_who_says_no_is_obeyed(home: Home, shop: Path, row: Key, era: str) -> None:
    async with asking(home, Person(ElicitResult(action="decline")), era) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
    assert said.startswith("[confirmation_declined]")
    assert names(shop) == []
    assert home.sandbox.count("reveal") == 0


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_client_that_answers_without_asking_anybody_is_told_the_two_ways(
    home: Home, shop: Path, row: Key, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "QUICKEST_PERSON", 100.0)
    async with asking(home, Person(ElicitResult(action="cancel")), era) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
    assert said.startswith("[confirmation_unasked]")
    assert f"cometapi-mcp save staging --file {shop / '.env'} --as OPENAI_API_KEY" in said
    assert f'env_dirs = ["{shop}"]' in said
    assert names(shop) == []


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_value_that_changed_while_the_person_read_is_not_replaced(
    home: Home, shop: Path, row: Key, era: str
) -> None:
    async def meanwhile() -> None:
        (shop / ".env").write_text(f"OPENAI_API_KEY={OLD}\n", encoding="utf-8")

    async with asking(home, Person(meanwhile=meanwhile), era) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
    assert said.startswith("[confirmation_stale]")
    assert (shop / ".env").read_text(encoding="utf-8") == f"OPENAI_API_KEY={OLD}\n"


async def test_the_fallback_for_clients_that_cannot_ask_lets_no_file_be_written(
    home: Home, shop: Path, row: Key
) -> None:
    home.extra |= {"COMETAPI_MCP_CONFIRM": "writes", "COMETAPI_MCP_CONFIRM_FALLBACK": "allow"}
    assert (await refused(home, row, shop / ".env")).startswith("[file_not_allowed]")


async def test_a_value_of_another_service_is_not_shown_to_anybody(home: Home, shop: Path, row: Key) -> None:
    (shop / ".env").write_text("OPENAI_API_KEY=hunter2-and-a-half-of-it\n", encoding="utf-8")
    person = Person()
    async with asking(home, person) as client:
        answer = await client.call_tool("save_api_key", saving(row, shop / ".env"))
    assert "hunt" not in person.asked[0] + text_of(answer)


# What is written.


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\n# why\nOPENAI_API_KEY=old\nB=2\n", "A=1\n# why\nOPENAI_API_KEY=NEW\nB=2\n"),
        ("A=1\r\nOPENAI_API_KEY=old\r\nB='x'\r\n", "A=1\r\nOPENAI_API_KEY=NEW\r\nB='x'\r\n"),
        ("export OPENAI_API_KEY='o # d' # the shop's\nB=2", "export OPENAI_API_KEY=NEW # the shop's\nB=2"),
        ('OPENAI_API_KEY="o\\"ld"#x\n', "OPENAI_API_KEY=NEW #x\n"),
        ("OPENAI_API_KEY='two\nlines'\nB=2\n", "OPENAI_API_KEY=NEW\nB=2\n"),
        ("OPENAI_API_KEY=a\nB=2\nOPENAI_API_KEY=b\n", "OPENAI_API_KEY=a\nB=2\nOPENAI_API_KEY=NEW\n"),
        ("A=1", "A=1\nOPENAI_API_KEY=NEW\n"),
        ("A=1\r\nB=2\r\n", "A=1\r\nB=2\r\nOPENAI_API_KEY=NEW\r\n"),
        ("# OPENAI_API_KEY=x\nMY_OPENAI_API_KEY=y\n", "# OPENAI_API_KEY=x\nMY_OPENAI_API_KEY=y\nOPENAI_API_KEY=NEW\n"),
        ("OPENAI_API_KEY= # none yet\n", "OPENAI_API_KEY=NEW # none yet\n"),
        ("\ufeffA=ä\n", "\ufeffA=ä\nOPENAI_API_KEY=NEW\n"),
    ],
)
async def test_only_the_variables_line_changes(listed: Home, shop: Path, row: Key, before: str, after: str) -> None:
    (shop / ".env").write_bytes(before.encode())
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "changed"
    assert (shop / ".env").read_bytes().decode() == after.replace("NEW", f"sk-{row.key}")
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "kept"


@posix
async def test_a_files_mode_stays_and_one_that_others_read_is_told(listed: Home, shop: Path, row: Key) -> None:
    (shop / ".env").touch()
    (shop / ".env").chmod(0o640)
    assert f"chmod 600 {shop / '.env'}" in " ".join((await save(listed, row, shop / ".env"))["warnings"])
    assert (shop / ".env").stat().st_mode & 0o777 == 0o640


async def test_two_saves_at_once_into_one_file_both_stand_in_it(listed: Home, shop: Path) -> None:
    rows = [full_key(listed.sandbox, name=name) for name in ("one", "two", "three")]

    async def put(row: Key) -> None:
        async with connected(listed) as client:
            arguments = {"id": row.id, "file": str(shop / ".env"), "variable": f"{row.name.upper()}_KEY"}
            data_of(await client.call_tool("save_api_key", arguments))

    async with anyio.create_task_group() as group:
        for row in rows:
            group.start_soon(put, row)
    lines = (shop / ".env").read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(f"{row.name.upper()}_KEY=sk-{row.key}" for row in rows)


# What is refused.


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/etc/passwd", "is no dotenv file"),
        ("~/shop/.bashrc", "is no dotenv file"),
        ("~/shop/.envrc", "is no dotenv file"),
        ("~/shop/.git/.env", "is no dotenv file"),
        ("~/shop/../.env", "is no plain path"),
        ("//host/share/.env", "is no plain path"),
        ("~/shop/\u202e.env", "is no plain path"),
        ("shop/.env", "no plain file name"),
        ("~nobody/.env", "no plain file name"),
        ("~/keys/x/.env", "is in the key directory"),
    ],
)
async def test_a_path_that_is_no_dotenv_files_is_refused(
    at_home: Home, shop: Path, row: Key, file: str, said: str
) -> None:
    at_home.extra["COMETAPI_MCP_ENV_DIRS"] = "/"
    assert said in await refused(at_home, row, file)
    assert names(shop) == []


async def test_a_variable_that_changes_how_programs_run_is_refused_there_too(
    listed: Home, shop: Path, row: Key
) -> None:
    async with connected(listed) as client:
        arguments = {"id": row.id, "file": str(shop / ".env"), "variable": "LD_PRELOAD"}
        assert "may change how programs run" in error_of(await client.call_tool("save_api_key", arguments))


@posix
async def test_a_link_out_of_a_listed_folder_is_not_followed(listed: Home, shop: Path, row: Key) -> None:
    elsewhere = listed.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("A=1\n", encoding="utf-8")
    (shop / ".env").symlink_to(elsewhere / ".env")
    (shop / "web").symlink_to(elsewhere)
    for file in (shop / ".env", shop / "web" / ".env"):
        said = await refused(listed, row, file)
        assert said.startswith("[file_unusable]")
        assert str(elsewhere / ".env") in said
    assert (elsewhere / ".env").read_text(encoding="utf-8") == "A=1\n"


@posix
async def test_a_link_inside_a_listed_folder_is_followed_and_stays(listed: Home, shop: Path, row: Key) -> None:
    (shop / "config").mkdir()
    (shop / ".env").symlink_to(shop / "config" / "shop.env")
    assert (await save(listed, row, shop / ".env"))["secret"]["path"] == str(shop / "config" / "shop.env")
    assert (shop / ".env").is_symlink()
    assert row.key in (shop / "config" / "shop.env").read_text(encoding="utf-8")


@posix
async def test_a_person_is_asked_about_no_file_behind_a_link(home: Home, shop: Path, row: Key) -> None:
    (shop / "real.env").touch()
    (shop / ".env").symlink_to(shop / "real.env")
    person = Person()
    async with asking(home, person) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
    assert str(shop / "real.env") in said
    assert person.asked == []


@posix
async def test_a_link_that_takes_a_folders_place_before_the_write_is_not_followed(
    listed: Home, shop: Path, row: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "web").mkdir()
    outside = listed.directory / "outside"
    outside.mkdir()
    reveal = listed.sandbox.account.record

    def late(found: Key) -> dict[str, Any]:
        if not (shop / "web").is_symlink():
            (shop / "web").rmdir()
            (shop / "web").symlink_to(outside)
        return reveal(found)

    monkeypatch.setattr(listed.sandbox.account, "record", late)
    assert (await refused(listed, row, shop / "web" / ".env")).startswith("[file_unusable]")
    assert names(outside) == []


async def test_a_huge_file_a_binary_one_and_a_missing_folder_are_refused(listed: Home, shop: Path, row: Key) -> None:
    for content in (b"A=1\n" * 20_000, b"A=\xff\xfe\n", b"A=\0\n"):
        (shop / ".env").write_bytes(content)
        assert (await refused(listed, row, shop / ".env")).startswith("[file_unusable]")
        assert (shop / ".env").read_bytes() == content
    assert (await refused(listed, row, shop / "none" / ".env")).startswith("[file_unusable]")
    assert not (shop / "none").exists()


@posix
async def test_a_file_of_another_user_is_left(
    listed: Home, shop: Path, row: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / ".env").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to another user" in await refused(listed, row, shop / ".env")


@posix
async def test_a_write_protected_file_is_left_and_a_read_only_folder_is_told(
    listed: Home, shop: Path, row: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / ".env").write_text("A=1\n", encoding="utf-8")
    (shop / ".env").chmod(0o400)
    assert "is write-protected" in await refused(listed, row, shop / ".env")
    (shop / ".env").chmod(0o600)
    real = os.open

    def no_new(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if str(path).endswith(".tmp"):
            raise PermissionError(13, "Permission denied")  # as a read-only folder does, but for root
        return real(path, flags, *rest, **named)

    (listed.key_dir / ".edits").mkdir(parents=True)
    monkeypatch.setattr(os, "open", no_new)
    async with connected(listed) as client:
        said = error_of(await client.call_tool("save_api_key", saving(row, shop / ".env")))
    assert "Permission denied" in said
    assert (shop / ".env").read_text(encoding="utf-8") == "A=1\n"


# What git would give away.


@pytest.fixture
def repository(shop: Path) -> Callable[..., None]:
    program = shutil.which("git")
    if program is None:
        pytest.skip("there is no git")

    def git(*arguments: str) -> None:
        subprocess.run([program, "-C", str(shop), *arguments], check=True, capture_output=True)

    git("init", "-q")
    return git


async def test_a_file_that_git_does_not_ignore_is_refused_with_the_line_that_it_takes(
    listed: Home, shop: Path, row: Key, repository: Callable[..., None]
) -> None:
    said = await refused(listed, row, shop / ".env")
    assert said.startswith("[file_in_git]")
    assert f'the line ".env" into "{shop / ".gitignore"}"' in said
    assert not (shop / ".env").exists()
    (shop / ".gitignore").write_text(".env\n", encoding="utf-8")
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "created"
    repository("add", "-A")
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "kept"


async def test_a_file_that_git_tracks_is_refused_whatever_it_ignores(
    listed: Home, shop: Path, row: Key, repository: Callable[..., None]
) -> None:
    (shop / "web").mkdir()
    (shop / "web" / ".env").write_text("A=1\n", encoding="utf-8")
    repository("add", "web/.env")
    (shop / ".gitignore").write_text(".env\n", encoding="utf-8")
    said = await refused(listed, row, shop / "web" / ".env")
    assert "is tracked by git" in said
    assert "git rm --cached .env" in said


async def test_nothing_that_a_repositorys_config_names_is_run(
    listed: Home, shop: Path, row: Key, repository: Callable[..., None]
) -> None:
    ran = shop / "ran"
    script = shop / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\n", encoding="utf-8")
    script.chmod(0o755)
    (shop / ".gitignore").write_text("*\n", encoding="utf-8")
    for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass", "diff.external", "alias.ls-files"):
        repository("config", name, str(script))
    repository("config", "core.hooksPath", str(shop))
    (shop / "post-index-change").symlink_to(script)
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "created"
    assert not ran.exists()


async def test_without_git_or_its_answer_a_file_in_a_repository_is_refused_and_any_other_is_not(
    listed: Home, shop: Path, row: Key, repository: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / ".gitignore").write_text(".env\n", encoding="utf-8")
    repository("config", "core.bare", "true")
    assert "git did not tell" in await refused(listed, row, shop / ".env")
    monkeypatch.setattr(shutil, "which", lambda _: "./git")  # from a PATH with a dot in it
    assert "there is no git here" in await refused(listed, row, shop / ".env")
    shutil.rmtree(shop / ".git")
    assert (await save(listed, row, shop / ".env"))["secret"]["outcome"] == "created"


# Where it was put is known.


async def test_the_place_is_in_the_journal_and_no_value_is(listed: Home, shop: Path, row: Key) -> None:
    (shop / ".env").write_text(f"OPENAI_API_KEY={OLD}\n", encoding="utf-8")
    await save(listed, row, shop / ".env")
    with closing(sqlite3.connect(listed.state)) as db:
        assert db.execute("SELECT path, variable FROM place").fetchall() == [(str(shop / ".env"), "OPENAI_API_KEY")]
    written = b"".join(path.read_bytes() for path in listed.state.parent.iterdir())
    assert row.key.encode() not in written
    assert OLD.encode() not in written


@pytest.mark.parametrize("old_key", ["grace", "disable", "delete"])
async def test_a_rotation_puts_the_new_value_where_the_old_one_is_before_that_one_ends(
    listed: Home, shop: Path, row: Key, old_key: str
) -> None:
    (shop / ".env").write_text("A=1\nexport OPENAI_API_KEY='' # shop\n", encoding="utf-8")
    await save(listed, row, shop / ".env")
    old = row.key
    async with connected(listed) as client:
        named = {"id": row.id, "file": "app.env", "variable": "BLOG_KEY"}
        data_of(await client.call_tool("save_api_key", named))
        done = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": old_key}))
    new = next(key for key in listed.sandbox.keys if key.id == done["new_key"]["id"])
    assert (shop / ".env").read_text(encoding="utf-8") == f"A=1\nexport OPENAI_API_KEY=sk-{new.key} # shop\n"
    (named_file,) = [path for path in listed.key_files if path.name == "app.env"]
    assert named_file.read_text(encoding="utf-8") == f"BLOG_KEY=sk-{new.key}\n"
    steps = " ".join(done["steps"])
    assert f"Its value is in {shop / '.env'} (as OPENAI_API_KEY), {named_file} (as BLOG_KEY)" in steps
    assert not [said for said in done.get("warnings", []) if "put into" in said]
    assert old not in str(done)
    assert new.key not in str(done)


async def test_a_rotation_leaves_a_line_that_has_another_value_by_now(listed: Home, shop: Path, row: Key) -> None:
    await save(listed, row, shop / ".env")
    (shop / ".env").write_text(f"OPENAI_API_KEY={OLD}\n", encoding="utf-8")
    async with connected(listed) as client:
        done = data_of(await client.call_tool("rotate_api_key", {"id": row.id}))
    assert (shop / ".env").read_text(encoding="utf-8") == f"OPENAI_API_KEY={OLD}\n"
    assert str(shop) not in str(done)


@pytest.mark.usefixtures("repository")
async def test_a_rotation_names_a_place_that_it_cannot_write_and_ends_the_key_as_asked(
    listed: Home, shop: Path, row: Key
) -> None:
    (shop / ".gitignore").write_text(".env\n", encoding="utf-8")
    await save(listed, row, shop / ".env")
    (shop / ".gitignore").unlink()
    async with connected(listed) as client:
        done = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": "disable"}))
        said = " ".join(done["warnings"])
        assert f"put into {shop / '.env'} (as OPENAI_API_KEY)" in said
        assert f"save_api_key with id {done['new_key']['id']}" in said
        assert row.status != 1
        (shop / ".gitignore").write_text(".env\n", encoding="utf-8")
        again = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": "disable"}))
    assert f"Its value is in {shop / '.env'}" in " ".join(again["steps"])
    assert row.key not in (shop / ".env").read_text(encoding="utf-8")


async def test_a_deleted_keys_value_is_cleared_from_its_line_alone(listed: Home, shop: Path, row: Key) -> None:
    (shop / ".env").write_text("A=1\n", encoding="utf-8")
    await save(listed, row, shop / ".env")
    async with connected(listed) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert answer["note"].startswith(f"It was cleared from {shop / '.env'} (as OPENAI_API_KEY). A key that is made")
    assert (shop / ".env").read_text(encoding="utf-8") == "A=1\nOPENAI_API_KEY=\n"


async def test_a_delete_leaves_a_line_that_has_another_value_by_now(listed: Home, shop: Path, row: Key) -> None:
    await save(listed, row, shop / ".env")
    (shop / ".env").write_text(f"OPENAI_API_KEY={OLD}\n", encoding="utf-8")
    async with connected(listed) as client:
        assert str(shop) not in data_of(await client.call_tool("delete_api_key", {"id": row.id}))["note"]
    assert (shop / ".env").read_text(encoding="utf-8") == f"OPENAI_API_KEY={OLD}\n"
