from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from comet_mcp.clock import MACHINE_ZONE
from comet_mcp.errors import SettingsError
from comet_mcp.settings import PUBLIC_API, SETTINGS, Settings, how_to_fix, load, understood
from comet_mcp.text import quoted

TOKEN = "made-up-access-token-1+/="
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PLACEHOLDER = re.findall(r'^access_token = "(.*)"$', README, re.MULTILINE)[0]


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
        (PLACEHOLDER, "placeholder"),
        (f"<{PLACEHOLDER.lower()}>", "placeholder"),
        ("your-access-token", "placeholder"),
        ("$COMETAPI_TOKEN", "placeholder"),
        ("${COMETAPI_TOKEN}", "placeholder"),
        ("$env:COMETAPI_TOKEN", "placeholder"),
        ("$(cat token)", "placeholder"),
        ("%COMETAPI_TOKEN%", "placeholder"),
        ("{{COMETAPI_TOKEN}}", "placeholder"),
        ("${{ secrets.TOKEN }}", "placeholder"),
        ("<your-token>", "placeholder"),
        ("your_token_here", "placeholder"),
    ],
)
def test_a_token_that_cannot_be_right_is_named_with_the_fix_and_never_repeated(pasted: str, said: str) -> None:
    settings = load({"COMETAPI_ACCESS_TOKEN": pasted})
    assert settings.access_token is None
    text = how_to_fix(settings.problems)
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


@pytest.mark.parametrize(
    ("credential", "secrets"),
    [
        ("made-up-name%2B1:", ["made-up-name+1", "made-up-name%2B1", "bWFkZS11cC1uYW1lKzE6"]),
        ("made-up-name%2B1", ["made-up-name+1", "made-up-name%2B1", "bWFkZS11cC1uYW1lKzE6"]),
        ("me:made-up-pass", ["made-up-pass", "made-up-pass", "bWU6bWFkZS11cC1wYXNz"]),
    ],
)
def test_a_proxys_password_or_the_name_in_its_place_is_a_secret(credential: str, secrets: list[str]) -> None:
    settings = loaded(COMETAPI_MCP_PROXY=f"http://{credential}@proxy.example:3128")
    assert settings.known_secrets == [TOKEN, *secrets]


def test_a_token_pasted_among_the_names_of_tools_is_not_repeated() -> None:
    text = problem(COMETAPI_MCP_DISABLE_TOOLS=f"list_models,{TOKEN}")
    assert text.startswith("COMETAPI_MCP_DISABLE_TOOLS has a name that is no tool's in place 2; the tools are ")
    assert TOKEN not in text


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
        ("COMETAPI_MCP_TIMEZONE", "JST+9", "IANA name, such as Asia/Tokyo"),
        ("COMETAPI_MCP_TIMEZONE", "Asia", "IANA name, such as Asia/Tokyo"),
        ("COMETAPI_MCP_TIMEZONE", "/etc/localtime", "IANA name, such as Asia/Tokyo"),
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
    assert quoted(str(path), 300) in text
    assert "not valid TOML" in text
    assert "made-up" not in text


def test_a_config_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    write_config(tmp_path, "").write_bytes(b'access_token = "\xff\xfe"')
    assert "can't be read" in " ".join(load({}).problems)


# Names that nobody would read


