from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from comet_mcp import server


@pytest.fixture(scope="session", autouse=True)
def tools_made_once() -> Iterator[None]:
    """The tools' schemas take longer than most of what is tested here, and are the same in every server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "tools", functools.cache(server.tools))
        yield
