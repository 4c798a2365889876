"""Several accounts in one config file: no setting of one is ever taken for another's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from comet_mcp.cli.people import trouble
from comet_mcp.server import create_server
from comet_mcp.settings import how_to_fix, load
from comet_mcp.text import quoted

TOP, WORK = "made-up-token-of-the-top", "made-up-token-of-work"
FILE = f"""
access_token = "{TOP}"
base_url = "https://top.example"
user_id = 1

[mcp]
timeout = 5
log = "ERROR"

[policy]
max_budget_usd = 10
max_keys_per_day = 3

[profiles.work]
access_token = "{WORK}"
base_url = "https://work.example/v1"

[profiles.work.mcp]
timeout = 7

[profiles.work.policy]
max_budget_usd = 2

[profiles.empty]
"""


@pytest.fixture(autouse=True)
def _file(config: Path) -> None:
    config.write_text(FILE, encoding="utf-8")


def test_a_profile_has_an_account_of_its_own_and_the_rest_of_the_settings_where_it_says_no_other() -> None:
    settings = load({"COMETAPI_PROFILE": "work"})
    assert settings.problems == ()
    assert settings.access_token is not None
    assert settings.access_token.get_secret_value() == WORK
    assert (settings.base_url, settings.user_id) == ("https://work.example", None)  # the number is the top's account's
    assert (settings.timeout, settings.log) == (7.0, "ERROR")
    assert settings.policy.values == {"max_budget_usd": 2.0, "max_keys_per_day": 3}
    assert settings.profile == "work"


def test_without_one_the_account_is_that_at_the_top() -> None:
    settings = load({})
    assert settings.access_token is not None
    assert settings.access_token.get_secret_value() == TOP
    assert (settings.base_url, settings.user_id, settings.timeout, settings.profile) == (
        *("https://top.example", "1", 5.0),
        "",
    )


def test_the_environments_account_is_not_the_profiles_and_that_is_said() -> None:
    settings = load(
        {"COMETAPI_PROFILE": "work", "COMETAPI_ACCESS_TOKEN": TOP, "COMETAPI_USER_ID": "1", "COMETAPI_MCP_TIMEOUT": "9"}
    )
    assert settings.access_token is not None
    assert settings.access_token.get_secret_value() == WORK
    assert settings.user_id is None
    assert settings.timeout == 9.0  # what is no account's is the environment's first, as ever
    assert {text for text in settings.warnings if "profile" in text} == {
        'COMETAPI_ACCESS_TOKEN is set and not read: the profile "work" is chosen.',
        'COMETAPI_USER_ID is set and not read: the profile "work" is chosen.',
    }
    assert TOP not in " ".join(settings.warnings)


def test_a_profile_without_a_token_takes_no_others(config: Path) -> None:
    settings = load({"COMETAPI_PROFILE": "empty", "COMETAPI_ACCESS_TOKEN": TOP})
    assert settings.access_token is None
    assert settings.base_url == "https://api.cometapi.com"
    assert settings.problems == ('The profile "empty" has no access_token.',)
    assert settings.mistakes == ()
    assert "then run `cometapi-mcp login --profile empty`." in trouble(settings)
    with pytest.raises(Exception, match=r"into \[profiles.empty\] of ") as told:
        settings.require_usable()
    assert str(config) in str(told.value).replace("\\\\", "\\")
    assert "MCP client's config" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrok", 'Did you mean "work"? Those it has: "work", "empty".'),
        ("zzz", 'no such profile. Those it has: "work", "empty".'),
    ],
)
def test_an_unknown_profile_is_refused_with_the_names_there_are(name: str, said: str) -> None:
    settings = load({"COMETAPI_PROFILE": name, "COMETAPI_ACCESS_TOKEN": TOP})
    assert settings.access_token is None
    (problem,) = settings.mistakes
    assert said in problem
    assert 'correct that in the "env" block of this server' in how_to_fix(settings.problems)


def test_a_file_without_profiles_says_how_to_add_one(config: Path) -> None:
    config.write_text("", encoding="utf-8")
    (problem,) = load({"COMETAPI_PROFILE": "work"}).problems
    assert "It has none. cometapi-mcp login --profile work adds it." in problem


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("[profiles.a]\nacces_token = 'x'", '"acces_token" in [profiles.a] of the config file is no setting. Did you'),
        ("[profiles.a]\ntimeout = 3", "timeout belongs in the [profiles.a.mcp] table of the config file, not in"),
        ("[profiles.a.mcp]\ntimeuot = 3", '"timeuot" in the [profiles.a.mcp] table of the config file is no setting.'),
        ("[profiles.a.mcp]\nbase_url = 'x'", "base_url belongs in the [profiles.a] table of the config file, not in"),
        ("[profiles.a.MPC]\ntimeout = 3", 'The table [profiles.a."MPC"] of the config file is not read. Did you mean'),
        ("[profiles.a]\nmcp = 3", '"mcp" in the config file must be a table that is written [profiles.a.mcp].'),
        ("[profiles.a.mcp]\ntimeout = 99", "profiles.a.mcp.timeout in the config file (COMETAPI_MCP_TIMEOUT) must be"),
        ("[profiles.a]\nbase_url = 'x'", "profiles.a.base_url in the config file (COMETAPI_BASE_URL) is not"),
    ],
)
def test_what_is_misspelt_in_a_profile_is_told_as_at_the_top(lines: str, said: str, config: Path) -> None:
    config.write_text(lines, encoding="utf-8")
    assert said in " ".join(load({"COMETAPI_PROFILE": "a"}).problems)
    assert load({}).mistakes == ()  # who chose another account is not stopped by it


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("max_budget = 3", '"max_budget" in the [profiles.a.policy] table of the config file is no setting.'),
        ("max_budget_usd = 'x'", "profiles.a.policy.max_budget_usd in the config file "),
    ],
)
def test_a_rule_of_a_profile_that_is_wrong_lets_nothing_be_written(lines: str, said: str, config: Path) -> None:
    config.write_text(f"[profiles.a.policy]\n{lines}", encoding="utf-8")
    assert said in " ".join(load({"COMETAPI_PROFILE": "a"}).policy.problems)


def test_a_misspelt_variable_is_told() -> None:
    (problem,) = load({"COMETAPI_PROFIL": "work"}).problems
    assert "Did you mean COMETAPI_PROFILE?" in problem


def test_where_a_value_of_a_profile_is_from_is_told(config: Path) -> None:
    settings = load({"COMETAPI_PROFILE": "work"})
    file = f"the config file {quoted(str(config), 300)}"
    assert settings.sources["COMETAPI_ACCESS_TOKEN"] == f"access_token in [profiles.work] of {file}"
    assert settings.sources["COMETAPI_MCP_TIMEOUT"] == f"timeout in [profiles.work.mcp] of {file}"
    assert settings.sources["COMETAPI_MCP_LOG"] == f"log in [mcp] of {file}"
    assert settings.sources["COMETAPI_USER_ID"] == "the default"
    assert settings.source("COMETAPI_BASE_URL") == f"profiles.work.base_url in {file}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_that_others_can_read_is_told_for_a_profiles_token_too(config: Path) -> None:
    config.write_text(f'[profiles.work]\naccess_token = "{WORK}"\n', encoding="utf-8")
    config.chmod(0o644)
    assert "chmod 600" in " ".join(load({}).warnings)
    config.chmod(0o600)
    assert load({}).warnings == ()


def test_a_token_that_only_a_profile_has_is_named_where_none_is_chosen(config: Path) -> None:
    config.write_text(f'[profiles.work]\naccess_token = "{WORK}"\n', encoding="utf-8")
    assert 'The profile "work" has one: COMETAPI_PROFILE=work chooses it.' in load({}).hints


def test_the_servers_instructions_say_which_account_it_serves() -> None:
    said = create_server(load({"COMETAPI_PROFILE": "work"})).instructions or ""
    assert 'The account is the one of the profile "work" at work.example.' in said
    assert "The account is the one at top.example." in (create_server(load({})).instructions or "")
