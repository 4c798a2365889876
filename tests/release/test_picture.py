"""README's picture shows what the demo prints."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from release import picture


def words(svg: str) -> list[str]:
    """What a person reads in a picture, whatever the version of the library that drew it."""
    root = ET.fromstring(svg)  # noqa: S314 - our own file
    return [word for element in root.iter("{http://www.w3.org/2000/svg}text") for word in (element.text or "").split()]


@pytest.mark.long  # the whole demo, which tests/cli/test_command_line.py plays by default
def test_the_picture_shows_what_the_demo_prints() -> None:
    kept = picture.PICTURE.read_text(encoding="utf-8")
    text = picture.shown()
    assert words(kept) == words(picture.drawn(text)), "python -m release.picture draws it"
    assert "create_api_key" in words(kept)
    assert max(map(len, text.splitlines())) <= picture.WIDTH
