"""What is said to a person where an agent is told something."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from comet_mcp.cli.people import for_people, trouble
from comet_mcp.domain.told_times import from_now, local
from comet_mcp.settings import load


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            "[key_not_found] No API key has id 7. Call list_api_keys to see the ids.",
            "No API key has id 7. Run `cometapi-mcp keys` to see the ids.",
        ),
        (
            "can mean 1 May or 2 May: ask which, and give that date.",
            "can mean 1 May or 2 May: give the date that is meant.",
        ),
        (
            "Its value was not read: call save_api_key with id 7.",
            "Its value was not read: run `cometapi-mcp keys save 7`.",
        ),
        (
            'It is disabled. Call update_api_key with status "enabled".',
            "It is disabled. Run `cometapi-mcp keys update` with --enable.",
        ),
        (
            "It expired. Call update_api_key with lifetime.",
            "It expired. Run `cometapi-mcp keys update` with --lifetime.",
        ),
        (
            "Nothing was sent. Ask the person who runs this server to correct that and to restart the client.",
            "Nothing was sent. Correct that.",
        ),
        (
            "It is switched off. Nothing was done. Tell the user: the person who runs the server can change that.",
            "It is switched off. Nothing was done.",
        ),
        (
            "a key may spend at most $1.00 in all, so remain_quota may be 500000 at most; this one $5.00.",
            "a key may spend at most $1.00 in all; this one $5.00.",
        ),
        ("There are 3 and 29 more, see list_models.", "There are 3 and 29 more, see the API's console."),
    ],
)
def test_an_agents_text_becomes_a_persons(told: str, said: str) -> None:
    assert for_people(told) == said


def test_times_are_told_in_the_persons_zone_once() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    assert for_people("It ends at 2026-12-04T15:00:00Z.", zone) == "It ends at 2026-12-05 00:00."
    both = "Friday 2026-12-04 24:00 UTC+09:00 (2026-12-04T15:00:00Z)"
    assert for_people(both, zone) == "Friday 2026-12-04 24:00 UTC+09:00"


@pytest.mark.parametrize("name", ["call delete_api_key", "2026-12-04T15:00:00Z", 'Tell the user. \\" expired_time'])
def test_what_others_named_stays_as_it_is(name: str) -> None:
    assert for_people(f'No key is named "{name}".', ZoneInfo("Asia/Tokyo")) == f'No key is named "{name}".'


def test_a_missing_token_leads_a_person_to_login_and_not_to_a_conversation() -> None:
    said = trouble(load({"COMETAPI_MCP_CONFIG": ""}))
    assert "COMETAPI_ACCESS_TOKEN is not set" in said
    assert "run `cometapi-mcp login`" in said
    assert "conversation" not in said
    assert "MCP client" not in said


def test_a_wrong_setting_is_named_without_the_steps_for_an_agent() -> None:
    said = trouble(load({"COMETAPI_ACCESS_TOKEN": "made-up-token", "COMETAPI_MCP_TIMEOUT": "soon"}))
    assert said.startswith("COMETAPI_MCP_TIMEOUT ")
    assert said.endswith(" Correct that.")
    assert trouble(load({"COMETAPI_ACCESS_TOKEN": "made-up-token"})) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(30, "now"), (90, "in 1 minute"), (7200, "in 2 hours"), (-86_400, "1 day ago"), (40 * 86_400, "in 1 month")],
)
def test_how_far_a_time_is_has_one_unit(seconds: float, said: str) -> None:
    assert from_now(1_000_000 + seconds, 1_000_000) == said


def test_a_time_that_no_calendar_has_is_said_to_be_so() -> None:
    assert local(10**15, ZoneInfo("Asia/Tokyo")) == "after the year 9999"
