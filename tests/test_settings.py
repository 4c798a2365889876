from __future__ import annotations

from pathlib import Path

import pytest

from comet_mcp.settings import PUBLIC_API, Settings, how_to_mend, load

TOKEN = "made-up-access-token-1+/="


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))


def write_config(home: Path, text: str) -> Path:
    path = home / ".config" / "cometapi" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(**variables: str) -> Settings:
    return load({"COMETAPI_ACCESS_TOKEN": TOKEN, **variables})


def problem(**variables: str) -> str:
    return " ".join(loaded(**variables).problems)


def test_a_token_is_all_that_is_needed(tmp_path: Path) -> None:
    settings = loaded()
    assert settings.problems == ()
    assert settings.access_token is not None
    assert settings.access_token.get_secret_value() == TOKEN
    assert (settings.base_url, settings.secrets, settings.timeout) == (PUBLIC_API, "file", 15.0)
    assert settings.key_dir == tmp_path / ".config" / "cometapi" / "keys"


def test_the_token_is_in_no_text_form_of_the_settings() -> None:
    assert TOKEN not in repr(loaded())


def test_the_file_of_the_official_cli_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    write_config(tmp_path, f'access_token = "{TOKEN}"\nbase_url = "https://a.example/v1"\ndefault_model = "gpt-4o"\n')
    assert load({}).base_url == "https://a.example"
    assert load({"COMETAPI_BASE_URL": "https://b.example"}).base_url == "https://b.example"
    assert load({}).problems == ()


def test_settings_of_our_own_are_in_a_table_of_their_own(tmp_path: Path) -> None:
    write_config(
        tmp_path, f'access_token = "{TOKEN}"\nuser_id = 42\n[mcp]\nsecrets = "none"\ntimeout = 5\nallow_http = true\n'
    )
    settings = load({"COMETAPI_BASE_URL": "http://gateway.example"})
    assert settings.problems == ()
    assert (settings.user_id, settings.secrets, settings.timeout) == ("42", "none", 5.0)


def test_another_config_file_can_be_named(tmp_path: Path) -> None:
    other = tmp_path / "second.toml"
    other.write_text(f'access_token = "{TOKEN}"', encoding="utf-8")
    assert load({"COMETAPI_MCP_CONFIG": str(other)}).problems == ()
    assert "no such file" in load({"COMETAPI_MCP_CONFIG": str(tmp_path / "missing.toml")}).problems[-1]


def test_an_empty_value_counts_as_absent() -> None:
    assert loaded(COMETAPI_USER_ID="", COMETAPI_BASE_URL="").problems == ()
    assert load({"COMETAPI_ACCESS_TOKEN": ""}).problems == ("COMETAPI_ACCESS_TOKEN is not set.",)


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        (f"Bearer {TOKEN}", "Bearer"),
        (f"bearer {TOKEN}", "Bearer"),
        (f'"{TOKEN}"', "quotation marks"),
        (f"“{TOKEN}”", "quotation marks"),
        (f"{TOKEN}\n", "line break"),
        (f" {TOKEN}", "space"),
        ("made up token", "space inside"),
        (f"{TOKEN}é", "character"),
        (f"{TOKEN}\x00", "character"),
        ("${input:token}", "placeholder"),
    ],
)
def test_a_token_that_cannot_be_right_is_named_with_the_mend_and_never_repeated(pasted: str, said: str) -> None:
    settings = load({"COMETAPI_ACCESS_TOKEN": pasted})
    assert settings.access_token is None
    text = how_to_mend(settings.problems)
    assert said in text
    assert "restart the client" in text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.cometapi.com/v1", "https://api.cometapi.com"),
        ("https://api.cometapi.com/v1/", "https://api.cometapi.com"),
        ("https://api.cometapi.com///", "https://api.cometapi.com"),
        ("https://gw.example:8443/comet/v1", "https://gw.example:8443/comet"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("http://localhost:3000/v1", "http://localhost:3000"),
    ],
)
def test_the_address_loses_its_slash_and_v1(given: str, used: str) -> None:
    assert (loaded(COMETAPI_BASE_URL=given).base_url, problem(COMETAPI_BASE_URL=given)) == (used, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("http://gateway.example", "COMETAPI_MCP_ALLOW_HTTP"),
        ("http://127.0.0.1.example", "COMETAPI_MCP_ALLOW_HTTP"),
        ("api.cometapi.com", "not an http or https address"),
        ("ftp://api.cometapi.com", "not an http or https address"),
        ("https://", "not an http or https address"),
        ("https://api.example:port", "not an address"),
        ("https://api.example/?key=1", "? or #"),
        ("https://user:made-up@api.example", "name or password"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_with_the_right_form(given: str, said: str) -> None:
    text = problem(COMETAPI_BASE_URL=given)
    assert text.startswith("COMETAPI_BASE_URL ")
    assert said in text
    assert "made-up@" not in text


def test_plain_http_elsewhere_is_possible_when_switched_on() -> None:
    settings = loaded(COMETAPI_BASE_URL="http://gateway.example", COMETAPI_MCP_ALLOW_HTTP="1")
    assert (settings.base_url, settings.problems) == ("http://gateway.example", ())


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COMETAPI_USER_ID", "me", "must be the account's number"),
        ("COMETAPI_MCP_SECRETS", "vault", "must be one of file, keyring, result, none"),
        ("COMETAPI_MCP_TIMEOUT", "60", "from 1 to 15"),
        ("COMETAPI_MCP_TIMEOUT", "soon", "from 1 to 15"),
        ("COMETAPI_MCP_TIMEOUT", "nan", "from 1 to 15"),
        ("COMETAPI_MCP_ALLOW_HTTP", "maybe", "must be 1 or 0"),
        ("COMETAPI_MCP_LOG", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("COMETAPI_MCP_KEY_DIR", "keys", "must be a full path"),
        ("COMETAPI_MCP_STATE", "journal", "must be a full path"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(variable: str, value: str, said: str) -> None:
    text = problem(**{variable: value})
    assert text.startswith(variable)
    assert said in text


def test_a_config_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write_config(tmp_path, "access_token = made-up-but-not-quoted")
    text = " ".join(load({}).problems)
    assert str(path) in text
    assert "not valid TOML" in text
    assert "made-up" not in text


def test_a_config_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    write_config(tmp_path, "").write_bytes(b'access_token = "\xff\xfe"')
    assert "can't be read" in " ".join(load({}).problems)
