"""`cometapi-mcp save --to`: a value for programs elsewhere, which a person puts there from their own terminal."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from comet_mcp.cli import save as command_module
from tests.github import HANGS, TOKEN, Fault, GitHub
from tests.support import Home, in_process

PLACE = "github:me/shop/COMETAPI_KEY"


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture
def home(make_home: Callable[..., Home], github: GitHub) -> Iterator[Home]:
    with github.serve() as url:
        listed = "github:me/shop/COMETAPI_*, github:me/missing/X, command:*"
        home = make_home(dialect="gateway", GH_TOKEN=TOKEN, COMETAPI_MCP_PLACES=listed, COMETAPI_MCP_GITHUB_API=url)
        home.sandbox.add_key("staging")
        yield home


def save(home: Home, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Save the key, and see that neither its value nor the token is told."""
    done = in_process("save", "staging", *arguments, environment=home.environment, stdin=stdin)
    for secret in (home.sandbox.keys[0].key, TOKEN):
        assert secret not in done.stdout + done.stderr
    return done


def value(home: Home) -> str:
    return f"sk-{home.sandbox.keys[0].key}"


def noted(home: Home) -> list[str]:
    if not home.state.exists():
        return []
    with closing(sqlite3.connect(home.state)) as db:
        return [path for (path,) in db.execute("SELECT path FROM place")]


def script(home: Home, name: str, code: str) -> str:
    """A command that runs that code, named by its full path."""
    file = home.directory / name
    file.write_text(code, encoding="utf-8")
    return f"command:{Path(sys.executable).as_posix()} {file.as_posix()}"


@pytest.mark.parametrize("written", [PLACE, " github:Me/Shop/cometapi_key"])
def test_a_secret_of_a_repository_gets_the_value_whatever_the_case_of_its_name(
    home: Home, github: GitHub, written: str
) -> None:
    done = save(home, "--to", written)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f'{PLACE} has the value of key 1 "staging".\n'
    assert github.secrets == {"COMETAPI_KEY": value(home)}
    assert noted(home) == [PLACE]


@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_secret_that_is_there_is_replaced_only_where_the_person_agrees(
    home: Home, github: GitHub, answer: str, agreed: bool
) -> None:
    github.secrets["COMETAPI_KEY"] = "of another program"
    done = save(home, "--to", PLACE, stdin=answer)
    assert done.returncode == (not agreed)
    assert f"{PLACE} has a value already, which nobody can read again. Replace it?" in done.stderr
    assert github.secrets == {"COMETAPI_KEY": value(home) if agreed else "of another program"}
    assert save(home, "--to", PLACE, "--yes").returncode == 0
    assert save(home, "--to", PLACE).returncode == 0, "its own value needs no question"


