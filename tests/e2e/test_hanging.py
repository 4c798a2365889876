"""A keychain that waits for a person, and disks that do not answer: every call answers, and says what hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import anyio
import keyring
import keyring.backend
import pytest

from comet_mcp.journal.rows import Place
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.secret_store.env_files import EnvFiles
from comet_mcp.secret_store.files import FileStore
from tests.e2e.life import connected
from tests.e2e.steps import LONG, blocking_until, code_of, until
from tests.robustness.test_stdio_fuzz import GONE_AFTER, piped
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]
pytestmark = pytest.mark.fast_time


class Asking(keyring.backend.KeyringBackend):
    """A keychain that asks for a password before it does anything."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.answered = Event()
        self.asked = 0
        self.kept: dict[str, str] = {}

    def _ask(self) -> None:
        self.asked += 1
        self.answered.wait()

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002 - the interface
        self._ask()
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002 - the interface
        self._ask()
        self.kept[username] = password

    def delete_password(self, service: str, username: str) -> None:  # noqa: ARG002 - the interface
        self._ask()
        del self.kept[username]


@pytest.fixture
def keychain() -> Iterator[Asking]:
    before, asking = keyring.get_keyring(), Asking()
    keyring.set_keyring(asking)
    yield asking
    asking.answered.set()
    keyring.set_keyring(before)


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    home = make_home(dialect="gateway", COMETAPI_MCP_SECRETS="keyring", COMETAPI_MCP_TIMEOUT="3")
    home.sandbox.add_key("here", remain_quota=1_000_000)
    return home


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("create_api_key", {"name": "new"}),
    ("save_api_key", {"id": 1}),
    ("rotate_api_key", {"id": 1}),
]


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
async def test_a_keychain_that_waits_for_a_person_is_named_and_nothing_is_made(
    home: Home, keychain: Asking, tool: str, arguments: dict[str, Any]
) -> None:
    async with connected(home) as client:
        said = error_of(await client.call_tool(tool, arguments))
        assert said.startswith("[key_store_hangs] The keychain has not answered in ")
        assert "it may be asking for a password on the screen" in said.lower()
        assert data_of(await client.call_tool("get_api_key", {"id": 1}))["name"] == "here"
        keychain.answered.set()
        await until(lambda: not keychain.kept)
        assert not (await client.call_tool(tool, arguments)).is_error
    assert home.sandbox.count("create") == (0 if tool == "save_api_key" else 1)


async def test_a_verification_says_that_the_keychain_waits(home: Home, keychain: Asking) -> None:
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": 1}))
    assert verdict["verdict"] == "can't be told"
    assert "The keychain has not answered in" in verdict["reasons"][0]
    assert keychain.asked == 1


async def test_another_call_is_answered_while_the_keychain_waits(home: Home, keychain: Asking) -> None:
    async with connected(home) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "save_api_key", {"id": 1})
        await until(lambda: keychain.asked)
        assert data_of(await client.call_tool("get_api_key", {"id": 1}))["name"] == "here"


async def test_the_person_is_not_asked_once_more_by_every_call(home: Home, keychain: Asking) -> None:
    home.extra["COMETAPI_MCP_TIMEOUT"] = "1"
    async with connected(home) as client:
        for _ in range(12):
            assert code_of(await client.call_tool("save_api_key", {"id": 1})) == "key_store_hangs"
    assert keychain.asked == 8


async def test_a_key_that_exists_is_told_although_the_keychain_begins_to_wait(home: Home, keychain: Asking) -> None:
    keychain.answered.set()
    create = home.sandbox.account.create

    def lock(*arguments: Any, **named: Any) -> Any:
        keychain.answered.clear()
        return create(*arguments, **named)

    with mock.patch.object(home.sandbox.account, "create", lock):
        async with connected(home) as client:
            made = data_of(await client.call_tool("create_api_key", {"name": "new"}))
    assert made["id"] == 2
    assert "The keychain has not answered in " in " ".join(made["warnings"])


async def test_a_key_directory_that_does_not_answer_is_named(make_home: MakeHome) -> None:
    home, awake = make_home(COMETAPI_MCP_TIMEOUT="3"), Event()

    def hang(*_: Any, **__: Any) -> None:
        awake.wait()

    with mock.patch.object(FileStore, "check", hang):
        async with connected(home) as client:
            said = error_of(await client.call_tool("create_api_key", {"name": "new"}))
            awake.set()
    assert said.startswith(f'[key_store_hangs] The key directory "{home.key_dir}')
    assert not home.sandbox.keys


