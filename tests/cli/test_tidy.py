"""`cometapi-mcp tidy`: ended keys, and what runs left behind, deleted by a person in a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import KeySpec
from tests.support import Home, in_process

MakeHome = Callable[..., Home]
PAST = 1_600_000_000


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    return make_home()


def tidy(home: Home, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return in_process("tidy", *options, environment=home.environment, **more)


def names(home: Home) -> list[str]:
    return [row.name for row in home.sandbox.keys]


def leave_behind(home: Home) -> None:
    """A lease whose holder was killed."""

    async def begin() -> None:
        app = Services.of(home.settings)
        until = app.clock.now() + 900
        body = KeySpec(name="run-1", remain_quota=5_000, expired_time=int(until) + 60)
        leased = await app.leases.begin(body, until, Deadline(app.clock, 15))
        leased.held.let_go(is_over=False)
        await app.aclose()

    anyio.run(begin)


def test_a_dry_run_shows_all_and_deletes_nothing(home: Home) -> None:
    home.sandbox.add_key("old job", expired_time=PAST, used_quota=250_000)
    leave_behind(home)
    done = tidy(home, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        'Key "run-1" was left behind by a run.',
        "id  name     state    spent",
        "1   old job  expired  $0.50",
    ]
    assert names(home) == ["old job", "run-1"]
    assert home.sandbox.count("delete") == 0


def test_with_yes_all_of_it_goes_in_one_command(home: Home) -> None:
    for number in range(17):
        home.sandbox.add_key(f"job {number}", expired_time=PAST)
    home.sandbox.add_key("in use", remain_quota=5)
    leave_behind(home)
    done = tidy(home, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'Key 19 "run-1", which a run left behind, is deleted. It spent $0.00.' in done.stdout
    assert "Deleted: 15." in done.stdout
    assert "Deleted: 2." in done.stdout
    assert names(home) == ["in use"]


def test_what_runs_left_behind_can_be_deleted_alone(home: Home) -> None:
    home.sandbox.add_key("old job", expired_time=PAST)
    leave_behind(home)
    done = tidy(home, "--leases")
    assert (done.returncode, done.stderr) == (0, "")
    assert names(home) == ["old job"]


def test_where_nothing_has_ended_that_is_said(home: Home) -> None:
    done = tidy(home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "No key has ended.\n", "")


def test_without_yes_and_where_nobody_can_be_asked_ended_keys_stay_and_what_runs_left_goes(home: Home) -> None:
    home.sandbox.add_key("old job", expired_time=PAST)
    leave_behind(home)
    done = tidy(home)
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert names(home) == ["old job"]


def test_what_fails_is_status_1(home: Home) -> None:
    home.sandbox.add_key("old job", expired_time=PAST)
    home.sandbox.add_key("older job", expired_time=PAST)
    home.sandbox.faults.add("delete", "refused", after=1)
    done = tidy(home, "--yes")
    assert done.returncode == 1
    assert "Deleted: 1." in done.stdout
    assert "Key 2 and those after it were left:" in done.stderr
    assert names(home) == ["older job"]


def test_a_read_only_server_deletes_nothing(make_home: MakeHome) -> None:
    home = make_home()
    leave_behind(home)
    home.extra["COMETAPI_MCP_READ_ONLY"] = "1"
    home.sandbox.add_key("old job", expired_time=PAST)
    done = tidy(home, "--yes")
    assert done.returncode == 1
    assert "switched off" in done.stderr
    assert names(home) == ["run-1", "old job"]
