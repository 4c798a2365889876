"""From a person's words to the right key in few calls, without an avoidable error and without arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.agents.dialogues import DIALOGUES
from tests.agents.play import Dialogue
from tests.support import Home


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.kind)
async def test_a_persons_words_become_the_right_account(dialogue: Dialogue, make_home: Callable[..., Home]) -> None:
    await dialogue.play(make_home())


async def test_an_agent_that_makes_a_number_up_is_found(make_home: Callable[..., Home]) -> None:
    async def acts(agent: object) -> None:
        await agent.call("plan_api_key", name="blog", budget_usd=2.5)  # type: ignore[attr-defined]

    invented = Dialogue("half", "Half of 5 dollars for the blog", 2, acts, lambda _: None)
    with pytest.raises(AssertionError, match=r"budget_usd 2\.5 is made up"):
        await invented.play(make_home())
