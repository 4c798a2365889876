"""`cometapi-mcp watch`: one notice for what runs low, wherever it is to be said, and none that is lost."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from comet_mcp.cli import notices
from tests.services.spend import DAY, exported
from tests.services.test_pace import used_steadily
from tests.support import Home, in_process

MakeHome = Callable[..., Home]
USD = 500_000


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    home = make_home(dialect="gateway")
    exported(home.sandbox)
    home.sandbox.add_key("plenty", remain_quota=5 * USD)
    home.sandbox.add_key("free", unlimited_quota=True)
    home.sandbox.add_key("low", remain_quota=USD // 2, used_quota=9 * USD)
    return home


def look(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return in_process("watch", "--once", *arguments, environment=home.environment)


def test_what_is_low_is_said_once(home: Home) -> None:
    first, second = look(home), look(home)
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr == 'The API key "low" (id 3) has $0.50 of $9.50 left, less than 20%.\n'
    assert (second.returncode, second.stderr) == (0, "")


def test_one_that_was_topped_up_and_falls_again_is_said_again(home: Home) -> None:
    low = home.sandbox.keys[2]
    look(home)
    low.remain_quota = 90 * USD
    assert look(home).stderr == ""
    low.remain_quota, low.used_quota = USD, 98 * USD
    assert '"low"' in look(home).stderr


def test_a_balance_that_was_topped_up_and_falls_again_is_said_again(home: Home) -> None:
    home.sandbox.keys.clear()
    said = []
    for dollars in (3, 3, 50, 3):
        home.sandbox.account.quota = dollars * USD
        said.append(look(home, "--below", "10").stderr)
    assert said == ["The account's balance has $3.00 left, less than $10.00.\n", "", "", said[0]]


def test_another_threshold_is_another_notice_and_the_balance_has_one_too(home: Home) -> None:
    home.sandbox.account.quota = 3 * USD
    look(home)
    said = look(home, "--below", "10").stderr.splitlines()
    assert [line.split(" has ")[0] for line in said] == [
        "The account's balance",
        'The API key "low" (id 3)',
        'The API key "plenty" (id 1)',
    ]
    assert look(home, "--below", "10").stderr == ""


def test_a_look_with_one_threshold_forgets_nothing_of_a_look_with_another(home: Home) -> None:
    home.sandbox.account.quota = 500 * USD
    first, *more = [look(home, *below).stderr for below in ((), ("--below", "0.60"), (), ("--below", "0.60"))]
    assert first.endswith("less than 20%.\n")
    assert more == [first.replace("20%", "$0.60"), "", ""]


def test_a_key_that_will_be_used_up_in_a_day_is_said_before_it_is_low(home: Home) -> None:
    used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=500_000, left=1_500_000)
    home.sandbox.keys[-1].used_quota = 1_500_000
    look(home, "--below", "1%")
    home.sandbox.account.quota = 50_000 * USD
    (home.state.parent / "watch" / "said.json").unlink()
    (said,) = look(home, "--below", "1%").stderr.splitlines()
    assert said.endswith("has $3.00 of $6.00 left. At the pace of the last days it is used up in about 18 hours.")


def recording(directory: Path, status: int = 0) -> tuple[str, Path]:
    """A command that keeps what it got, and where."""
    kept, script = directory / "kept.jsonl", directory / "keep.py"
    script.write_text(
        "import json, os, sys\n"
        f"with open({str(kept)!r}, 'a', encoding='utf-8') as file:\n"
        "    text = sys.stdin.buffer.read().decode('utf-8')\n"
        "    ours = [name for name in os.environ if name == 'COMETAPI_ACCESS_TOKEN']\n"
        "    file.write(json.dumps([text, sys.argv[1:], ours]) + '\\n')\n"
        f"sys.exit({status})\n",
        encoding="utf-8",
    )
    return f"command:{sys.executable} {script} one 'two words'", kept


def test_a_command_gets_the_text_on_its_input_and_neither_names_nor_our_token(home: Home) -> None:
    home.sandbox.keys[2].name = "$(touch owned); `x` 名 \n\x1b[2J"
    command, kept = recording(home.directory)
    assert look(home, "--notify", command).returncode == 0
    ((text, arguments, ours),) = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert text.startswith('The API key "$(touch owned); `x` 名 \\n\\u001b[2J" (id 3) has $0.50')
    assert (arguments, ours) == (["one", "two words"], [])
    assert not (home.directory / "owned").exists()


def test_a_notice_that_could_not_be_given_is_given_by_the_next_look(home: Home) -> None:
    command, kept = recording(home.directory, status=7)
    failed = look(home, "--notify", command)
    assert failed.returncode == 1
    assert "ended with 7" in failed.stderr
    command, kept = recording(home.directory)
    kept.unlink()
    assert look(home, "--notify", command).returncode == 0
    assert look(home, "--notify", command).returncode == 0
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("platform", "program"), [("linux", "notify-send"), ("darwin", "osascript"), ("win32", "powershell")]
)
def test_a_desktop_gets_the_text_as_an_argument_of_its_own_or_on_standard_input(
    platform: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[tuple[list[str], str]] = []
    monkeypatch.setattr(notices, "_run", lambda command, text: run.append((command, text)))
    hostile = '"; rm -rf ~ & \' $(x) `y` <b>bold</b> -h"); end run'
    notices._on_desktop(hostile, platform)
    ((command, given),) = run
    assert command[0] == program
    texts = [word for word in (*command, given) if "rm -rf" in word]
    assert len(texts) == 1
    assert texts[0] in (hostile, html.escape(hostile))
    assert "<b>" not in texts[0] or platform != "linux"


def test_a_desktop_without_the_program_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    failed = look(home, "--notify", "desktop")
    assert failed.returncode == 1
    assert "There is no program" in failed.stderr


def test_it_looks_again_until_it_is_stopped(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(_: object, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            home.sandbox.keys[0].remain_quota = 1
            home.sandbox.keys[0].used_quota = 5 * USD
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("comet_mcp.clock.Clock.sleep", sleep)
    done = in_process("watch", "--every", "10 minutes", environment=home.environment)
    assert pauses == [600, 600, 600]
    assert done.returncode == 130
    assert [line.split(" has ")[0] for line in done.stderr.splitlines()[:2]] == [
        'The API key "low" (id 3)',
        'The API key "plenty" (id 1)',
    ]


def test_a_trouble_that_lasts_is_said_once_and_nothing_is_lost(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.sandbox.faults.add("list", "refused", times=2)
    pauses: list[float] = []

    async def sleep(_: object, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("comet_mcp.clock.Clock.sleep", sleep)
    lines = in_process("watch", environment=home.environment).stderr.splitlines()
    assert [line for line in lines if "refused" in line] == lines[:1]
    assert '"low"' in lines[1]


def test_a_damaged_note_of_what_was_said_is_told_and_left(home: Home) -> None:
    home.sandbox.keys[2].name = "shop"
    assert '"shop"' in look(home).stderr
    noted = home.state.parent / "watch" / "said.json"
    assert "shop" not in noted.read_text(encoding="utf-8")
    noted.write_text("[", encoding="utf-8")
    failed = look(home)
    assert failed.returncode == 1
    assert "damaged; remove it" in failed.stderr
    assert noted.read_text(encoding="utf-8") == "["


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--below", "lots"], '"20%"'),
        (["--notify", "mail"], "command:PROGRAM"),
        (["--notify", "command:"], "command:PROGRAM"),
        (["--every", "5"], "no span of time"),
        (["--every", "0 minutes"], "no span of time"),
    ],
)
def test_a_wrong_command_is_told_what_is_right(home: Home, arguments: list[str], said: str) -> None:
    done = look(home, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert home.sandbox.requests == []