STRAY: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"mcp": {"readonly": True}}, {}, '"readonly" in the [mcp] table of the config file is no setting. Did you mean'),
    ({"mcp": {"read-only": True}}, {}, "Did you mean read_only?"),
    ({"mcp": {"keydir": "/x"}}, {}, "Did you mean key_dir?"),
    ({"mcp": {"colour": 1}}, {}, "The settings there are access_token_in, secrets, key_dir, key_variables, env_dirs,"),
    ({"mcp": {"base_url": "https://x.example"}}, {}, "base_url belongs at the top of the config file, above the first"),
    ({"mcp": {"acces_token": "x"}}, {}, "Did you mean access_token, which belongs at the top of the config file"),
    ({"policy": {"read_only": True}}, {}, "read_only belongs in the [mcp] table of the config file, not in [policy]."),
    ({"policy": {"readonly": True}}, {}, "Did you mean read_only, which belongs in the [mcp] table"),
    ({"read_only": True}, {}, "read_only belongs in the [mcp] table of the config file, not at its top."),
    ({"disable_tools": ["delete_api_key"]}, {}, "disable_tools belongs in the [mcp] table"),
    ({"readonly": True}, {}, "Did you mean read_only, which belongs in the [mcp] table"),
    ({"acces_token": "x"}, {}, '"acces_token" at the top of the config file is no setting. Did you mean access_token?'),
    ({"baseurl": "x"}, {}, "Did you mean base_url?"),
    ({"MCP": {"read_only": True}}, {}, '"MCP" in the config file must be a table that is written [mcp].'),
    ({"mpc": {"read_only": True}}, {}, "Did you mean [mcp]?"),
    ({"cometapi-mcp": {"read_only": True}}, {}, "Did you mean [mcp]?"),
    ({"mcp": True}, {}, "must be a table"),
    ({"mcp": [{"read_only": True}]}, {}, "must be a table"),
    ({}, {"COMETAPI_MCP_READONLY": "1"}, '"COMETAPI_MCP_READONLY" is no setting. Did you mean COMETAPI_MCP_READ_ONLY?'),
    ({}, {"cometapi_mcp_read_only": "1"}, "Did you mean COMETAPI_MCP_READ_ONLY?"),
    ({}, {"COMETAPI_MCPREAD_ONLY": "1"}, "Did you mean COMETAPI_MCP_READ_ONLY?"),
    ({}, {"COMETAPI_READ_ONLY": "1"}, "Did you mean COMETAPI_MCP_READ_ONLY?"),
    ({}, {"COMETAPI_CONFIRM": "writes"}, "Did you mean COMETAPI_MCP_CONFIRM?"),
    ({}, {"COMETAPI_MCP_MAX_BUDGET_USD": "5"}, "Did you mean COMETAPI_MCP_POLICY_MAX_BUDGET_USD?"),
    ({}, {"COMETAPI_MCP_BASE_URL": "https://x.example"}, "Did you mean COMETAPI_BASE_URL?"),
    ({"cometapi": {"read_only": True}}, {}, 'read_only belongs in the [mcp] table of the config file; "read_only" in'),
    ({"a": {"b": [{"confirm": "writes"}]}}, {}, '"confirm" in [a.b] is not read.'),
    ({"cometapi": {"mcp": {"key_dir": "/x"}}}, {}, "The table [cometapi.mcp] of the config file is not read."),
    ({"mcp": {"read_only": ""}}, {}, "mcp.read_only in the config file (COMETAPI_MCP_READ_ONLY) is empty. Give it"),
    ({"mcp": {"confirm": ""}}, {}, "mcp.confirm in the config file (COMETAPI_MCP_CONFIRM) is empty."),
    ({"mcp": {"disable_tools": []}}, {}, "is empty. Give it a value, or leave the line out."),
    ({"mcp": {"disable_tools": " , "}}, {}, "names no tool"),
    (
        {"mcp": {"key_dir": "${HOME}/keys"}},
        {},
        "mcp.key_dir in the config file (COMETAPI_MCP_KEY_DIR) holds a placeholder",
    ),
    ({}, {"COMETAPI_BASEURL": "https://x.example"}, "Did you mean COMETAPI_BASE_URL?"),
    ({}, {"COMETAPI_ACCESS_TOKN": "x"}, "Did you mean COMETAPI_ACCESS_TOKEN?"),
    ({}, {"COMETAPI_READONLY": "1"}, "Did you mean COMETAPI_MCP_READ_ONLY?"),
    ({}, {"COMETAPI_BASE_URL": "https://${HOST}/"}, "COMETAPI_BASE_URL holds a placeholder that was not filled in"),
    ({}, {"COMETAPI_MCP_COLOUR": "red"}, '"COMETAPI_MCP_COLOUR" is no setting. docs/settings.md lists the settings.'),
]


