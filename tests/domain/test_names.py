from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.names import KnownNames
from comet_mcp.sandbox import Sandbox

MODELS = [model.id for model in Sandbox().account.models]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gpt4.1", ["gpt-4.1"]),
        ("GPT 4.1 Mini", ["gpt-4.1-mini"]),
        ("gpt_4_1_mini", ["gpt-4.1-mini"]),
        ("claude sonnet 4.5", ["claude-sonnet-4-5"]),
        ("Claude 4.5 Sonnet", ["claude-sonnet-4-5"]),
        ("Claude Sonnet 4", ["claude-sonnet-4"]),
        ("4o mini", []),
        ("GPT-4o mini", ["gpt-4o-mini"]),
        ("gpt-1.4", []),
        ("gpt-4", []),
        ("o 3", ["o3"]),
        ("", []),
        ("-", []),
        ("ＧＰＴ", []),
    ],
)
def test_case_spaces_dots_hyphens_and_the_order_of_words_do_not_count(written: str, meant: list[str]) -> None:
    assert KnownNames(MODELS).matching(written) == meant


def test_the_very_name_is_taken_before_one_that_is_alike_and_several_are_all_named() -> None:
    names = KnownNames(["gpt-4.1", "gpt-41", "GPT-4.1"])
    assert names.matching("gpt-41") == ["gpt-41"]
    assert names.matching("gpt 4.1") == ["gpt-4.1", "gpt-41", "GPT-4.1"]


@given(st.sampled_from(MODELS), st.data())
def test_every_model_is_found_however_its_parts_are_joined(model: str, data: st.DataObject) -> None:
    written = "".join(
        data.draw(st.sampled_from(["", " ", "-", ".", "_"]))
        if char in "-."
        else data.draw(st.sampled_from([char, char.upper()]))
        for char in model
    )
    assert KnownNames(MODELS).matching(written) == [model]
