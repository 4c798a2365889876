"""`cometapi-mcp login` and `logout`: a token is checked, kept for its owner alone, and shown nowhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import keyring
import pytest

from comet_mcp.sandbox import Sandbox
from comet_mcp.settings import Settings, how_to_fix, kept_token, load
from tests.cli.conftest import Memory
from tests.support import Home, in_process

OTHERS = '# mine\ndefault_model = "gpt-4o" # the official cli\'s\n\n[other]\nlist = [1,\n  2] # odd\n'


class Person:
    """Somebody at a home's command line."""

    def __init__(self, home: Home, bare: dict[str, str]) -> None:
        self.home = home
        self.environment = bare

    def __call__(
        self, command: str, *arguments: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        done = in_process(command, *arguments, environment={**self.environment, **variables}, stdin=stdin)
        assert self.home.sandbox.access_token not in done.stdout + done.stderr
        return done

    def login(self, *arguments: str, token: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        token = token or f"{self.home.sandbox.access_token}\n"
        return self("login", "--base-url", self.home.url, *arguments, stdin=token, **variables)

    def settings(self, profile: str = "") -> Settings:
        with mock.patch.dict(os.environ, self.environment, clear=True):
            return load({**self.environment, "COMETAPI_PROFILE": profile})


@pytest.fixture
def person(home: Home, bare: dict[str, str]) -> Person:
    return Person(home, bare)


def token_of(settings: Settings) -> str:
    assert settings.problems == ()
    assert settings.access_token is not None
    return settings.access_token.get_secret_value()


def test_a_token_from_a_pipe_is_checked_with_one_call_and_kept_for_its_owner_alone(
    person: Person, config: Path
) -> None:
    done = person.login()
    assert (done.returncode, done.stderr) == (0, "")
    host = person.home.url.removeprefix("http://")
    assert f'"sandbox" (number 1) at {host}: $100.00 left.' in done.stdout
    assert str(config) in done.stdout.replace("\\\\", "\\")
    assert [request.call for request in person.home.sandbox.requests] == ["account"]
    assert token_of(person.settings()) == person.home.sandbox.access_token
    assert person.settings().base_url == person.home.url
    if sys.platform != "win32":
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert not list(config.parent.glob("*.before*"))  # a copy would hold a token too


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sk-made0up0model0key\n", "holds a model key (sk-...)"),
        ("Bearer made-up-token\n", 'starts with "Bearer"'),
        ('"made-up-token"\n', "has quotation marks around"),
        (" made-up-token\n", "has a space or line break"),
        ("made-up-token\nmore\n", "has a space or line break"),
        ("made up token\n", "has a space inside"),
        ("made-up-tokén\n", "has a character that no token has"),
        ("$COMETAPI_TOKEN\n", "holds a placeholder"),
        ("your-token-here\n", "holds the placeholder of an example"),
        ("\n", "Give the access token on standard input"),
        ("", "Give the access token on standard input"),
    ],
)
def test_what_is_no_token_is_told_as_what_it_is_and_nothing_is_sent_or_written(
    given: str, said: str, person: Person, config: Path
) -> None:
    done = person("login", "--base-url", person.home.url, stdin=given)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "made" not in done.stderr
    assert (done.stdout, person.home.sandbox.requests, config.exists()) == ("", [], False)


