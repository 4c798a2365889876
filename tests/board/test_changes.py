"""What a tool says to a language model, as the page says it; the script that does so runs in `test_host.py`."""

from __future__ import annotations

import re

import pytest

from comet_mcp.board.changes import WORDS

ROTATION = (
    "rotate_api_key gives the new key the settings of the old one: change those with update_api_key first, or call "
    'create_api_key with the nearest body that is allowed: {"name":"a. b"}.'
)


def on_page(text: str) -> str:
    for words, instead in WORDS:
        text = re.sub(words, instead.replace("$1", r"\1"), text)
    return text.strip()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("[key_not_found] No API key has id 7. Call list_api_keys to see the ids.",
         "No API key has id 7. Reload this page to see the ids."),
        ("[timed_out] update_api_key was not done within 30 seconds. Call list_api_keys before you repeat it.",
         "update_api_key was not done within 30 seconds. Reload this page before you repeat it."),
        ("It is not known whether it has changed. Call get_api_key with id 7 before you repeat it.",
         "It is not known whether it has changed. Reload this page before you repeat it."),
        ("Its value was not read: call save_api_key with id 12.",
         "Its value was not read: ask the assistant to store the value of key 12."),
        ("Call rotate_api_key again to finish that; it makes no third key.",
         "Rotate it again to finish that; it makes no third key."),
        ("The key expired at noon. Give a later end (lifetime) in the same call to enable it.",
         "The key expired at noon. Give it a later end to enable it."),
        ("Change its expired_time with update_api_key first, or make another key with create_api_key.",
         "Give it a later end first."),
        (f"max_budget_usd: at most $5.00. {ROTATION} The person who sets the policy; no argument changes it.",
         "max_budget_usd: at most $5.00. Change this key first. The person who sets the policy."),
        ("a key must end at most 60d after its creation, at noon (expired_time 1800996787).",
         "a key must end at most 60d after its creation, at noon."),
        ("It ends Friday 2026-12-04 24:00 UTC+09:00 (2026-12-04T15:00:00Z).",
         "It ends Friday 2026-12-04 24:00 UTC+09:00."),
        ("[confirmation_declined] The user said no. Nothing was done. Do not call again unless the user asks for it.",
         "You said no. Nothing was done."),
        ("[confirmation_timed_out] The user did not answer within 5 minutes. Nothing was done. Call again to ask anew.",
         "You did not answer within 5 minutes. Nothing was done."),
        ("[tool_left_out] It is switched off. Nothing was done. Tell the user: the person who runs it can change that.",
         "It is switched off. Nothing was done."),
    ],
)  # fmt: skip
def test_a_tools_text_is_said_as_to_a_person(told: str, said: str) -> None:
    assert on_page(told) == said