async def test_a_journal_that_does_not_answer_is_named_and_serves_again_later(make_home: MakeHome) -> None:
    home, awake, real = make_home(), Event(), SQLiteJournal._once
    home.sandbox.add_key("here")

    def hang(journal: SQLiteJournal, uses: Any) -> None:
        awake.wait()
        real(journal, uses)

    with mock.patch.object(SQLiteJournal, "_once", hang):
        async with connected(home) as client:
            said = error_of(await client.call_tool("create_api_key", {"name": "new"}))
            assert said.startswith(f'[journal_unavailable] The journal "{home.state}" does not answer')
            assert data_of(await client.call_tool("get_api_key", {"id": 1}))["name"] == "here"
            assert home.sandbox.count("create") == 0
            awake.set()
            made = await client.call_tool("create_api_key", {"name": "new"})
            while code_of(made) == "journal_unavailable":
                made = await client.call_tool("create_api_key", {"name": "new"})
            assert data_of(made)["id"] == 2
    assert home.sandbox.count("create") == 1


async def test_a_place_on_a_dead_disk_is_named_by_a_rotation_which_writes_the_others_and_ends_the_key(
    make_home: MakeHome,
) -> None:
    home = make_home()
    row = home.sandbox.add_key("staging", remain_quota=500_000)
    folders = [home.directory / name for name in ("dead", "alive")]
    home.extra["COMETAPI_MCP_ENV_DIRS"] = ",".join(map(str, folders))
    awake, real = Event(), EnvFiles.value_at

    def hang(files: EnvFiles, place: Place) -> Any:
        if Path(place.path).parent.name == "dead":
            awake.wait()
        return real(files, place)

    async with connected(home) as client:
        for folder in folders:
            folder.mkdir()
            data_of(await client.call_tool("save_api_key", {"id": row.id, "file": str(folder / ".env")}))
        with mock.patch.object(EnvFiles, "value_at", hang):
            done = data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": "disable"}))
            assert f"put into {folders[0] / '.env'} (as COMETAPI_KEY)" in " ".join(done["warnings"])
            assert f"Its value is in {folders[1] / '.env'} (as COMETAPI_KEY)" in " ".join(done["steps"])
            assert done["old_key"]["state"] == "disabled"
            deleted = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
            awake.set()
    assert f"It was put into {folders[0] / '.env'} (as COMETAPI_KEY): remove the line there." in deleted["note"]


_BLOCKING = """\
import pathlib, os
from keyring.backend import KeyringBackend
from threading import Event


class Keychain(KeyringBackend):
    priority = 1

    def get_password(self, *_):
        pathlib.Path(os.environ["TEST_ASKED"]).touch()
        Event().wait()

    set_password = delete_password = get_password
"""


def give_blocking_keychain(home: Home) -> Path:
    """Let the processes of that home find a keychain that never answers. Gives the file that shows its question."""
    place = home.directory.with_name(f"{home.directory.name}-keychain")
    place.mkdir()
    (place / "blocking_keychain.py").write_text(_BLOCKING, encoding="utf-8")
    home.extra |= {
        "COMETAPI_MCP_SECRETS": "keyring",
        "COMETAPI_MCP_TIMEOUT": "1",
        "PYTHONPATH": str(place),
        "PYTHON_KEYRING_BACKEND": "blocking_keychain.Keychain",
        "TEST_ASKED": str(place / "asked"),
    }
    return place / "asked"


@pytest.mark.long
@pytest.mark.real_time
def test_a_process_ends_with_its_input_although_its_keychain_waits(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("here")
    asked = give_blocking_keychain(home)
    home.extra["COMETAPI_MCP_TIMEOUT"] = "15"
    with piped(home) as server:
        server.call("save_api_key", {"id": 1})
        blocking_until(asked.exists)
        assert "result" in server.answer(server.send("ping"))
        server.close()
        assert server.ended(GONE_AFTER) == 0


@pytest.mark.long
@pytest.mark.real_time
def test_run_says_that_the_keychain_waits_and_ends(make_home: MakeHome) -> None:
    home = make_home()
    give_blocking_keychain(home)
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp", "run", "1", "--", "true"],
        env=home.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 1
    assert "The keychain has not answered in " in done.stderr


if sys.platform != "win32":

    @pytest.mark.long
    @pytest.mark.real_time
    def test_a_config_file_that_does_not_answer_is_named_by_every_call(make_home: MakeHome, tmp_path: Path) -> None:
        home = make_home()
        pipe = tmp_path / "config.toml"
        os.mkfifo(pipe)
        home.extra["COMETAPI_MCP_CONFIG"] = str(pipe)
        with piped(home) as server:
            answer = server.answer(server.call("get_api_key", {"id": 1}))
            server.close()
            assert server.ended(GONE_AFTER) == 0
        assert f'The config file "{pipe}" has not answered' in answer["result"]["content"][0]["text"]