@pytest.mark.long
def test_a_pipe_that_brings_no_text_is_told_as_that(bare: dict[str, str], config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp", "login"],
        input=b"\xff\xfe\x00made-up",
        env={**bare, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"What was given as the access token is no text. Nothing was written." in done.stderr
    assert not config.exists()


def test_a_token_that_the_api_does_not_accept_is_not_kept(person: Person, config: Path) -> None:
    done = person.login(token="made-up-token-of-nobody\n")
    assert done.returncode == 1
    assert "does not accept this access token" in done.stderr
    assert "made-up-token-of-nobody" not in done.stderr
    assert not config.exists()


def test_an_api_that_does_not_answer_keeps_nothing_unless_it_is_not_asked(person: Person, config: Path) -> None:
    address = ("--base-url", "http://127.0.0.1:9")
    done = person("login", *address, stdin=person.home.sandbox.access_token)
    assert done.returncode == 1
    assert "Nothing was written; --no-check keeps the token unchecked." in done.stderr
    assert not config.exists()
    assert person("login", *address, "--no-check", stdin=person.home.sandbox.access_token).returncode == 0
    assert person.settings().base_url == "http://127.0.0.1:9"


def test_a_gateway_that_wants_the_accounts_number_is_told_of_and_then_gets_it(home: Home, bare: dict[str, str]) -> None:
    gateway = Sandbox("gateway", user_header="required")
    with gateway.serve() as url:
        person = Person(Home(home.directory, url, gateway), bare)
        done = person.login()
        assert done.returncode == 1
        assert "Give it as --user-id. Nothing was written." in done.stderr
        done = person.login("--user-id", str(gateway.user_id))
        assert done.returncode == 0, done.stderr
        assert person.settings().user_id == str(gateway.user_id)


def test_the_token_is_no_option(person: Person) -> None:
    done = person("login", "--access-token", "made-up")
    assert done.returncode == 2
    assert "No such option" in done.stderr


@pytest.mark.parametrize("kind", ["LF", "CRLF", "byte order mark", "no line end"])
@pytest.mark.parametrize("options", [(), ("--profile", "work")])
def test_what_else_is_in_the_config_file_stays_as_it_was(
    kind: str, options: tuple[str, ...], person: Person, config: Path
) -> None:
    text = OTHERS.replace("\n", "\r\n") if kind == "CRLF" else OTHERS
    text = "\ufeff" + text if kind == "byte order mark" else text.rstrip() if kind == "no line end" else text
    config.parent.mkdir(parents=True)
    config.write_bytes(text.encode())
    assert person.login(*options).returncode == 0
    assert token_of(person.settings(options[-1] if options else "")) == person.home.sandbox.access_token
    after = config.read_bytes().decode()
    left = [line for line in after.splitlines(keepends=True) if "access_token" not in line and "base_url" not in line]
    left = [line for line in left if "[profiles.work]" not in line]
    assert "".join(left).split() == text.split()
    assert ("\r\n" in after) == (kind == "CRLF")
    assert kind != "CRLF" or "\n" not in after.replace("\r\n", "")
    assert after.startswith("\ufeff") == (kind == "byte order mark")
    assert person("logout", *options).returncode == 0
    assert "access_token" not in config.read_text(encoding="utf-8")


def test_a_second_login_replaces_the_token_and_changes_nothing_else(person: Person, config: Path) -> None:
    assert person.login().returncode == 0
    before = config.read_bytes()
    assert person.login().returncode == 0
    assert config.read_bytes() == before
    old = person.home.sandbox.access_token
    new = person.home.sandbox.renew_access_token()
    assert person("login", stdin=new).returncode == 0  # at the address that is known by now
    assert config.read_bytes() == before.replace(old.encode(), new.encode())


@pytest.mark.parametrize("text", ["half = ", "mcp = 3\n[mcp]", "a = 1\na = 2"])
def test_a_config_file_that_is_none_is_left_alone_and_named(text: str, person: Person, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(text, encoding="utf-8")
    done = person.login()
    assert done.returncode == 1
    assert str(config) in done.stderr
    assert config.read_text(encoding="utf-8") == text


def test_a_config_file_that_is_read_only_is_left_alone_and_named(
    person: Person, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(OTHERS, encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser, whom tests may run as, may write all
    done = person.login()
    assert done.returncode == 1
    assert f"{config} is read-only. Nothing was written." in done.stderr
    assert config.read_text(encoding="utf-8") == OTHERS


if sys.platform != "win32":

    def test_a_config_file_that_is_a_link_stays_one_and_others_lose_the_right_to_read_it(
        person: Person, config: Path
    ) -> None:
        kept = person.home.directory / "dotfiles" / "cometapi.toml"
        kept.parent.mkdir()
        kept.write_text(OTHERS, encoding="utf-8")
        kept.chmod(0o644)
        config.parent.mkdir(parents=True)
        config.symlink_to(kept)
        assert person.login().returncode == 0
        assert config.is_symlink()
        assert person.home.sandbox.access_token in kept.read_text(encoding="utf-8")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_profiles_are_accounts_side_by_side(person: Person) -> None:
    assert person.login("--no-check", token="made-up-token-of-the-top").returncode == 0
    done = person.login("--profile", "work")
    assert "the profile work." in done.stdout
    assert token_of(person.settings()) == "made-up-token-of-the-top"
    assert token_of(person.settings("work")) == person.home.sandbox.access_token
    assert person("logout", "--profile", "work").returncode == 0
    assert token_of(person.settings()) == "made-up-token-of-the-top"
    assert person.settings("work").problems == ('The profile "work" has no access_token.',)


def test_an_account_in_the_environment_is_told_of_for_it_wins(person: Person) -> None:
    done = person.login(COMETAPI_ACCESS_TOKEN="made-up-token-of-the-shell")
    assert done.returncode == 0
    assert "COMETAPI_ACCESS_TOKEN is set in this environment too" in done.stdout
    assert "made-up-token-of-the-shell" not in done.stdout


def test_a_setting_that_is_wrong_is_told_before_anything_is_sent(person: Person, config: Path) -> None:
    for address in ("ftp://api.example", "http://api.example", "https://user:made-up-secret@api.example"):
        done = person("login", "--base-url", address, stdin=person.home.sandbox.access_token)
        assert done.returncode == 1
        assert "base_url" in done.stderr
        assert "made-up-secret" not in done.stderr
    assert not config.exists()


def test_the_keychain_keeps_the_token_where_it_is_chosen_and_the_file_says_so(
    person: Person, config: Path, keychain: Memory
) -> None:
    assert person.login().returncode == 0
    done = person.login("--keychain")
    assert done.returncode == 0, done.stderr
    assert "The token is in the system's keychain" in done.stdout
    assert person.home.sandbox.access_token not in config.read_text(encoding="utf-8")
    assert list(keychain.entries.values()) == [person.home.sandbox.access_token]
    settings = person.settings()
    assert token_of(settings) == person.home.sandbox.access_token
    assert settings.sources["COMETAPI_ACCESS_TOKEN"] == "the system's keychain"
    assert "login --keychain" in settings.source("COMETAPI_ACCESS_TOKEN")
    assert person.login().returncode == 0  # and back into the file
    assert keychain.entries == {}
    assert token_of(person.settings()) == person.home.sandbox.access_token
    assert "access_token_in" not in config.read_text(encoding="utf-8")


def test_the_keychain_keeps_profiles_and_config_files_apart(person: Person, keychain: Memory) -> None:
    other = str(person.home.directory / "other.toml")
    tokens = {}
    for at, (options, variables) in enumerate(
        [((), {}), (("--profile", "work"), {}), ((), {"COMETAPI_MCP_CONFIG": other})]
    ):
        tokens[at] = f"made-up-token-{at}"
        assert person.login("--keychain", "--no-check", *options, token=tokens[at], **variables).returncode == 0
    assert sorted(keychain.entries.values()) == sorted(tokens.values())
    assert token_of(person.settings()) == tokens[0]
    assert token_of(person.settings("work")) == tokens[1]
    assert person("logout").returncode == 0
    assert sorted(keychain.entries.values()) == [tokens[1], tokens[2]]


def test_a_keychain_that_refuses_loses_nothing(person: Person, config: Path, keychain: Memory) -> None:
    assert person.login().returncode == 0
    before = config.read_bytes()
    keychain.refuses = True
    done = person.login("--keychain")
    assert done.returncode == 1
    assert "refused, unlock it (KeyringLocked). Nothing was written; --file needs none." in done.stderr
    assert "made-up-secret-of-the-keychain" not in done.stderr
    assert config.read_bytes() == before
    keychain.refuses = False
    assert person.login("--keychain").returncode == 0
    keychain.refuses = True
    (problem,) = person.settings().problems
    assert problem.endswith("refused, unlock it (KeyringLocked). Run `cometapi-mcp login --keychain`.")
    assert person("logout").returncode == 1
    keychain.entries.clear()
    keychain.refuses = False
    (problem,) = person.settings().problems
    assert problem == "The system's keychain has no access token of this account. Run `cometapi-mcp login --keychain`."
    fix = how_to_fix((problem,))
    assert fix.endswith("Ask the person who runs this server to: 1. run that in a terminal; 2. restart the client.")
    done = person("policy")
    assert "Run `cometapi-mcp login --keychain`." in done.stdout + done.stderr


def test_a_keychain_that_hangs_holds_up_no_start(
    person: Person, keychain: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert person.login("--keychain").returncode == 0
    monkeypatch.setattr(kept_token, "_WITHIN", 0.05)
    answered = threading.Event()
    monkeypatch.setattr(Memory, "get_password", lambda *_: answered.wait())
    (problem,) = person.settings().problems
    assert "has not answered in 0 s; it may be asking for a password on the screen." in problem
    answered.set()
    del keychain


def test_a_start_that_has_no_token_in_the_keychain_does_not_ask_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(keyring, "get_password", asked)
    assert person.settings().missing_token
    assert load({**person.environment, "COMETAPI_ACCESS_TOKEN": "made-up"}).problems == ()
    in_keychain = {"COMETAPI_MCP_ACCESS_TOKEN_IN": "keyring", "COMETAPI_ACCESS_TOKEN": "made-up"}
    assert load({**person.environment, **in_keychain}).problems == ()  # one that is given wins


def test_logout_says_what_stays_and_may_be_repeated(person: Person) -> None:
    assert person.login().returncode == 0
    done = person("logout")
    assert done.returncode == 0
    assert "API keys go on working. Their values stay in " in done.stdout
    assert "the journal in " in done.stdout
    assert "There is no access token" in person("logout").stdout
    assert person.settings().missing_token
    assert person("logout", "--profile", "nobody").returncode == 1


if sys.platform != "win32":
    from tests.cli.terminal import in_terminal

    @pytest.mark.long
    def test_in_a_terminal_it_asks_without_an_echo_and_once_more_after_a_slip(
        person: Person, bare: dict[str, str]
    ) -> None:
        token = person.home.sandbox.access_token
        status, screen = in_terminal(
            *("login", "--base-url", person.home.url),
            environment=bare,
            answers=[("Access token: ", "sk-made-up-model-key\n"), ("Access token: ", f"{token}\n")],
        )
        assert status == 0, screen
        assert "which is no access token" in screen
        assert "$100.00 left." in screen
        assert token not in screen
        assert "sk-made-up-model-key" not in screen
        assert token_of(person.settings()) == token

    @pytest.mark.long
    def test_ctrl_c_at_the_question_leaves_everything_as_it_was(
        person: Person, bare: dict[str, str], config: Path
    ) -> None:
        status, screen = in_terminal(
            "login", "--base-url", person.home.url, environment=bare, answers=[("Access token: ", "\x03")]
        )
        assert (status, "Stopped." in screen, "Traceback" in screen) == (130, True, False)
        assert not config.exists()


def test_an_address_that_was_set_before_is_named_before_a_token_goes_there(person: Person) -> None:
    assert person.login().returncode == 0
    again = person("login", stdin=person.home.sandbox.access_token)
    host = person.home.url.removeprefix("http://")
    assert f"The token goes to {host}, by base_url at the top of the config file" in again.stderr
    assert again.returncode == 0


@pytest.mark.parametrize("command", ["login", "setup"])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(person: Person, command: str) -> None:
    done = person(command, person.home.sandbox.access_token)
    assert (done.returncode, done.stdout) == (2, "")
    assert "make another" in done.stderr
