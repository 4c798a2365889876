"""The value of a key in places for programs elsewhere: it follows a rotation, and goes with a key."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from comet_mcp import commands
from comet_mcp.api.transport import Transport
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.errors import JournalError, StoreError
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.sandbox import Key
from comet_mcp.services.delivery import Told
from comet_mcp.services.retire import Retirement, Rotated
from tests.e2e.steps import let_pass, served, started
from tests.github import HANGS, TOKEN, Fault, GitHub
from tests.support import Home, data_of, in_process

PLACE = "github:me/shop/COMETAPI_KEY"
SETTLED = 61


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture
def url(github: GitHub) -> Iterator[str]:
    with github.serve() as url:
        yield url


@pytest.fixture
def home(make_home: Callable[..., Home], url: str) -> Home:
    return listing(make_home(dialect="gateway"), url)


def listing(home: Home, url: str, *others: str) -> Home:
    """The home of an operator who has listed the places."""
    home.extra |= {
        "GH_TOKEN": TOKEN,
        "COMETAPI_MCP_GITHUB_API": url,
        "COMETAPI_MCP_PLACES": ",".join(["github:me/shop/*", *others]),
    }
    return home


@asynccontextmanager
async def serving(home: Home) -> AsyncIterator[Services]:
    services = Services.of(home.settings)
    try:
        yield services
    finally:
        await services.aclose()


async def put(home: Home, row: Key, place: str = PLACE) -> None:
    async with serving(home) as app:
        known = await app.api.get_token(row.id)
        value = await app.secrets.value_of(known, Deadline(app.clock, 10))
        elsewhere = app.secrets.places.elsewhere
        await elsewhere.put(known, elsewhere.place(place), value, 5)


async def rotate(home: Home, row: Key, old_key: str = "grace") -> dict[str, Any]:
    async with served(home) as client:
        return data_of(await client.call_tool("rotate_api_key", {"id": row.id, "old_key": old_key}))


async def delete(home: Home, row: Key) -> str:
    async with served(home) as client:
        return str(data_of(await client.call_tool("delete_api_key", {"id": row.id}))["note"])


def noted(home: Home) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(home.state)) as db:
        return db.execute("SELECT key_id, path FROM place ORDER BY key_id, path").fetchall()


def value(home: Home, key_id: int) -> str:
    return f"sk-{next(row.key for row in home.sandbox.keys if row.id == key_id)}"


async def test_the_place_is_in_the_journal_and_the_value_is_nowhere_but_encrypted(home: Home, github: GitHub) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    assert github.secrets == {"COMETAPI_KEY": value(home, row.id)}
    assert noted(home) == [(row.id, PLACE)]
    written = b"".join(path.read_bytes() for path in home.state.parent.iterdir())
    for secret in (row.key, TOKEN):
        assert secret.encode() not in written + github.received


@pytest.mark.parametrize("old_key", ["grace", "disable", "delete"])
async def test_a_rotation_puts_the_new_value_there_before_the_old_key_ends(
    home: Home, github: GitHub, old_key: str
) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    then: list[tuple[int, int]] = []
    github.on_put = lambda: then.append((row.status, row.expired_time))
    done = await rotate(home, row, old_key)
    assert then == [(1, -1)]
    assert github.secrets == {"COMETAPI_KEY": value(home, done["new_key"]["id"])}
    assert f"Its value is in {PLACE}, where the old one's was." in done["steps"]
    assert noted(home) == [(done["new_key"]["id"], PLACE)]
    assert github.secrets["COMETAPI_KEY"] not in str(done)


def keeping(file: Path) -> str:
    """The place of a command that keeps what it gets in a file."""
    if shutil.which("tee"):
        return f"command:tee {file.as_posix()}"
    script = file.with_suffix(".py")
    script.write_text("import pathlib, sys\npathlib.Path(sys.argv[1]).write_text(sys.stdin.read())\n", encoding="utf-8")
    return f"command:{sys.executable} {script.as_posix()} {file.as_posix()}"


class KilledError(BaseException):
    """The server was killed here."""


class Killer:
    """Counts the steps of the server, each before and after it is done, and kills it at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at: int | None = None
        self.steps = 0
        self.first = 0
        """The step with which the hand-over begins: GitHub is asked for the first time."""
        self._wrap(patch, SQLiteJournal, "run")
        self._wrap(patch, Transport, "send")
        run = commands.run

        def ran(*arguments: Any, **named: Any) -> None:
            self._step()
            run(*arguments, **named)
            self._step()

        patch.setattr("comet_mcp.secret_store.command.run", ran)

    def _wrap(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        real = getattr(owner, name)

        async def wrapped(*arguments: Any, **named: Any) -> Any:
            if not self.first and str(arguments[2:3]).startswith("('/repos"):
                self.first = self.steps
            self._step()
            result = await real(*arguments, **named)
            self._step()
            return result

        patch.setattr(owner, name, wrapped)

    def _step(self) -> None:
        self.steps += 1
        if self.at is not None and self.steps > self.at:  # nothing more is done by who is dead
            raise KilledError


def killed(error: BaseException) -> bool:
    """Whether it is the kill and nothing else, in groups as tasks end."""
    return isinstance(error, KilledError) or (
        isinstance(error, BaseExceptionGroup) and all(map(killed, error.exceptions))
    )


async def rotated(home: Home, row: Key) -> Rotated:
    async def agreed(*_: object) -> None:
        pass

    async with serving(home) as app:
        return await app.rotator.rotate(row.id, Retirement("disable", 0), agreed, Told())


@pytest.mark.parametrize("all_steps", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_a_rotation_that_is_killed_between_any_two_steps_goes_on_and_every_place_has_the_new_value(
    make_home: Callable[..., Home],
    github: GitHub,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    all_steps: bool,
) -> None:
    killer = Killer(monkeypatch)

    async def history(at: int | None) -> int:
        """Put, rotate with a kill at that step, look, go on, look. Returns how many steps a rotation has."""
        killer.at = None
        home = make_home(dialect="gateway")
        kept = home.directory / "kept"
        command = keeping(kept)
        listing(home, url, command)
        github.secrets.clear()
        row = home.sandbox.add_key("shop", remain_quota=500_000)
        for place in (PLACE, command):
            await put(home, row, place)
        old = {value(home, row.id)}
        killer.steps, killer.first, killer.at = 0, 0, at
        if at is not None:
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - looked at below
                await rotated(home, row)
            assert killed(caught.value)
        else:
            await rotated(home, row)
            return killer.steps
        killer.at = None
        there = {github.secrets["COMETAPI_KEY"], kept.read_text(encoding="utf-8")}
        assert row.status == 1 or not there & old, f"step {at}: the old key ended before a place had the new value"
        let_pass(home, SETTLED)
        done = await rotated(home, row)
        there = {github.secrets["COMETAPI_KEY"], kept.read_text(encoding="utf-8")}
        assert there == {value(home, done.new.row.id)}, f"step {at}"
        assert noted(home) == [(done.new.row.id, place) for place in sorted([PLACE, command])], f"step {at}"
        assert (row.status != 1, home.sandbox.count("create")) == (True, 1), f"step {at}"
        return 0

    steps = await history(None)
    # every other one is where something is done: what is before the next is the same
    wanted = range(steps) if all_steps else range((killer.first - 4) | 1, steps, 2)
    assert len(wanted) > 12
    for at in wanted:
        await history(at)


async def test_while_a_place_cannot_have_the_new_value_a_grace_does_not_begin_and_the_next_call_goes_on(
    home: Home, github: GitHub
) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    github.faults["PUT"] = Fault(403)
    first = await rotate(home, row)
    said = " ".join(first["warnings"])
    assert f"The old key {row.id} was left as it is, for programs still get its value from {PLACE}." in said
    assert f"cometapi-mcp save {first['new_key']['id']} --to {PLACE}" in said
    assert (row.status, row.expired_time) == (1, -1)
    assert github.secrets == {"COMETAPI_KEY": value(home, row.id)}
    assert noted(home) == [(row.id, PLACE)]
    github.faults.clear()
    second = await rotate(home, row)
    assert second["new_key"]["id"] == first["new_key"]["id"]
    assert github.secrets == {"COMETAPI_KEY": value(home, second["new_key"]["id"])}
    assert row.expired_time > 0


async def test_a_key_that_has_to_end_at_once_does_and_the_place_is_named_and_fixed_by_the_next_call(
    home: Home, github: GitHub
) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    github.faults["KEY"] = Fault(401)
    done = await rotate(home, row, "disable")
    assert row.status != 1
    assert f"The old key's value was put into {PLACE}, and the new one's could not" in " ".join(done["warnings"])
    github.faults.clear()
    again = await rotate(home, row, "disable")
    assert f"Its value is in {PLACE}, where the old one's was." in again["steps"]
    assert github.secrets == {"COMETAPI_KEY": value(home, done["new_key"]["id"])}


async def test_a_place_that_is_not_listed_any_more_is_left_and_named_and_holds_nothing_up(
    home: Home, github: GitHub
) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    before, calls = dict(github.secrets), len(github.calls)
    home.extra["COMETAPI_MCP_PLACES"] = "github:me/other/*"
    done = await rotate(home, row)
    assert row.expired_time > 0
    assert "is not among the places that the operator has listed" in " ".join(done["warnings"])
    assert f"It may be in {PLACE} still: remove it there." in await delete(home, row)
    assert (github.secrets, len(github.calls)) == (before, calls)


async def test_a_deleted_keys_secret_goes_with_it(home: Home, github: GitHub) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    assert f"It was cleared from {PLACE}." in await delete(home, row)
    assert (github.secrets, noted(home)) == ({}, [])


async def test_a_secret_that_cannot_be_deleted_is_named(home: Home, github: GitHub) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    github.faults["DELETE"] = Fault(500)
    assert f"It may be in {PLACE} still: remove it there." in await delete(home, row)


async def test_a_place_with_another_keys_value_by_now_is_neither_cleared_nor_rotated(
    home: Home, github: GitHub
) -> None:
    first, second = (home.sandbox.add_key(name, remain_quota=500_000) for name in ("first", "second"))
    for row in (first, second):
        await put(home, row)
    done = await rotate(home, first)
    assert PLACE not in str(done)
    assert PLACE not in await delete(home, first)
    assert github.secrets == {"COMETAPI_KEY": value(home, second.id)}


@pytest.mark.parametrize("is_put", [True, False])
async def test_where_an_answer_was_lost_no_delete_takes_what_may_be_the_other_keys(
    home: Home, github: GitHub, monkeypatch: pytest.MonkeyPatch, is_put: bool
) -> None:
    monkeypatch.setattr("comet_mcp.services.places._ELSEWHERE_WITHIN", 0.5)
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    github.faults["PUT"] = Fault(HANGS, after=is_put)
    done = await rotate(home, row)
    new = done["new_key"]["id"]
    assert "The request may have been carried out." in " ".join(done["warnings"])
    assert noted(home) == [(row.id, PLACE), (new, PLACE)]
    assert PLACE not in await delete(home, row)
    assert github.secrets == {"COMETAPI_KEY": value(home, new) if is_put else f"sk-{row.key}"}


async def test_a_command_is_named_by_a_delete_for_nobody_knows_how_it_is_undone(
    make_home: Callable[..., Home], url: str, tmp_path: Path
) -> None:
    command = keeping(tmp_path / "kept")
    home = listing(make_home(dialect="gateway"), url, command)
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row, command)
    assert f"It may be in {command} still: remove it there." in await delete(home, row)


async def test_nothing_is_put_where_the_place_cannot_be_noted(home: Home, github: GitHub) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    home.state.parent.mkdir()
    home.state.write_bytes(b"no journal")
    with pytest.raises(JournalError):
        await put(home, row)
    assert github.calls == []


async def test_a_place_that_is_not_listed_is_refused_before_anything_is_asked(home: Home, github: GitHub) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    for place in ("github:me/shops/COMETAPI_KEY", "command:cat"):
        with pytest.raises(StoreError, match="is not among the places"):
            await put(home, row, place)
    assert github.calls == []


async def test_nothing_is_begun_with_too_little_time_and_the_next_call_goes_on(
    home: Home, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    await put(home, row)
    calls = len(github.calls)
    with monkeypatch.context() as hurried:
        hurried.setattr("comet_mcp.services.places._ELSEWHERE_WITHIN", 0.4)
        done = await rotate(home, row)
    assert "Too little time was left in this call." in " ".join(done["warnings"])
    assert (len(github.calls), row.expired_time) == (calls, -1)
    assert PLACE in " ".join((await rotate(home, row))["steps"])


@pytest.mark.long
def test_a_server_at_its_most_talkative_writes_neither_value_nor_token(home: Home, github: GitHub) -> None:
    kept, log = home.directory / "kept", home.directory / "log"
    listing(home, home.extra["COMETAPI_MCP_GITHUB_API"], keeping(kept))
    home.extra["COMETAPI_MCP_LOG"] = "DEBUG"
    row = home.sandbox.add_key("shop", remain_quota=500_000)
    for place in (PLACE, keeping(kept)):
        assert in_process("save", "shop", "--to", place, environment=home.environment).returncode == 0
    with log.open("wb") as errors, started(home.environment, stderr=errors) as server:
        server.initialize()
        server.call("rotate_api_key", {"id": row.id})
        server.close()
    new = value(home, 2)
    assert {github.secrets["COMETAPI_KEY"], kept.read_text(encoding="utf-8")} == {new}
    written = server.written + log.read_bytes()
    written += b"".join(path.read_bytes() for path in home.state.parent.iterdir() if path.is_file())
    assert b"rotate_api_key" in log.read_bytes(), "the debug log is on"
    assert PLACE.encode() in written
    for secret in (row.key, new.removeprefix("sk-"), TOKEN):
        assert not [part for part in (secret, secret[:20], secret[-20:]) if part.encode() in written]
