"""The board in a real browser: alone as a file, and served. Left out where there is no Chromium."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.sandbox import Sandbox
from release import board_picture
from release.browser import Page, browser, chromium
from tests.board.live import Live, live, posix
from tests.support import Home, in_process

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium here"),
]
HOSTILE = "</script><img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"
VISIBLE = "[...document.querySelectorAll('#keys > tbody > tr')].filter((row) => row.offsetParent !== null)"
NAMES = f"{VISIBLE}.map((row) => row.querySelector('.name').textContent)"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("board") / "report.html"
    board_picture.save(board_picture.sandbox(), path)
    return path.as_uri()


def saved(home: Home) -> str:
    path = home.directory / "report.html"
    assert in_process("board", "--save", str(path), environment=home.environment).returncode == 0
    return path.as_uri()


def check(page: Page) -> None:
    """Nothing went wrong, nothing was fetched but the page, and nothing stands out of the window."""
    wrong = [told for told in page.events if told["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert not wrong
    addresses = {
        told["params"]["request"]["url"] for told in page.events if told["method"] == "Network.requestWillBeSent"
    }
    own = page.run("location.origin")
    assert all(address.startswith(("file:" if own == "null" else own, "file:")) for address in addresses), addresses
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def choose(page: Page, selector: str, value: str) -> None:
    page.run(
        f"(() => {{ const field = document.querySelector('{selector}'); field.value = {value!r};"
        "field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change')); })()"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 860, 360])
def test_it_fits_the_window_in_light_and_dark(page: Page, report: str, width: int, dark: bool) -> None:
    page.show(report, width=width, dark=dark)
    check(page)
    assert len(page.run(NAMES)) == 6
    background = page.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 22, 28)") is dark


def test_without_a_script_everything_can_be_read(page: Page, report: str) -> None:
    page.show(report, script=False)
    check(page)
    text = page.run("document.querySelector('main').innerText")
    assert "old prototype" in text
    assert "unused for 90 days" in text
    assert "Search" not in text


def test_keys_are_found_filtered_and_sorted(page: Page, report: str) -> None:
    page.show(report)
    choose(page, "#search", "gpt-4.1 shop")
    assert page.run(NAMES) == ["shop assistant"]
    assert page.run("document.querySelector('#count').textContent") == "1 of 6 keys"
    choose(page, "#search", "")
    choose(page, "#state", "disabled")
    assert page.run(NAMES) == ["intern laptop"]
    choose(page, "#state", "")
    page.run("document.querySelector('#marked').click()")
    assert sorted(page.run(NAMES)) == ["nightly tests", "old prototype"]
    page.run("document.querySelector('#marked').click()")
    page.run("document.querySelectorAll('#keys thead button')[0].click()")
    assert page.run(NAMES) == sorted(page.run(NAMES))
    page.run("document.querySelectorAll('#keys thead button')[0].click()")
    assert page.run(NAMES) == sorted(page.run(NAMES), reverse=True)
    assert page.run("document.querySelector('#keys thead th').getAttribute('aria-sort')") == "descending"
    page.run("document.querySelectorAll('#keys thead button')[4].click()")
    assert page.run(NAMES)[0] == "nightly tests"
    assert page.run(NAMES)[-1] == "old prototype"


def test_spending_is_stacked_by_key_too(page: Page, report: str) -> None:
    page.show(report, script=False)
    shown = "[...document.querySelectorAll('.stacked')].filter((one) => one.offsetParent).map((one) => one.className)"
    assert page.run(shown) == ["stacked model"]
    page.run("document.querySelector('#by-model').focus()")
    page.press("ArrowRight", 39)
    assert page.run(shown) == ["stacked key"]


def test_an_account_without_keys_is_told_how_to_make_one(page: Page, make_home: Callable[..., Home]) -> None:
    page.show(saved(make_home(dialect="gateway")), width=360)
    check(page)
    text = page.run("document.body.innerText")
    assert "cometapi-mcp keys new" in text
    assert "Nothing was spent" in text
    assert "by model" not in text, "there is nothing to choose"


def test_three_hundred_keys_are_shown_and_found(page: Page, make_home: Callable[..., Home]) -> None:
    page.show(saved(make_home(board_picture.sandbox(others=294))), width=360)
    check(page)
    assert len(page.run(NAMES)) == 300
    choose(page, "#search", "JOB 300")
    assert page.run(NAMES) == ["job 293"], "by the id"


def test_a_hostile_name_is_only_shown(page: Page, make_home: Callable[..., Home]) -> None:
    sandbox = Sandbox("gateway")
    sandbox.add_key(HOSTILE, group=HOSTILE, model_limits_enabled=True, model_limits=HOSTILE)
    page.show(saved(make_home(sandbox)))
    check(page)
    assert page.run("document.title") == "CometAPI keys"
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.querySelector('.name').textContent").startswith("</script><img src=x")


@posix
def test_a_key_is_changed_on_the_served_page_in_two_steps(page: Page, make_home: Callable[..., Home]) -> None:
    home = make_home(board_picture.sandbox())
    home.sandbox.add_key(HOSTILE)
    with live(home) as board:
        page.show(board.address)
        page.until("document.querySelectorAll('#keys .change').length === 7")
        check(page)
        assert page.run("location.href") == f"http://{board.host}/"
        assert page.run("document.querySelectorAll('img').length") == 0
        page.run("document.querySelector('tr[data-id=\"1\"] .change').click()")
        page.run("document.querySelector('#amount').value = '2'")
        page.run("document.querySelector('[data-action=top_up]').click()")
        page.until("!document.querySelector('#ask').hidden")
        assert "blog summariser" in page.run("document.querySelector('#question').textContent")
        assert page.run("document.activeElement.id") == "no"
        assert home.sandbox.keys[0].remain_quota == 2_100_000
        page.run("document.querySelector('#yes').click()")
        page.until("document.querySelector('#said').textContent.includes('was changed')")
        page.until("document.querySelector('tr[data-id=\"1\"]').textContent.includes('$6.20 of $7.00 left')")
        assert home.sandbox.keys[0].remain_quota == 3_100_000
        page.press("Escape", 27)
        page.until("!document.querySelector('#change').open")
        page.show(f"http://{board.host}/", width=1121)  # the same tab may load it anew
        page.until("document.querySelectorAll('#keys .change').length === 7")
        assert page.run("document.querySelector('.wide').scrollWidth <= document.querySelector('.wide').clientWidth")
        values = [key.key for key in home.sandbox.keys]
        html = page.run("document.documentElement.outerHTML")
        assert not [value for value in values if value in html]
        check(page)
    page.show(f"file://{home.directory}")
    assert board.ended["status"] == 0


@posix
def test_a_delete_on_the_page_says_where_the_value_was(page: Page, make_home: Callable[..., Home]) -> None:
    home = make_home()
    home.sandbox.add_key("blog", remain_quota=500_000)
    program = home.directory / "program.env"
    in_process("save", "1", "--file", str(program), environment=home.environment)
    with live(home) as board:
        _choose_delete(page, board)
        page.run("document.querySelector('#yes').click()")
        page.until("document.querySelector('#said').textContent.includes('was deleted')")
        assert page.run("document.querySelector('#said').textContent").splitlines() == [
            'Key 1 "blog" was deleted.',
            f"It was cleared from {program} (as COMETAPI_KEY).",
        ]
    page.show(f"file://{home.directory}")


@posix
def test_the_second_click_of_a_double_click_is_no_yes(page: Page, make_home: Callable[..., Home]) -> None:
    home = make_home()
    home.sandbox.add_key("blog", remain_quota=500_000)
    with live(home) as board:
        _choose_delete(page, board)
        yes = page.run(
            "(({ left, top }) => [left + 5, top + 5])(document.querySelector('#yes').getBoundingClientRect())"
        )
        page.click(*yes, count=2)
        assert not page.run("document.querySelector('#yes').disabled"), "it is still asked"
        page.click(*yes)
        page.until("document.querySelector('#said').textContent.includes('was deleted')")
    page.show(f"file://{home.directory}")
    assert not home.sandbox.keys


def _choose_delete(page: Page, board: Live) -> None:
    """Show the board, and choose to delete its only key, which is then asked about."""
    page.show(board.address)
    page.until("document.querySelectorAll('#keys .change').length === 1")
    page.run("document.querySelector('#keys .change').click()")
    page.run("document.querySelector('[data-action=delete]').click()")
    page.until("!document.querySelector('#ask').hidden")


def _axe() -> Path | None:
    """The accessibility checker, where npm has put it."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    found = Path(root) / "axe-core" / "axe.min.js"
    return found if found.exists() else None


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(page: Page, report: str, width: int, dark: bool) -> None:
    axe = _axe()
    if axe is None:
        pytest.skip("axe-core is not installed (npm install -g axe-core)")
    page.show(report, width=width, dark=dark)
    page.run(axe.read_text(encoding="utf-8") + "; 0")
    found: list[dict[str, Any]] = page.run("axe.run().then((done) => done.violations)")
    assert not [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
