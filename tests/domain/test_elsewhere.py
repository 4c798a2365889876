from __future__ import annotations

import pytest

from comet_mcp.domain.elsewhere import Elsewhere


@pytest.mark.parametrize(
    ("place", "listed", "is_listed"),
    [
        ("github:Me/Shop/key", ["github:me/shop/KEY"], True),
        ("github:me/shop/KEY", ["github:ME/*"], True),
        ("github:me/shop/KEY", ["github:me/shop/K"], False),
        ("github:me/shop/KEY", ["github:me/sho/*", "command:*"], False),
        ("command:pass insert shop", ["command:pass insert *"], True),
        ("command:pass insert-evil", ["command:pass insert *"], False),
        ("command:PASS insert shop", ["command:pass insert *"], False),
        ("command: tee x ", ["command:tee x"], True),
        ("command:tee x", [], False),
    ],
)
def test_a_place_is_listed_as_a_whole_or_by_its_beginning(place: str, listed: list[str], is_listed: bool) -> None:
    found = Elsewhere.parse(place)
    assert found.is_listed(listed) is is_listed
    assert Elsewhere.parse(str(found)) == found
