"""How the board looks, held to pictures of it that somebody has looked at. Left out where there is no Chromium.

Fonts and versions of Chromium draw differently, so no bytes are compared: a picture has to be as wide, about as high,
and to have the colours of each square of 40 pixels near its place, see compare.js. Another font passes that, sans or
serif; a part that is missing, lies over another or has another theme does not. A border or a word less is not seen.

After a change that is meant: COMETAPI_UPDATE_SNAPSHOTS=1 python -m pytest -m long tests/board/test_pictures.py -n0
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.sandbox import Sandbox
from release import board_picture
from release.browser import Page, browser, chromium

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium here"),
]
PICTURES = Path(__file__).parent / "pictures"
COMPARE = (Path(__file__).parent / "compare.js").read_text(encoding="utf-8")
SCALE = 0.45
"""Pixels of a picture for one of the page."""
HEIGHT = 0.04
"""The part by which the height may differ. Measured: another font up to 0.038, a row less from 0.06 on."""
COLOUR = 20
"""Of 255, by which the mean colour of a square may differ. Measured: sans-serif fonts up to 15, serifs up to 19, what
one of `FAULTS` takes away from 23 on."""


@dataclass(frozen=True)
class Look:
    """A page to be looked at: whose keys, in a window of which width, and how much of it."""

    account: str
    width: int = 1280
    dark: bool = False
    most: float = math.inf


LOOKS = {
    "light": Look("six"),
    "dark": Look("six", dark=True),
    "narrow": Look("six", width=360),
    "empty": Look("none"),
    "300-keys": Look("many", most=1000),
}
UNSTYLED = "* { all: revert !important; }"
FAULTS = {
    ("light", "unstyled"): UNSTYLED,
    ("light", "budgets' bars are empty"): ".spent { visibility: hidden; }",
    ("narrow", "budgets' bars are gone"): ".bar { display: none; }",
    ("light", "the column of budgets is gone"): "#keys tr > :nth-child(3) { display: none; }",
    ("light", "the column of addresses is gone"): "#keys tr > :nth-child(8) { display: none; }",
    ("light", "sparklines are gone"): ".spark path { visibility: hidden; }",
    ("light", "the cells have no words"): "#keys td { color: transparent; }",
    ("light", "a row is missing"): "#keys tbody tr:nth-child(2) { display: none; }",
    ("300-keys", "a row is missing"): "#keys tbody tr:nth-child(2) { display: none; }",
    ("light", "one part lies over another"): "section + section { margin-top: -60px; }",
    ("300-keys", "one part lies over another"): "section + section { margin-top: -60px; }",
    ("dark", "the chart has no bars"): ".chart rect { visibility: hidden; }",
    ("narrow", "the chart has no bars"): ".chart rect { visibility: hidden; }",
    ("light", "a model has no colour"): ".c0 { fill: black; }",
    ("light", "nothing says what the colours are"): ".dearest { visibility: hidden; }",
    ("light", "the figures stand below each other"): ".figures { display: block; }",
    ("narrow", "the table makes the page wider"): ".wide { overflow: visible; } #keys { min-width: 600px; }",
    ("narrow", "rows are no cards"): "#keys tr > * { display: table-cell !important; }",
    ("empty", "nothing is said of keys"): "section { visibility: hidden; }",
}
FONTS = {
    "sans": "body, code { font-family: Arial, Helvetica, 'Liberation Sans', sans-serif; }",
    "serif": "body, code { font-family: 'Times New Roman', 'Liberation Serif', serif; }",
    "spaced": "body { letter-spacing: .3px; }",
}


@dataclass(frozen=True)
class Difference:
    """What differs between two pictures: in words, and in a picture that has both; no words where it is little."""

    words: str
    picture: bytes


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


class Studio:
    """Draws what is to be looked at, and compares pictures.

    Args:
        page: Where.
        reports: The boards that `Look.account` names.
    """

    def __init__(self, page: Page, reports: dict[str, Path]) -> None:
        self._page = page
        self._reports = reports

    def draw(self, look: Look, css: str = "", *, scale: float = SCALE) -> bytes:
        """A picture, of the page with a style besides its own."""
        height = 300  # less than any page has, whose picture ends where it does
        self._page.show(self._reports[look.account].as_uri(), width=look.width, height=height, dark=look.dark)
        self._page.run(
            f"{{ const more = new CSSStyleSheet(); more.replaceSync({json.dumps(css)});"
            "document.adoptedStyleSheets = [more]; }"
        )
        return self._page.picture(scale=scale, most=look.most)

    def compare(self, golden: bytes, drawn: bytes, *, scale: float = SCALE) -> Difference:
        """What differs."""
        self._page.show("about:blank")  # it has no policy against pictures
        size = {"square": 40, "across": 24, "along": 48}
        limits = {name: round(pixels * scale) for name, pixels in size.items()} | {"colour": COLOUR}
        pictures = (base64.b64encode(picture).decode() for picture in (golden, drawn))
        given = ", ".join(map(json.dumps, (*pictures, limits)))
        found: dict[str, Any] = self._page.run(f"({COMPARE[COMPARE.index('async') :]})({given})")
        (width, height), (drawn_width, drawn_height) = found["sizes"]
        words = []
        if width != drawn_width or abs(drawn_height - height) > HEIGHT * height:
            words.append(f"it is {drawn_width} x {drawn_height} pixels, and was {width} x {height}")
        if found["differing"]:
            words.append(f"{found['differing']} squares have another colour, by up to {found['worst']:.0f} of 255")
        return Difference("; ".join(words), base64.b64decode(found["picture"]))


@pytest.fixture(scope="module")
def studio(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    accounts = {
        "six": board_picture.sandbox(),
        "none": Sandbox("gateway", clock=lambda: board_picture.NOW),
        "many": board_picture.sandbox(others=294),
    }
    directory = tmp_path_factory.mktemp("reports")
    reports = {name: directory / f"{name}.html" for name in accounts}
    for name, sandbox in accounts.items():
        board_picture.save(sandbox, reports[name])
    return Studio(page, reports)


def expect_none(difference: Difference, drawn: bytes, directory: Path, again: str) -> None:
    """Fail where there is a difference, and say where it can be looked at."""
    if difference.words:
        (directory / "drawn.png").write_bytes(drawn)
        (directory / "difference.png").write_bytes(difference.picture)
        pytest.fail(
            f"{difference.words}. Look at drawn.png and, with what differs framed beside the golden picture, "
            f"difference.png in {directory}. If that is meant: {again}",
            pytrace=False,
        )


@pytest.mark.parametrize("name", LOOKS)
def test_the_board_looks_as_in_the_golden_picture(name: str, studio: Studio, tmp_path: Path) -> None:
    path, drawn = PICTURES / f"{name}.png", studio.draw(LOOKS[name])
    if os.environ.get("COMETAPI_UPDATE_SNAPSHOTS"):
        path.write_bytes(drawn)
    difference = studio.compare(path.read_bytes(), drawn)
    expect_none(difference, drawn, tmp_path, "set COMETAPI_UPDATE_SNAPSHOTS=1 and run this again")


def test_the_board_looks_as_in_readmes_picture(studio: Studio, tmp_path: Path) -> None:
    drawn = studio.draw(Look("six", width=board_picture.WIDTH), scale=1)
    difference = studio.compare(board_picture.PICTURE.read_bytes(), drawn, scale=1)
    expect_none(difference, drawn, tmp_path, "python -m release.board_picture")


def test_there_is_no_golden_picture_too_many_and_they_are_small() -> None:
    assert {path.stem for path in PICTURES.iterdir()} == set(LOOKS)
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 250_000


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("name", LOOKS)
def test_another_font_is_no_fault(name: str, font: str, studio: Studio) -> None:
    drawn = studio.draw(LOOKS[name], FONTS[font])
    golden = (PICTURES / f"{name}.png").read_bytes()
    assert drawn != golden
    assert not studio.compare(golden, drawn).words


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=": ".join)
def test_a_fault_is_seen(name: str, fault: str, studio: Studio) -> None:
    drawn = studio.draw(LOOKS[name], FAULTS[name, fault])
    assert studio.compare((PICTURES / f"{name}.png").read_bytes(), drawn).words


def test_a_lost_theme_is_seen(studio: Studio) -> None:
    drawn = studio.draw(replace(LOOKS["dark"], dark=False))
    assert studio.compare((PICTURES / "dark.png").read_bytes(), drawn).words


def test_a_difference_can_be_looked_at(studio: Studio, tmp_path: Path) -> None:
    drawn = studio.draw(LOOKS["empty"], UNSTYLED)
    difference = studio.compare((PICTURES / "empty.png").read_bytes(), drawn)
    with pytest.raises(pytest.fail.Exception, match="squares have another colour"):
        expect_none(difference, drawn, tmp_path, "draw it anew")
    assert {path.name for path in tmp_path.iterdir()} == {"drawn.png", "difference.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
