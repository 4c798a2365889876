"""A server that is killed at a step of its work: afterwards list, store and journal tell the truth."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

import pytest

from tests.e2e.steps import LONG, let_pass, operations, served, started, stored, values
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

DEAD = 7
"""Seconds after which an operation has no server any more."""
SETTLED = 61
"""Seconds after which a create without a row counts as not made."""

KILLED_AT = """
import functools, importlib, inspect, os, signal, sys

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killing(module, path, when, nth):
    owner, name = importlib.import_module(module), path.split(".")
    for part in name[:-1]:
        owner = getattr(owner, part)
    real = getattr(owner, name[-1])
    calls = 0

    def is_it():
        nonlocal calls
        calls += 1
        return calls == nth

    @functools.wraps(real)
    async def later(*arguments, **named):
        it = is_it()
        if it and when == "before":
            kill()
        result = await real(*arguments, **named)
        if it:
            kill()
        return result

    @functools.wraps(real)
    def now(*arguments, **named):
        it = is_it()
        if it and when == "before":
            kill()
        if it and when == "half":
            folder, file, content = arguments
            real(folder, file, content[: len(content) // 2])
            kill()
        result = real(*arguments, **named)
        if it:
            kill()
        return result

    setattr(owner, name[-1], later if inspect.iscoroutinefunction(real) else now)

killing({module!r}, {path!r}, {when!r}, {nth})
from comet_mcp.__main__ import main
sys.exit(main([]))
"""

JOURNAL, CLIENT = "comet_mcp.journal.sqlite", "comet_mcp.api.client"
DIRECTORY, OUTPUT = "comet_mcp.secret_store.directory", "comet_mcp.transports.stdio"
RUN = "SQLiteJournal.run"
Step = tuple[str, str, str, int]

# A name for each step of a create; what is killed there, and whether the key exists then.
# Its steps of the journal, for a server that has just begun: the row of the trail; the account, looked up and named;
# the operation; the claim; the stored value; and, once the answer is written, the trail's end with the delivery.
CREATE: dict[str, tuple[Step, bool]] = {
    "before the trail had its row": ((JOURNAL, RUN, "before", 1), False),
    "once the trail had its row": ((JOURNAL, RUN, "after", 1), False),
    "before the store was checked": ((DIRECTORY, "Directory.write_temporary", "before", 1), False),
    "while the store was checked": ((DIRECTORY, "Directory.write_temporary", "after", 1), False),
    "once the account was known": ((JOURNAL, RUN, "after", 3), False),
    "before the newest key was asked for": ((CLIENT, "CometAPI.list_tokens", "before", 1), False),
    "before the journal knew": ((JOURNAL, RUN, "before", 4), False),
    "once the journal knew": ((JOURNAL, RUN, "after", 4), False),
    "before the create was sent": ((CLIENT, "CometAPI.create_token", "before", 1), False),
    "once the create was answered": ((CLIENT, "CometAPI.create_token", "after", 1), True),
    "before its row was looked for": ((CLIENT, "CometAPI.list_tokens", "before", 2), True),
    "once its row was listed": ((CLIENT, "CometAPI.list_tokens", "after", 2), True),
    "before its row was claimed": ((JOURNAL, RUN, "before", 5), True),
    "once its row was claimed": ((JOURNAL, RUN, "after", 5), True),
    "before its value was asked for": ((CLIENT, "CometAPI.reveal_key", "before", 1), True),
    "once its value was known": ((CLIENT, "CometAPI.reveal_key", "after", 1), True),
    "before its file was written": ((DIRECTORY, "Directory.write_temporary", "before", 2), True),
    "when half its file was written": ((DIRECTORY, "Directory._write", "half", 2), True),
    "once its file was written": ((DIRECTORY, "Directory.write_temporary", "after", 2), True),
    "before its file had its name": ((DIRECTORY, "Directory._name_new", "before", 1), True),
    "once its file had its name": ((DIRECTORY, "Directory._name_new", "after", 1), True),
    "once its file was durable": ((DIRECTORY, "Directory._sync", "after", 1), True),
    "before the journal knew of the file": ((JOURNAL, RUN, "before", 6), True),
    "once the journal knew of the file": ((JOURNAL, RUN, "after", 6), True),
}
WRITTEN: dict[str, Step] = {
    "once its answer was written": (JOURNAL, RUN, "before", 7),
    "once its delivery was noted": (JOURNAL, RUN, "after", 7),
}

SAVE: dict[str, Step] = {
    "before the key was read": (CLIENT, "CometAPI.get_token", "before", 1),
    "once the key was read": (CLIENT, "CometAPI.get_token", "after", 1),
    "before its value was asked for": (CLIENT, "CometAPI.reveal_key", "before", 1),
    "once its value was known": (CLIENT, "CometAPI.reveal_key", "after", 1),
    "before its file was written": (DIRECTORY, "Directory.write_temporary", "before", 2),
    "when half its file was written": (DIRECTORY, "Directory._write", "half", 2),
    "once its file was written": (DIRECTORY, "Directory.write_temporary", "after", 2),
    "once its file had its name": (DIRECTORY, "Directory._sync", "before", 1),
    "once its file was durable": (DIRECTORY, "Directory._sync", "after", 1),
}


def _later(step: Step) -> Step:
    """A step of a create inside a rotation, which has held the old key before it, to settle what was left open."""
    module, method, when, nth = step
    return (module, method, when, nth + 2) if method == RUN and nth > 3 else step


# What a rotation does before and after the create inside it.
ROTATE: dict[str, tuple[Step, bool]] = {
    "before the old key was read": ((CLIENT, "CometAPI.get_token", "before", 1), False),
    **{name: (_later(step), exists) for name, (step, exists) in CREATE.items()},
    "before the old key's places were read": ((JOURNAL, RUN, "before", 9), True),
    "before the old key was held": ((JOURNAL, RUN, "before", 10), True),
    "before the old key was read again": ((CLIENT, "CometAPI.get_token", "before", 2), True),
    "before the old key's end was noted": ((JOURNAL, RUN, "before", 11), True),
    "before the old key's end was written": ((CLIENT, "CometAPI.update_token", "before", 1), True),
    "once the old key's end was written": ((CLIENT, "CometAPI.update_token", "after", 1), True),
    "once the old key was seen to have ended": ((JOURNAL, RUN, "after", 12), True),
    "before the journal knew that it is done": ((JOURNAL, RUN, "before", 14), True),
    "once the journal knew that it is done": ((JOURNAL, RUN, "after", 14), True),
}

# What it does where the old key's value is in a program's file.
HAND_OVER: dict[str, Step] = {
    "before the place was noted": (JOURNAL, RUN, "before", 10),
    "once the place was noted": (JOURNAL, RUN, "after", 10),
    "when half the file was written": (DIRECTORY, "Directory._write", "half", 3),
    "before the file had its name": (DIRECTORY, "Directory.replace", "before", 1),
    "once the file had its name": (DIRECTORY, "Directory.replace", "after", 1),
    "before the old key's end was written": (CLIENT, "CometAPI.update_token", "before", 1),
    "once the old key's end was written": (CLIENT, "CometAPI.update_token", "after", 1),
    "before the journal knew that it is done": (JOURNAL, RUN, "before", 15),
}

BODY: dict[str, Any] = {"name": "to be killed", "remain_quota": 500_000}


if sys.platform != "win32":

    def _killed(home: Home, step: Step, tool: str, arguments: dict[str, Any]) -> None:
        """Call a tool of a server that is killed at that step."""
        module, path, when, nth = step
        code = KILLED_AT
        for name, value in (("module", module), ("path", path), ("when", when), ("nth", nth)):
            code = code.replace("{" + name + "!r}", repr(value)).replace("{" + name + "}", repr(value))
        with started(home.environment, code=code) as server:
            server.initialize()
            server.start_call(tool, arguments)
            assert server.process.wait(LONG) == -signal.SIGKILL, "it was not killed at this step"

    def _leftovers(home: Home) -> list[Path]:
        return [
            path for path in home.key_dir.rglob("*") if path.is_file() and not path.name.endswith((".env", ".lock"))
        ]

    def _grow_old(home: Home) -> None:
        for path in _leftovers(home):
            os.utime(path, (time() - 120, time() - 120))

    def _whole(home: Home) -> None:
        """Each key file has the whole value of a key that exists, and says whose it is."""
        by_id = {key.id: key.key for key in home.sandbox.keys}
        for path in home.key_files:
            text = path.read_text(encoding="utf-8")
            found = re.fullmatch(r"# CometAPI key ([0-9]+), .*\nCOMETAPI_KEY=sk-(\w{48})\n", text)
            assert found, text
            assert by_id[int(found[1])] == found[2]
            assert path.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("step", CREATE)
    async def test_after_a_create_was_killed_a_list_tells_the_truth_and_how_to_get_the_key(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        at, exists = CREATE[step]
        _killed(home, at, "create_api_key", BODY)
        assert len(home.sandbox.keys) == exists
        _whole(home)
        if home.state.exists():
            let_pass(home, SETTLED)
        _grow_old(home)
        async with served(home) as client:
            page = data_of(await client.call_tool("list_api_keys", {}))
            told = " ".join(page.get("notes", []))
            assert len(page["items"]) == exists
            if exists:
                (row,) = home.sandbox.keys
                assert f"ey {row.id} " in told
                if "save_api_key" in told:
                    assert f"save_api_key with id {row.id}" in told
                    data_of(await client.call_tool("save_api_key", {"id": row.id}))
                else:
                    assert str(home.key_files[0]) in told
                assert operations(home) == [("stored", row.id)]
            else:
                assert "save_api_key" not in told
                assert all(state == "abandoned" for state, _ in operations(home))
            assert "notes" not in data_of(await client.call_tool("list_api_keys", {}))
            # a check removes what a killed one left
            data_of(await client.call_tool("create_api_key", {"name": "next"}))
        assert _leftovers(home) == []
        _whole(home)
        assert stored(home) == values(home)

    @pytest.mark.parametrize("step", list(CREATE)[1:])
    async def test_after_a_create_was_killed_an_equal_one_makes_no_second_key(make_home: MakeHome, step: str) -> None:
        home = make_home(dialect="gateway")
        at, exists = CREATE[step]
        _killed(home, at, "create_api_key", BODY)
        if home.state.exists():
            let_pass(home, SETTLED)
        _grow_old(home)
        async with served(home) as client:
            key = data_of(await client.call_tool("create_api_key", BODY))
            assert "secret" in key
            assert ("earlier call" in " ".join(key.get("warnings", []))) is exists
        assert [row.id for row in home.sandbox.keys] == [key["id"]]
        assert stored(home) == values(home)
        assert _leftovers(home) == []
        _whole(home)

    @pytest.mark.parametrize(
        "step", ["once the create was answered", "when half its file was written", "once the journal knew of the file"]
    )
    async def test_right_after_the_kill_an_equal_create_gets_the_key_that_was_made(
        make_home: MakeHome, step: str
    ) -> None:
        """A server that was at it seconds ago may be alive: it is waited for until its lease has ended."""
        home = make_home(dialect="gateway")
        _killed(home, CREATE[step][0], "create_api_key", BODY)
        async with served(home) as client:
            key = data_of(await client.call_tool("create_api_key", BODY))
        assert [row.id for row in home.sandbox.keys] == [key["id"]]
        assert "earlier call" in " ".join(key["warnings"])
        assert (home.sandbox.count("create"), stored(home)) == (1, values(home))

    async def test_right_after_the_kill_a_create_with_little_time_says_that_nothing_was_sent(
        make_home: MakeHome,
    ) -> None:
        home = make_home(dialect="gateway")
        _killed(home, CREATE["once the create was answered"][0], "create_api_key", BODY)
        home.extra["COMETAPI_MCP_TIMEOUT"] = "2"
        async with served(home) as client:
            said = error_of(await client.call_tool("create_api_key", BODY))
            assert said.startswith("[create_outcome_unknown] ")
            assert "Nothing was sent now. Try again in a few seconds" in said
            let_pass(home, DEAD)
            data_of(await client.call_tool("create_api_key", BODY))
        assert (home.sandbox.count("create"), stored(home)) == (1, values(home))

    @pytest.mark.parametrize("step", WRITTEN)
    async def test_a_key_of_which_nobody_may_have_been_told_is_named_by_lists_until_one_was_read(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        _killed(home, WRITTEN[step], "create_api_key", BODY)
        let_pass(home, DEAD)
        noted = step == "once its delivery was noted"
        async with served(home) as client:
            page = data_of(await client.call_tool("list_api_keys", {}))
            assert [item["name"] for item in page["items"]] == [BODY["name"]]
            assert ("notes" in page) is not noted
            assert "notes" not in data_of(await client.call_tool("list_api_keys", {}))
        assert stored(home) == values(home)
        assert operations(home) == [("stored", page["items"][0]["id"])]

    @pytest.mark.parametrize("step", WRITTEN)
    async def test_an_equal_create_gets_a_key_of_its_own_once_it_is_sure_that_the_first_was_told(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        _killed(home, WRITTEN[step], "create_api_key", BODY)
        let_pass(home, DEAD)
        async with served(home) as client:
            data_of(await client.call_tool("create_api_key", BODY))
        assert len(home.sandbox.keys) == (2 if step == "once its delivery was noted" else 1)
        assert stored(home) == values(home)

    @pytest.mark.parametrize("step", SAVE)
    async def test_after_a_save_was_killed_it_works_again(make_home: MakeHome, step: str) -> None:
        home = make_home(dialect="gateway")
        row = home.sandbox.add_key("to be saved")
        _killed(home, SAVE[step], "save_api_key", {"id": row.id})
        _whole(home)
        _grow_old(home)
        async with served(home) as client:
            assert "notes" not in data_of(await client.call_tool("list_api_keys", {}))
            saved = data_of(await client.call_tool("save_api_key", {"id": row.id}))
        assert [str(path) for path in home.key_files] == [saved["secret"]["path"]]
        assert _leftovers(home) == []
        assert stored(home) == values(home)

    @pytest.mark.parametrize("step", ["before", "half", "after"])
    async def test_after_a_save_into_a_named_file_was_killed_its_other_lines_are_there(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        row = home.sandbox.add_key("to be saved")
        async with served(home) as client:
            data_of(await client.call_tool("save_api_key", {"id": row.id, "file": "app.env", "variable": "FIRST_KEY"}))
        (file,) = home.key_files
        before = file.read_text(encoding="utf-8")
        arguments = {"id": row.id, "file": "app.env", "variable": "SECOND_KEY"}
        method = "Directory._write" if step == "half" else "Directory.replace"
        _killed(home, (DIRECTORY, method, step, 2 if step == "half" else 1), "save_api_key", arguments)
        text = file.read_text(encoding="utf-8")
        assert text == before if step != "after" else text.startswith(before)
        _grow_old(home)
        async with served(home) as client:
            data_of(await client.call_tool("save_api_key", arguments))
        assert file.read_text(encoding="utf-8").count(f"sk-{row.key}") == 2
        assert _leftovers(home) == []

    @pytest.mark.parametrize("step", ROTATE)
    async def test_after_a_rotation_was_killed_the_next_one_ends_it_with_two_keys(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        old = home.sandbox.add_key("to be rotated", remain_quota=500_000)
        at, exists = ROTATE[step]
        _killed(home, at, "rotate_api_key", {"id": old.id})
        assert len(home.sandbox.keys) == 1 + exists
        _whole(home)
        if home.state.exists():
            let_pass(home, SETTLED)
        _grow_old(home)
        async with served(home) as client:
            data_of(await client.call_tool("list_api_keys", {}))
            done = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))
            # its check removes what a killed server left
            data_of(await client.call_tool("save_api_key", {"id": done["new_key"]["id"]}))
        assert [row.id for row in home.sandbox.keys] == [old.id, done["new_key"]["id"]]
        assert home.sandbox.keys[0].expired_time > time()
        assert "secret" in done["new_key"]
        assert stored(home) == [f"sk-{home.sandbox.keys[1].key}"]
        assert home.sandbox.count("create") == 1
        assert _leftovers(home) == []
        _whole(home)

    @pytest.mark.parametrize("step", HAND_OVER)
    async def test_after_a_rotation_was_killed_the_next_one_has_the_new_value_in_the_programs_file(
        make_home: MakeHome, step: str
    ) -> None:
        home = make_home(dialect="gateway")
        shop = home.directory / "shop"
        shop.mkdir()
        home.extra["COMETAPI_MCP_ENV_DIRS"] = str(shop)
        old = home.sandbox.add_key("to be rotated", remain_quota=500_000)
        async with served(home) as client:
            data_of(await client.call_tool("save_api_key", {"id": old.id, "file": str(shop / ".env")}))
        _killed(home, HAND_OVER[step], "rotate_api_key", {"id": old.id, "old_key": "disable"})
        (value,) = re.findall(r"sk-(\w+)", (shop / ".env").read_text(encoding="utf-8"))
        assert value in [key.key for key in home.sandbox.keys], "a whole value of a key that exists"
        assert value != old.key or old.status == 1, "the old one ends only when nothing reads it"
        let_pass(home, SETTLED)
        for path in shop.glob("*.tmp"):
            os.utime(path, (time() - 120, time() - 120))
        async with served(home) as client:
            done = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "disable"}))
            new = next(key for key in home.sandbox.keys if key.id == done["new_key"]["id"])
            assert (shop / ".env").read_text(encoding="utf-8") == f"COMETAPI_KEY=sk-{new.key}\n"
            data_of(await client.call_tool("save_api_key", {"id": new.id, "file": str(shop / ".env")}))
        assert home.sandbox.count("create") == 1
        assert old.status != 1
        assert [path.name for path in shop.iterdir()] == [".env"]