@pytest.mark.parametrize(("config", "variables", "said"), STRAY)
def test_a_setting_that_nobody_would_read_is_a_problem_with_the_fix(
    config: dict[str, Any], variables: dict[str, str], said: str
) -> None:
    settings = understood({"COMETAPI_ACCESS_TOKEN": TOKEN, **variables}, config)
    assert len(settings.problems) == 1
    assert said in settings.problems[0]
    place = "the config file" if config else 'the "env" block'
    assert f"correct that in {place}" in how_to_fix(settings.problems)


def test_what_the_official_cli_and_other_programs_keep_in_the_same_places_is_no_problem() -> None:
    config = {
        "api_key": "sk-x",
        "access_token": TOKEN,
        "base_url": PUBLIC_API,
        "default_model": "gpt-4o",
        "output_format": "json",
        "log_level": "debug",
        "profiles": {"work": {"access_token": "x", "timeout": 60}},
        "proxy": {"timeout": 3},
        "models": [{"id": "gpt-4o"}],
    }
    environ = {
        "COMETAPI_KEY": "sk-x",
        "COMETAPI_DEFAULT_MODEL": "gpt-4o",
        "COMETAPI_DASHBOARD_BASE": "https://x.example",
        "COMETAPI_LOG": "debug",
        "COMETAPI_TIMEOUT": "60",
        "COMETAPI_MCP_READONLY": "",
        "MCP_READ_ONLY": "1",
    }
    settings = understood(environ, config)
    assert (settings.problems, settings.policy.problems) == ((), ())


def test_no_two_settings_have_the_same_name_in_the_file() -> None:
    names = [setting.key.rpartition(".")[2] for setting in SETTINGS if setting.key]
    assert len(set(names)) == len(names)


def test_the_zone_of_the_person_is_the_machines_unless_it_is_named() -> None:
    assert loaded().timezone is MACHINE_ZONE
    assert loaded(COMETAPI_MCP_TIMEZONE=" Asia/Tokyo ").timezone == ZoneInfo("Asia/Tokyo")


def test_the_place_of_a_wrong_value_is_where_it_is_to_be_corrected(tmp_path: Path) -> None:
    path = write_config(tmp_path, f'access_token = "{TOKEN}"\n[mcp]\nsecrets = "files"\n')

    def fix(**variables: str) -> str:
        with pytest.raises(SettingsError) as caught:
            load(variables).require_usable()
        return str(caught.value)

    in_file = fix()
    assert f'1. correct that in the config file "{path}"; 2. restart the client.' in in_file
    assert "MCP client's config" not in in_file
    both = fix(COMETAPI_MCP_TIMEOUT="soon")
    assert f'in the config file "{path}" and in the "env" block of this server in the MCP client\'s config; 2.' in both
    assert "config file" not in fix(COMETAPI_MCP_SECRETS="files").split("Ask the person")[1]
    with_token = fix(COMETAPI_ACCESS_TOKEN=PLACEHOLDER)
    assert f'3. correct what else is wrong in the config file "{path}"; 4. restart the client.' in with_token


if sys.platform != "win32":

    @pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True), (0o622, False)])
    def test_a_file_with_the_token_that_others_can_read_is_a_warning_and_no_problem(
        mode: int, warned: bool, tmp_path: Path
    ) -> None:
        path = write_config(tmp_path, f'access_token = "{TOKEN}"\n')
        path.chmod(mode)
        settings = load({})
        assert settings.problems == ()
        assert [f'chmod 600 "{path}"' in warning for warning in settings.warnings] == [True] * warned
        path.write_text("[mcp]\nread_only = true\n", encoding="utf-8")
        assert loaded().warnings == ()


def _without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fails)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


def test_a_user_without_a_home_hears_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _without_a_home(monkeypatch)
    said = problem()
    assert "COMETAPI_MCP_KEY_DIR is not set, and this user has no home directory" in said
    assert "COMETAPI_MCP_STATE is not set" in said
    assert loaded(COMETAPI_MCP_KEY_DIR=str(tmp_path), COMETAPI_MCP_STATE=str(tmp_path / "journal")).problems == ()


@pytest.mark.parametrize("variable", ["COMETAPI_MCP_KEY_DIR", "COMETAPI_MCP_STATE", "COMETAPI_MCP_CONFIG"])
def test_the_home_of_a_user_who_does_not_exist_is_a_problem_and_no_crash(variable: str) -> None:
    assert variable in problem(**{variable: "~nosuchuser-made-up/x"})


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    write_config(tmp_path, f'\ufeffaccess_token = "{TOKEN}"\n')
    assert load({}).problems == ()