REFUSALS = [
    ({"KEY": Fault(401)}, "GitHub does not accept the token in GH_TOKEN (401)."),
    ({"KEY": Fault(403)}, "The token in GH_TOKEN may not do that in me/shop (403). It takes the permission"),
    ({"KEY": Fault(404)}, "GitHub has no repository me/shop that the token in GH_TOKEN may see (404)."),
    ({"KEY": Fault(301, {"location": "https://elsewhere.example/"})}, "The repository me/shop has moved (301)."),
    ({"KEY": Fault(200, body=b'{"key_id": "1", "key": "AAAA"}')}, "GitHub answered without a public key"),
    ({"KEY": Fault(200, body=b"<html>")}, "GitHub answered without a public key"),
    ({"KEY": Fault(418)}, "GitHub answered with 418, which is no answer that is known."),
    ({"PUT": Fault(422)}, "GitHub did not take the secret me/shop/COMETAPI_KEY (422)."),
    ({"PUT": Fault(429)}, "GitHub takes no more calls for now (429). Try again in a minute."),
    ({"PUT": Fault(429, {"retry-after": "30"})}, "Try again in 30 s."),
    ({"PUT": Fault(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1900000000"})}, "Try again after 2030-03"),
    ({"GET": Fault(403)}, "may not do that in me/shop (403)"),
]


@pytest.mark.parametrize(("faults", "said"), REFUSALS)
def test_what_github_refuses_is_told_and_not_noted(
    home: Home, github: GitHub, faults: dict[str, Fault], said: str
) -> None:
    github.faults = faults
    done = save(home, "--to", PLACE)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "made-up" not in done.stderr
    assert (github.secrets, noted(home)) == ({}, [])
    github.faults = {}
    assert save(home, "--to", PLACE).returncode == 0


def test_a_rotation_that_waits_for_a_place_says_how_it_goes_on(home: Home, github: GitHub) -> None:
    home.sandbox.keys[0].remain_quota = 500_000
    assert save(home, "--to", PLACE).returncode == 0
    without = {name: text for name, text in home.environment.items() if name != "GH_TOKEN"}
    done = in_process("keys", "rotate", "staging", "--yes", environment=without)
    waits = done.stderr
    assert done.returncode == 1
    assert "The old key 1 was left as it is" in waits
    # by its name it would be one of two keys
    assert 'Run `cometapi-mcp keys rotate 1` again once that is fixed; with --old "disable" or "delete" it' in waits
    assert in_process("keys", "rotate", "1", "--yes", environment=home.environment).returncode == 0
    assert github.secrets == {"COMETAPI_KEY": f"sk-{home.sandbox.keys[1].key}"}


def test_a_delete_says_where_the_value_was_and_may_be_still(home: Home, github: GitHub) -> None:
    command = script(home, "vault.py", "import sys; sys.stdin.read()")
    for place in (PLACE, command):
        assert save(home, "--to", place).returncode == 0
    done = in_process("keys", "delete", "staging", "--yes", environment=home.environment)
    assert done.stdout.splitlines() == [
        'Key 1 "staging" was deleted.',
        f"It was cleared from {PLACE}. It may be in {command} still: remove it there.",
    ]
    assert github.secrets == {}


def test_tidying_says_it_too(home: Home, github: GitHub) -> None:
    command = script(home, "vault.py", "import sys; sys.stdin.read()")
    for place in (PLACE, command):
        assert save(home, "--to", place).returncode == 0
    home.sandbox.keys[0].expired_time = 1_600_000_000
    done = in_process("tidy", "--yes", environment=home.environment)
    assert done.stdout.splitlines()[-1] == "Deleted: 1."
    cleared = f"It was cleared from {PLACE}. It may be in {command} still: remove it there."
    assert done.stderr.splitlines() == [f'Key 1 "staging": {cleared}']
    assert github.secrets == {}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "_ELSEWHERE_WITHIN", 1.0)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("faults", "said", "may_be_there"),
    [
        ({"PUT": Fault(500)}, "GitHub failed (500). Try again in a minute.", True),
        ({"PUT": Fault(HANGS)}, "did not answer in time. The request may have been carried out.", True),
        ({"KEY": Fault(HANGS)}, "did not answer in time. Nothing was read; try again.", False),
    ],
)
def test_where_github_fails_the_place_stays_noted_if_the_value_may_be_there(
    home: Home, github: GitHub, faults: dict[str, Fault], said: str, may_be_there: bool
) -> None:
    github.faults = faults
    done = save(home, "--to", PLACE)
    assert done.returncode == 1
    assert said in done.stderr
    assert noted(home) == [PLACE] * may_be_there


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"GH_TOKEN": ""}, 'GH_TOKEN is not set here. It takes a GitHub token with the permission "Secrets'),
        ({"GH_TOKEN": "two words"}, "GH_TOKEN has a character that no token has."),
        ({"GH_TOKEN": "ghp_anotherTokenThatIsMadeUp"}, "GitHub does not accept the token in GH_TOKEN (401)."),
        ({"COMETAPI_MCP_GITHUB_API": "http://127.0.0.1:9"}, "127.0.0.1:9 could not be reached (it refused)."),
        ({"COMETAPI_MCP_GITHUB_API": "http://ghe.example"}, "would send GH_TOKEN unencrypted; use https"),
        ({"COMETAPI_MCP_PLACES": ""}, "To allow it, add it to places under [mcp] in the config file."),
        ({"COMETAPI_MCP_PLACES": "github:me/shop/X"}, "To allow it, add it to COMETAPI_MCP_PLACES."),
        ({"COMETAPI_MCP_PLACES": "*"}, "COMETAPI_MCP_PLACES must be places with commas between"),
    ],
)
def test_what_is_missing_or_wrong_here_is_said_with_its_remedy(
    home: Home, github: GitHub, extra: dict[str, str], said: str
) -> None:
    home.extra |= extra
    done = save(home, "--to", PLACE)
    assert done.returncode == 1
    assert said in done.stderr
    assert github.secrets == {}


