"""The tests of the replay can fail: each of the bugs that are planted is found by one of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.transports.recording import Cache
from tests.simulation.patches import Planted
from tests.transports import test_replay as tests
from tests.transports.planted import PLANTED
from tests.transports.test_replay import READY, cache, line, opening

__all__ = ["cache"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is replayed there")

Check = tuple[Callable[..., None], dict[str, Any]]

ENDS = tests.test_the_first_line_that_is_anything_else_ends_it_for_good
FOR_THE_SERVER = tests.test_what_was_not_asked_before_in_these_words_is_for_the_server
AS_GOOD_AS_NONE = tests.test_a_recording_that_is_damaged_or_may_be_somebody_elses_is_as_good_as_none

FOUND_BY: dict[str, Check] = {
    "an id that was used is answered again": (ENDS, {"after": line("tools/list", 0)}),
    "any id is taken": (FOR_THE_SERVER, {"lines": [opening(2**53)]}),
    "an answer has the id of before": (
        tests.test_an_opening_and_what_follows_is_answered_as_before_with_the_ids_of_today,
        {},
    ),
    "a key that is there twice is taken": (FOR_THE_SERVER, {"lines": [opening()[:-1] + b',"id":0}']}),
    "parameters are not looked at": (ENDS, {"after": line("tools/list", 5, cursor="2")}),
    "ready is taken whatever it says": (ENDS, {"after": READY.replace(b"}", b',"params":{"x":1}}')}),
    "a second opening is answered": (ENDS, {"after": opening(5)}),
    "a line that can't be answered is passed over": (ENDS, {"after": line("tools/call", 5, name="list_api_keys")}),
    "ready is not handed over": (
        tests.test_an_opening_and_what_follows_is_answered_as_before_with_the_ids_of_today,
        {},
    ),
    "new lines do not wait": (
        tests.test_the_server_sees_nothing_new_before_it_has_answered_what_was_answered,
        {},
    ),
    "a difference is not looked for": (tests.test_a_difference_is_told_and_drops_the_recording, {}),
    "what was answered is answered again": (
        tests.test_the_server_sees_nothing_new_before_it_has_answered_what_was_answered,
        {},
    ),
    "it goes on under other settings": (
        tests.test_a_start_under_other_settings_than_those_it_was_answered_by_does_not_add_to_them,
        {},
    ),
    "whose a recording is, is not looked at": (AS_GOOD_AS_NONE, {"how": "writable by others"}),
    "a recording holds under any name": (tests.test_a_recording_under_the_name_of_another_is_as_good_as_none, {}),
    "a damaged recording is taken": (AS_GOOD_AS_NONE, {"how": "another answer"}),
    "a recording is written in place": (tests.test_a_disk_that_is_full_leaves_nothing_behind, {}),
    "errors are recorded": (
        tests.test_only_a_result_to_that_very_request_is_recorded,
        {"answer": b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}\n'},
    ),
    "a dropped recording stays": (tests.test_a_difference_is_told_and_drops_the_recording, {}),
    "the config files are not looked at": (
        tests.test_a_recording_holds_for_the_config_files_as_they_were,
        {"then": "other"},
    ),
    "variables are not looked at": (
        tests.test_a_recording_holds_for_the_variables_as_they_were,
        {"variable": "COMETAPI_MCP_READ_ONLY"},
    ),
    "the code is not looked at": (tests.test_a_recording_holds_for_the_code_as_it_was, {}),
    "a config in a pipe is read": (tests.test_a_config_that_can_be_read_only_once_is_not_read_for_a_recording, {}),
    "recordings are many": (tests.test_recordings_are_few_and_private, {}),
    "lines are many": (tests.test_no_more_lines_are_kept_than_a_handshake_has, {}),
    "answers are many": (tests.test_a_client_that_asks_the_same_in_ever_other_words_fills_no_memory, {}),
}


def test_each_has_its_check() -> None:
    assert {bug.what for bug in PLANTED} == set(FOUND_BY)
    assert len(PLANTED) >= 15


@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.what) for bug in PLANTED])
@pytest.mark.usefixtures("cache")
def test_a_planted_bug_is_found(
    bug: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check, given = FOUND_BY[bug.what]
    fixtures: dict[str, Any] = {"tmp_path": tmp_path, "monkeypatch": monkeypatch, "caplog": caplog}
    named = inspect.signature(check).parameters
    with bug.installed():
        fixtures["cache"] = Cache()  # not the fixture's, which is without the bug
        wanted = {name: fixture for name, fixture in fixtures.items() if name in named}
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check(**wanted, **given)