def test_a_bundle_that_holds_no_certificates_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "bundle.pem"
    file.write_text("-----BEGIN NONSENSE-----", encoding="utf-8")
    assert "certificates in PEM form" in problem(COMETAPI_MCP_CA_BUNDLE=str(file))
    assert "certificates in PEM form" in problem(COMETAPI_MCP_CA_BUNDLE=str(tmp_path / "missing.pem"))


def test_a_file_that_cannot_be_read_is_the_problem_and_not_the_token_that_may_be_in_it(tmp_path: Path) -> None:
    write_config(tmp_path, "access_token = made-up without quotes")
    (said,) = load({}).problems
    assert "is not valid TOML" in said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"cometapi": {"max_budget_usd": 5}}, 'max_budget_usd belongs in the [policy] table of the config file; "max_'),
        (
            {"cometapi": {"policy": {"max_budget_usd": 5}}},
            "The table [cometapi.policy] of the config file is not read.",
        ),
        (
            {"profiles": [{"max-lifetime": "1d"}]},
            'max_lifetime belongs in the [policy] table of the config file; "max-',
        ),
        ({"policy.max_budget_usd": 5}, '"policy.max_budget_usd" in the config file is a name with a dot in it'),
        ({"max_budget": 5}, '"max_budget" at the top of the config file is no setting. Did you mean max_budget_usd'),
        ({"limits": {"max_keys": 5}}, "max_keys_per_hour belongs in the [policy] table of the config file"),
        ({"policy": {"name_prefix": "{{TEAM}}"}}, "policy.name_prefix in the config file holds a placeholder"),
        ({"policy": {"max_budget_usd": ""}}, "policy.max_budget_usd in the config file must be a number"),
    ],
)
def test_a_rule_that_nobody_would_read_stops_every_writing_call(config: dict[str, Any], said: str) -> None:
    (problem,) = understood({"COMETAPI_ACCESS_TOKEN": TOKEN}, config).policy.problems
    assert problem.startswith(said)


def missing(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ).require_usable()
    return str(caught.value)


def test_who_misses_the_token_hears_which_file_was_looked_for_and_what_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "cometapi" / "config.toml"
    said = missing({"COMETAPI_TOKEN": TOKEN, "COMETAPI_API_KEY": TOKEN, "COMETAPI_KEY": "sk-x"})
    assert f'COMETAPI_ACCESS_TOKEN is not set. There is no config file "{path}".'.replace("\\", "\\\\") in said
    assert 'The variable "COMETAPI_TOKEN" is set, and is not read.' in said
    assert 'The variable "COMETAPI_API_KEY" is set, and is not read.' in said
    assert "holds a key for models, which is no access token" in said
    assert TOKEN not in said
    write_config(tmp_path, f'token = "{TOKEN}"\n[cometapi]\naccess_token = "{TOKEN}"\n')
    said = missing({})
    assert f"The config file {quoted(str(path), 300)} has none." in said
    assert "access_token in [cometapi] of the config file is not read: it belongs at its top" in said
    assert '"token" in the config file is not read.' in said
    assert TOKEN not in said


def test_a_config_file_whose_name_was_not_filled_in_is_told_as_that() -> None:
    (said,) = load({"COMETAPI_MCP_CONFIG": "${workspaceFolder}/cometapi.toml"}).problems
    assert said == "COMETAPI_MCP_CONFIG holds a placeholder that was not filled in."


def test_a_bundle_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    assert "No such file or directory" in problem(COMETAPI_MCP_CA_BUNDLE=str(tmp_path / "missing.pem"))