def test_a_repository_that_is_not_there_and_a_missing_extra_are_told(
    home: Home, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "GitHub has no repository me/missing" in save(home, "--to", "github:me/missing/X").stderr
    monkeypatch.setitem(sys.modules, "nacl.public", None)
    assert 'install "cometapi-mcp[github]"' in save(home, "--to", PLACE).stderr
    assert (github.secrets, noted(home)) == ({}, [])


def test_a_command_gets_the_value_on_its_standard_input_and_nothing_of_ours(home: Home) -> None:
    code = (
        "import json, os, pathlib, sys\n"
        "found = {'in': sys.stdin.read(), 'arguments': sys.argv[1:], 'environment': dict(os.environ)}\n"
        "pathlib.Path(__file__).with_name('found.json').write_text(json.dumps(found))\n"
    )
    place = script(home, "take.py", code) + ' "two words" $HOME ;'
    done = save(home, "--to", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f'{place} has the value of key 1 "staging".\n'
    found = json.loads((home.directory / "found.json").read_text(encoding="utf-8"))
    assert (found["in"], found["arguments"]) == (value(home), ["two words", "$HOME", ";"])
    assert not {"COMETAPI_ACCESS_TOKEN", "COMETAPI_MCP_PLACES"} & found["environment"].keys()
    assert value(home) not in str(found["environment"])
    assert noted(home) == [place]


def test_a_command_that_prints_the_value_and_fails_is_not_repeated(home: Home) -> None:
    code = "import sys\nvalue = sys.stdin.read()\nprint(value)\nprint(value, file=sys.stderr)\nsys.exit(3)\n"
    done = save(home, "--to", script(home, "loud.py", code))
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended with 3. What it printed is not shown, for the value may be in it" in done.stderr
    assert len(noted(home)) == 1, "it may have kept the value"


@pytest.mark.usefixtures("hurried")
def test_a_command_that_hangs_is_ended(home: Home) -> None:
    done = save(home, "--to", script(home, "hang.py", "import time\ntime.sleep(60)\n"))
    assert done.returncode == 1
    assert "did not end within" in done.stderr


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("command:no-such-program-here --in shop", "There is no program"),
        ("command:./put.sh", "would be another program in each folder"),
        ('command:pass "insert', "can't be read"),
    ],
)
def test_a_command_that_cannot_run_is_not_noted(home: Home, place: str, said: str) -> None:
    if sys.platform == "win32" and "insert" in place:
        pytest.skip("there a program takes its line apart itself")
    done = save(home, "--to", place)
    assert done.returncode == 1
    assert said in done.stderr
    assert noted(home) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--to", "vault:shop/key"], 1, "is no place for programs elsewhere. Give"),
        (["--to", "github:me/shop"], 1, "is no secret of a repository"),
        (["--to", "github:me/../KEY"], 1, "is no secret of a repository"),
        (["--to", "github:me/shop/GITHUB_KEY"], 1, "GitHub takes no secret whose name begins with GITHUB_"),
        (["--to", "github:me/shop/OTHER"], 1, "is not among the places that the operator has listed"),
        (["--to", PLACE, "--file", ".env"], 2, "Give one of --file and --to."),
        ([], 2, "Give one of --file and --to."),
        (["--to", PLACE, "--as", "X_KEY"], 2, "--as goes with --file"),
    ],
)
def test_what_is_no_place_or_not_listed_is_refused_before_anything_is_asked(
    home: Home, github: GitHub, arguments: list[str], status: int, said: str
) -> None:
    done = save(home, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert github.calls == []
    assert home.sandbox.count("reveal") == 0
