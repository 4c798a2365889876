"""`cometapi-mcp setup`, by options or by answers. What it leads to is started in tests/release/test_way_in.py."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.cli.beginner_policy import POLICIES, words
from comet_mcp.clients.start import Start
from comet_mcp.settings import understood
from tests.cli.conftest import Memory
from tests.support import Home, in_process

KEY = ("--key", "blog", "--budget", "5", "--lifetime", "30d")


class Person:
    """Somebody at a home's command line."""

    def __init__(self, home: Home, bare: dict[str, str], config: Path) -> None:
        self.home = home
        self.environment = bare
        self.config = config
        self.cursor = home.directory / ".cursor" / "mcp.json"

    def setup(self, *options: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        done = in_process("setup", *options, environment={**self.environment, **variables}, stdin=stdin)
        assert self.home.sandbox.access_token not in done.stdout + done.stderr
        return done

    def begin(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Everything that a login needs, and the rest by options."""
        token = self.home.sandbox.access_token
        return self.setup("--token-stdin", "--base-url", self.home.url, *options, stdin=token, **variables)

    def typing(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        """The same in a terminal, where they type all that at once."""
        done = in_process("setup", *options, environment=self.environment, stdin=text, columns=200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def written(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text(encoding="utf-8"))

    def files(self) -> dict[Path, bytes]:
        kept = (self.config, self.cursor)
        return {path: path.read_bytes() for path in kept if path.exists()}


@pytest.fixture
def person(home: Home, bare: dict[str, str], config: Path) -> Person:
    return Person(home, bare, config)


def test_its_end_says_what_to_do_now_and_where_the_command_is(person: Person) -> None:
    done = person.begin("--client", "cursor", "--policy", "none", "--no-key", PATH="")
    assert "Now ask your assistant: " in done.stdout
    assert f"No shell finds cometapi-mcp by its name yet: it is {Start.of_this({}).command}" in done.stdout
    found = person.setup("--no-clients", "--policy", "none", "--no-key", PATH=str(Path(sys.executable).parent))
    assert "No shell finds" not in found.stdout


def test_it_may_be_repeated_and_changes_nothing_then(person: Person) -> None:
    options = ("--client", "cursor", "--policy", "team", *KEY)
    assert person.begin(*options).returncode == 0
    before = person.files()
    for again in (person.begin(*options), person.setup(*options)):
        assert again.returncode == 0, again.stderr
        assert 'The account has a key "blog" (id 1). None was made.' in again.stdout
        assert "has this server already" in again.stdout
    assert person.files() == before
    assert len(person.home.sandbox.keys) == 1


def test_it_is_undone_and_what_was_there_before_stays(person: Person) -> None:
    person.config.parent.mkdir(parents=True)
    person.config.write_text('# mine\ndefault_model = "gpt-4o"\n\n[policy]\nmax_keys_per_hour = 4 # mine\n')
    person.cursor.parent.mkdir()
    person.cursor.write_text('{"mcpServers": {"other": {"command": "x"}}}')
    before = person.files()
    assert person.begin("--client", "cursor", "--policy", "team", "--no-key").returncode == 0
    assert person.written["policy"]["max_budget_usd"] == 5
    done = person.setup("--undo", "--yes")
    assert done.returncode == 0
    assert person.files()[person.cursor] == before[person.cursor]
    left = person.config.read_text(encoding="utf-8").replace(f'base_url = "{person.home.url}"\n', "")
    assert left == before[person.config].decode()  # the address stays, as all that is no secret
    assert "The access token of the account was removed" in done.stdout
    assert "There is no access token" in person.setup("--undo", "--yes").stdout


def test_without_a_terminal_it_says_what_to_give_for_each_step(person: Person) -> None:
    done = person.setup()
    assert done.returncode == 2
    for option in (
        "--token-stdin",
        "--client NAME or --no-clients",
        "--policy personal|team",
        "--key NAME or --no-key",
    ):
        assert option in done.stderr
    done = person.begin("--yes", "--key", "blog")
    assert done.returncode == 2
    assert "Give --budget USD and --lifetime WORDS for that key." in done.stderr
    assert person.setup("--undo").returncode == 2
    assert (person.files(), person.home.sandbox.requests) == ({}, [])


def test_yes_takes_the_usual_answers(person: Person) -> None:
    person.cursor.parent.mkdir()
    assert person.begin("--yes").returncode == 0
    assert person.written["policy"] == POLICIES["personal"]["policy"]
    assert "cometapi" in json.loads(person.cursor.read_text(encoding="utf-8"))["mcpServers"]
    assert person.home.sandbox.keys == []


def test_yes_leaves_a_policy_of_ones_own_as_it_is(person: Person) -> None:
    person.config.parent.mkdir(parents=True)
    person.config.write_text("[policy]\nmax_keys_per_hour = 4\n")
    assert person.begin("--yes").returncode == 0
    assert person.written["policy"] == {"max_keys_per_hour": 4}


def test_every_step_can_be_left_out(person: Person) -> None:
    person.cursor.parent.mkdir()
    assert person.begin("--no-clients", "--policy", "none", "--no-key").returncode == 0
    assert person.written.keys() == {"access_token", "base_url"}
    assert not person.cursor.exists()


def test_a_token_that_is_refused_ends_it_before_anything_else_is_done(person: Person) -> None:
    options = ("--token-stdin", "--base-url", person.home.url, "--client", "cursor", "--policy", "team", *KEY)
    done = person.setup(*options, stdin="made-up-token-of-nobody")
    assert done.returncode == 1
    assert "does not accept this access token" in done.stderr
    assert person.files() == {}


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_to_begin_with_is_right_and_said_in_words(name: Any, person: Person) -> None:
    settings = understood({}, POLICIES[name])
    assert (settings.mistakes, settings.policy.problems) == ((), ())
    said = words(name)
    assert said
    done = person.begin("--no-clients", "--policy", name, "--no-key")
    assert all(line in done.stdout for line in said)
    assert person.written.items() >= POLICIES[name].items()


def test_another_policy_takes_the_place_of_the_one_before_and_lines_of_ones_own_stay(person: Person) -> None:
    assert person.begin("--no-clients", "--policy", "team", "--no-key").returncode == 0
    assert person.setup("--no-clients", "--policy", "read-only", "--no-key").returncode == 0
    assert person.written.keys() == {"access_token", "base_url", "mcp"}
    assert person.written["mcp"] == {"read_only": True}
    person.config.write_text(person.config.read_text() + "\n[policy]\nmax_budget_usd = 3\n")
    done = person.setup("--no-clients", "--policy", "personal", "--no-key")
    assert "Lines of your own stay as they are: policy.max_budget_usd." in done.stdout
    assert person.written["policy"]["max_budget_usd"] == 3
    assert person.written["policy"]["require_expiry"] is True


def test_a_first_key_that_the_policy_does_not_allow_is_not_made(person: Person) -> None:
    done = person.begin("--no-clients", "--policy", "personal", "--key", "blog", "--budget", "30", "--lifetime", "30d")
    assert done.returncode == 1
    assert "The policy does not allow this key, and nothing was made. max_budget_usd" in done.stderr
    assert person.home.sandbox.keys == []


def test_the_keychain_may_keep_the_token(person: Person, keychain: Memory) -> None:
    assert person.begin("--keychain", "--no-clients", "--policy", "none", *KEY).returncode == 0
    assert list(keychain.entries.values()) == [person.home.sandbox.access_token]
    assert len(person.home.sandbox.keys) == 1
    assert person.setup("--undo", "--yes").returncode == 0
    assert keychain.entries == {}


@pytest.mark.parametrize("options", [("--client", "cursor", "--no-clients"), ("--key", "a", "--no-key")])
def test_answers_that_contradict_each_other_are_wrong_usage(options: tuple[str, ...], person: Person) -> None:
    done = person.begin(*options)
    assert done.returncode == 2
    assert "not both" in done.stderr


def test_a_client_that_is_misspelt_is_told_with_what_was_meant(person: Person) -> None:
    done = person.begin("--client", "cursr", "--policy", "none", "--no-key")
    assert done.returncode == 2
    assert "Did you mean cursor?" in done.stderr
    assert person.files() == {}


if sys.platform != "win32":
    from tests.cli.terminal import in_terminal

    @pytest.mark.long
    def test_in_a_terminal_each_step_is_asked(person: Person) -> None:
        person.cursor.parent.mkdir()
        token = person.home.sandbox.access_token
        status, screen = in_terminal(
            *("setup", "--base-url", person.home.url),
            environment=person.environment,
            answers=[
                ("Log in now?", "y\n"),
                ("Access token: ", f"{token}\n"),
                ("Add the server to which?", "nonsense\n"),
                ("Add the server to which?", "cursor\n"),
                ("Which one", "team\n"),
                ("Make a key now?", "y\n"),
                ("What is it for", "blog\n"),
                ("How many US dollars", "3\n"),
                ("How long shall it live", "soon\n"),
                ("How long shall it live", "\n"),
            ],
        )
        assert status == 0, screen
        assert token not in screen
        assert "'nonsense' is no client that this command knows." in screen
        assert all(line in screen for name in POLICIES for line in words(name))
        assert '"soon" is not understood.' in screen
        assert person.written["policy"]["max_budget_usd"] == 5
        assert [row.remain_quota for row in person.home.sandbox.keys] == [3 * 500_000]


def test_in_a_terminal_each_step_can_be_skipped_and_undone(person: Person) -> None:
    person.cursor.parent.mkdir()
    done = person.typing("n\nnone\nnone\n")
    assert "Log in now?" in done.stdout
    assert person.files() == {}
    assert person.begin("--client", "cursor", "--policy", "personal", "--no-key").returncode == 0
    before = person.files()
    done = person.typing("n\n" * 3, "--undo")
    for question in ("Take the server out of Cursor?", "Remove the lines of the policy", "Remove the access token"):
        assert question in done.stderr
    assert person.files() == before