def test_a_value_is_to_be_corrected_where_it_came_from(tmp_path: Path) -> None:
    path = write_config(tmp_path, f'access_token = "{TOKEN}"\n')
    settings = load({"COMETAPI_BASE_URL": "https://x.example"})
    assert settings.source("COMETAPI_ACCESS_TOKEN") == f"access_token in the config file {quoted(str(path), 300)}"
    assert settings.source("COMETAPI_BASE_URL") == "COMETAPI_BASE_URL"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(f"[mcp]\ntimeout = {'9' * 5000}", "a number that is too large", id="decimal"),
        pytest.param(f"[mcp]\ntimeout = 0x{'f' * 5000}", "a number that is too large", id="hexadecimal"),
        pytest.param(f"[policy]\nmax_keys_total = 0x{'f' * 5000}", "a number that is too large", id="of the policy"),
        pytest.param(f"[others]\nlist = [{{a = [0x{'f' * 5000}]}}]", "a number that is too large", id="of others"),
        pytest.param(f"a = {'[' * 5000}", "is nested too deeply", id="lists"),
        pytest.param(f"mcp.timeout.{'.'.join('a' * 200)} = 1", "is nested too deeply", id="tables"),
        pytest.param("#" * 65_537, "is longer than 65536 characters", id="length"),
    ],
)
def test_a_config_file_with_more_than_can_be_read_is_a_problem_and_the_server_starts(
    text: str, said: str, tmp_path: Path
) -> None:
    write_config(tmp_path, text)
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN})
    assert said in " ".join(settings.problems)
    assert settings.policy.problems


@pytest.mark.parametrize("table", ["mcp", "policy"])
def test_of_very_many_wrong_names_twenty_are_named(table: str, tmp_path: Path) -> None:
    write_config(tmp_path, f"[{table}]\n" + "\n".join(f"wrong{number} = 1" for number in range(3000)))
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN})
    assert len([*settings.problems, *settings.policy.problems]) == 20


@pytest.mark.parametrize("setting", [setting.variable for setting in SETTINGS])
@pytest.mark.parametrize(
    "text", ["9" * 5000, "-" + "9" * 5000, "1e999999999", "0x" + "f" * 5000, "\u0663" * 5000, "nan"]
)
def test_no_number_in_the_environment_ends_the_start(setting: str, text: str) -> None:
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN, setting: text})
    assert all(text not in said for said in [*settings.problems, *settings.policy.problems] if len(text) > 100)


def test_the_folders_of_programs_are_full_paths_with_commas_between_or_a_list_in_the_file(tmp_path: Path) -> None:
    home = str(tmp_path)
    found = understood({"HOME": home, "COMETAPI_MCP_ENV_DIRS": f"{tmp_path / 'a'}, {tmp_path / 'b'},"}, {})
    assert found.env_dirs == (tmp_path / "a", tmp_path / "b")
    assert understood({"HOME": home}, {"mcp": {"env_dirs": [str(tmp_path)]}}).env_dirs == (tmp_path,)
    (said,) = understood({"COMETAPI_ACCESS_TOKEN": "made-up-token", "COMETAPI_MCP_ENV_DIRS": "shop"}, {}).problems
    assert said.startswith("COMETAPI_MCP_ENV_DIRS must be a full path")


def test_places_are_split_where_another_begins_and_a_token_of_github_is_read_only_where_one_is_its() -> None:
    text = "github:me/shop/*,command:put --tags=a,b --to x , command:cat *,"
    environment = {"COMETAPI_MCP_PLACES": text, "GH_TOKEN": "ghp_madeUpToken0123"}
    found = understood(environment, {})
    assert found.places == ("github:me/shop/*", "command:put --tags=a,b --to x", "command:cat *")
    assert "ghp_madeUpToken0123" in found.known_secrets
    assert "ghp_madeUpToken0123" not in str(found)
    in_file = understood({"GH_TOKEN": "ghp_madeUpToken0123"}, {"mcp": {"places": ["command:a", "command:b"]}})
    assert (in_file.places, in_file.github_token) == (("command:a", "command:b"), None)


@pytest.mark.parametrize("text", ["*", "vault:x", "github:", "command: ", "github:*/shop/X", "command:a\nb"])
def test_what_is_no_place_is_a_problem(text: str) -> None:
    (said,) = understood({"COMETAPI_ACCESS_TOKEN": "made-up-token", "COMETAPI_MCP_PLACES": text}, {}).problems
    assert said.startswith("COMETAPI_MCP_PLACES must be places with commas between")
