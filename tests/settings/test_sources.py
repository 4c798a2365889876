"""Where each setting is from, and which config files were looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from comet_mcp.settings import SETTINGS, load
from comet_mcp.text import quoted

TOKEN = "made-up-access-token"


def test_each_setting_tells_where_it_is_from(config: Path) -> None:
    config.write_text(
        'base_url = "https://a.example"\nuser_id = 4\n[mcp]\ntimeout = 5\n[policy]\nmax_keys_per_day = 3\n',
        encoding="utf-8",
    )
    sources = load(
        {"COMETAPI_ACCESS_TOKEN": TOKEN, "COMETAPI_USER_ID": "5", "COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "3"}
    ).sources
    file = f"the config file {quoted(str(config), 300)}"
    assert sources["COMETAPI_ACCESS_TOKEN"] == "the variable COMETAPI_ACCESS_TOKEN"
    assert sources["COMETAPI_BASE_URL"] == f"base_url at the top of {file}"
    assert sources["COMETAPI_USER_ID"] == "the variable COMETAPI_USER_ID"  # it wins over the file
    assert sources["COMETAPI_MCP_TIMEOUT"] == f"timeout in [mcp] of {file}"
    assert sources["COMETAPI_MCP_POLICY_MAX_KEYS_PER_DAY"] == f"max_keys_per_day in [policy] of {file}"
    assert sources["COMETAPI_MCP_POLICY_MAX_BUDGET_USD"] == "the variable COMETAPI_MCP_POLICY_MAX_BUDGET_USD"
    assert sources["COMETAPI_MCP_STATE"] == "the default"
    assert sources.keys() == {setting.variable for setting in SETTINGS}
    assert TOKEN not in str(sources)


@pytest.mark.parametrize(("text", "state"), [("a = 1", "read"), ("a = ", "can't be read"), (None, "not there")])
def test_the_config_file_that_was_looked_for_is_told_with_what_became_of_it(
    text: str | None, state: str, config: Path
) -> None:
    if text is not None:
        config.write_text(text, encoding="utf-8")
    assert load({}).files == {config: state}


def test_a_config_file_that_is_named_is_the_only_one_read(config: Path, tmp_path: Path) -> None:
    config.write_text(f'access_token = "{TOKEN}"', encoding="utf-8")
    other = tmp_path / "second.toml"
    other.write_text("user_id = 4", encoding="utf-8")
    settings = load({"COMETAPI_MCP_CONFIG": str(other)})
    assert settings.files == {other: "read", config: "not looked for, since COMETAPI_MCP_CONFIG names another"}
    assert settings.sources["COMETAPI_MCP_CONFIG"] == "the variable COMETAPI_MCP_CONFIG"
    assert settings.access_token is None
