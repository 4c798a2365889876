"""A value is a key's only where it agrees with its record's mask; few calls reveal values, and they are counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.errors import NotFoundError, RateLimitedError, UnclearError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.services.places import fits
from comet_mcp.services.secrets import REVEAL_WINDOW, REVEALS
from tests.e2e.steps import served, stored, values
from tests.services.conftest import Serve
from tests.support import Home, data_of

MakeHome = Callable[..., Home]


async def test_a_stored_value_is_used_where_it_agrees_with_the_mask_and_spares_a_call(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway")
    services = serve(home)
    home.sandbox.add_key("x")
    row = await services.api.get_token(1)
    await services.secrets.save(row, deadline)
    await services.secrets.save(row, deadline)
    assert home.sandbox.count("reveal") == 1


async def test_after_a_database_was_begun_anew_the_old_value_of_an_id_is_not_used(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway")
    services = serve(home)
    home.sandbox.add_key("x")
    await services.secrets.save(await services.api.get_token(1), deadline)
    home.sandbox.keys[0].key = "Z" * 48
    home.sandbox.keys[0].created_time += 100
    value = await services.secrets.value_of(await services.api.get_token(1), deadline)
    assert value.get_secret_value().removeprefix("sk-") == "Z" * 48
    await services.secrets.save(await services.api.get_token(1), deadline)
    assert f"sk-{'Z' * 48}" in "".join(stored(home))


@pytest.mark.parametrize("other", ["Z" * 48, "sk-" + "Z" * 48])
async def test_an_answer_with_another_keys_value_is_refused_and_not_stored(
    make_home: MakeHome, serve: Serve, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    home = make_home(dialect="gateway")
    services = serve(home)
    home.sandbox.add_key("x")

    async def wrong(*_: Any, **__: Any) -> SecretStr:
        return SecretStr(other)

    monkeypatch.setattr(CometAPI, "reveal_key", wrong)
    with pytest.raises(UnclearError, match="does not fit the key's mask"):
        await services.secrets.save(await services.api.get_token(1), deadline)
    assert home.key_files == []


async def test_a_create_whose_reveal_answers_another_keys_value_tells_that_nothing_was_stored(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="gateway")
    real = CometAPI.reveal_key

    async def wrong(*_: Any, **__: Any) -> SecretStr:
        return SecretStr("Z" * 48)

    async with served(home) as client:
        with monkeypatch.context() as patch:
            patch.setattr(CometAPI, "reveal_key", wrong)
            key = data_of(await client.call_tool("create_api_key", {"name": "x"}))
        assert "secret" not in key
        assert f"save_api_key with id {key['id']}" in " ".join(key["warnings"])
        assert CometAPI.reveal_key is real
        data_of(await client.call_tool("save_api_key", {"id": key["id"]}))
    assert stored(home) == values(home)


async def test_a_key_that_is_gone_is_told_so(make_home: MakeHome, serve: Serve, deadline: Deadline) -> None:
    home = make_home(dialect="gateway")
    services = serve(home)
    home.sandbox.add_key("x")
    row = await services.api.get_token(1)
    home.sandbox.keys.clear()
    with pytest.raises(NotFoundError):
        await services.secrets.value_of(row, deadline)


async def test_a_new_key_is_refused_while_its_value_could_not_be_read(make_home: MakeHome, serve: Serve) -> None:
    services = serve(make_home(dialect="gateway"))
    now = services.clock.now()
    services.secrets.require_reveal([now - 1] * (REVEALS - 1))
    services.secrets.require_reveal([now - REVEAL_WINDOW - 1] * 100)
    with pytest.raises(RateLimitedError, match="no key is made either"):
        services.secrets.require_reveal([now - 1] * REVEALS)
    with pytest.raises(RateLimitedError):
        services.secrets.require_reveal([now - 1] * (REVEALS - 2), in_flight=2)


async def test_calls_that_reveal_are_counted_for_all_servers_with_the_next_step(
    make_home: MakeHome, serve: Serve, deadline: Deadline
) -> None:
    home = make_home(dialect="gateway")
    one = serve(home)
    account = await one.identity.account()
    for number in (1, 2, 3):
        home.sandbox.add_key(f"{number}")
        await one.secrets.value_of(await one.api.get_token(number), deadline)
    await one.journal.run(Step(Reads(account), lambda _: Decision(None)))
    with closing(sqlite3.connect(home.state)) as db:
        assert db.execute("SELECT count(*) FROM reveal").fetchone() == (3,)


VALUE = "gLEC0123456789abcdefghijklmnopqrstuvwxyzABCDDQNw"


@pytest.mark.parametrize(
    ("shown", "may_be"),
    [
        ("gLEC**********DQNw", True),
        ("sk-gLEC***DQNw", True),
        ("gLEC0123****", True),
        ("******CDDQNw", True),
        ("sk-g*w", True),
        ("sk***", True),
        ("gLEC*mnop*DQNw", True),
        (VALUE, True),
        (f"sk-{VALUE}", True),
        ("", True),
        ("****", True),
        ("sk-****", True),
        ("gLEC\u2026DQNw", True),
        ("gLEC**********DQNx", False),
        ("gLED***", False),
        ("sk-gLEC0***0DQNw", False),
        ("***0DQNw", False),
        ("LEC0***", False),
        (VALUE[:-1] + "x", False),
        (VALUE[:4] + "Z" * 40 + VALUE[-4:], False),
    ],
)
@pytest.mark.parametrize("prefix", ["", "sk-"])
def test_all_that_a_mask_shows_has_to_be_in_the_value(shown: str, may_be: bool, prefix: str) -> None:
    assert fits(SecretStr(prefix + VALUE), Key(id=1, key=SecretStr(shown))) is may_be


@pytest.mark.parametrize(
    ("shown", "value", "may_be"),
    [
        ("a*" * 30_000 + "b", "a" * 48, False),
        ("a*" * 24 + "a", "a" * 48, True),
        ("a*" * 48 + "a", "a" * 48, False),
        ("*".join("a" * 47) + "b", "a" * 47 + "b", True),
        ("ab*ba", "aba", False),
        ("ab*cab*ab", "abcabab", True),
    ],
)
def test_a_mask_of_very_many_stars_is_compared_at_once_and_exactly(shown: str, value: str, may_be: bool) -> None:
    assert fits(SecretStr(value), Key(id=1, key=SecretStr(shown))) is may_be
