from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from comet_mcp.errors import StoreError
from comet_mcp.secret_store import FileStore, file_name, host_directory, load_line, mask, with_prefix

VALUE = "madeUpKey0123456789" * 2 + "abcdefghij"
KEY = SecretStr(VALUE)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "keys" / "api.example")


def saved(store: FileStore, key_id: int = 7, name: str = "blog", key: SecretStr = KEY) -> Path:
    path = store.save(key_id, name, key).path
    assert path is not None
    return Path(path)


def test_a_key_is_one_dotenv_file_with_its_name_and_id(store: FileStore) -> None:
    path = saved(store)
    assert path == store.directory / "blog-7.env"
    assert path.read_text(encoding="utf-8") == f"# CometAPI key 7, blog\nCOMETAPI_KEY=sk-{VALUE}\n"


def test_saving_the_same_key_again_is_the_same_file(store: FileStore) -> None:
    assert saved(store) == saved(store)
    assert [path.name for path in store.directory.iterdir()] == ["blog-7.env"]


def test_the_file_of_another_key_is_never_overwritten(store: FileStore) -> None:
    first, second = saved(store), saved(store, key=SecretStr("another" * 7))
    assert (first.name, second.name) == ("blog-7.env", "blog-7-2.env")
    assert VALUE in first.read_text(encoding="utf-8")


def test_checking_leaves_nothing_behind(store: FileStore) -> None:
    store.check()
    assert list(store.directory.iterdir()) == []


def test_a_file_in_the_place_of_the_directory_is_told_before_a_key_exists(store: FileStore) -> None:
    store.directory.parent.mkdir()
    store.directory.write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="COMETAPI_MCP_KEY_DIR"):
        store.check()
    assert store.directory.read_text(encoding="utf-8") == "in the way"


@pytest.mark.parametrize("value", ["two\nlines", "a'b c", "tab\t", "é" * 20, "back\\slash"])
def test_a_value_that_a_dotenv_file_cannot_hold_is_refused_and_nothing_is_written(store: FileStore, value: str) -> None:
    store.check()
    with pytest.raises(StoreError) as refused:
        store.save(7, "blog", SecretStr(value))
    assert value not in str(refused.value)
    assert list(store.directory.iterdir()) == []


def test_a_value_with_unusual_characters_is_quoted(store: FileStore) -> None:
    value = 'a$b#c"d' * 5
    assert (
        saved(store, key=SecretStr(value)).read_text(encoding="utf-8").splitlines()[1] == f"COMETAPI_KEY='sk-{value}'"
    )


@given(st.text(max_size=200))
def test_any_name_makes_a_file_name_that_every_system_takes(name: str) -> None:
    stem = file_name(name)
    assert 1 <= len(stem) <= 40
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not stem.startswith("-")
    assert not stem.endswith("-")


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("https://api.cometapi.com", "api.cometapi.com"),
        ("http://127.0.0.1:3000/sub", "127.0.0.1_3000"),
        ("http://[::1]:3000", "_1_3000"),
        ("https://con", "con_"),
        ("https://aux.example", "aux.example_"),
    ],
)
def test_each_host_has_a_directory_of_its_own(url: str, directory: str) -> None:
    assert host_directory(url) == directory


def test_the_mask_tells_keys_apart_and_gives_nothing_away() -> None:
    assert mask(KEY) == mask(with_prefix(KEY)) == "sk-made***ghij"
    assert mask(SecretStr("gLEC**********DQNw")) == "sk-gLEC***DQNw"
    assert mask(SecretStr("short")) == "sk-***"


def test_the_prefix_is_put_in_front_once() -> None:
    assert with_prefix(with_prefix(KEY)).get_secret_value() == f"sk-{VALUE}"


if sys.platform != "win32":

    def test_the_file_is_private_and_its_directory_too_whatever_the_umask(store: FileStore) -> None:
        before = os.umask(0)
        try:
            path = saved(store)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o600
        assert store.directory.stat().st_mode & 0o777 == 0o700

    def test_a_directory_that_others_can_read_is_closed(store: FileStore) -> None:
        store.directory.mkdir(parents=True)
        store.directory.chmod(0o755)
        store.check()
        assert store.directory.stat().st_mode & 0o777 == 0o700

    def test_a_link_in_the_place_of_the_directory_is_not_followed(store: FileStore, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        store.directory.parent.mkdir()
        store.directory.symlink_to(elsewhere)
        with pytest.raises(StoreError):
            store.save(7, "blog", KEY)
        assert list(elsewhere.iterdir()) == []

    def test_a_link_in_the_place_of_the_file_is_not_followed(store: FileStore, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_text("precious", encoding="utf-8")
        store.check()
        (store.directory / "blog-7.env").symlink_to(target)
        assert saved(store).name == "blog-7-2.env"
        assert target.read_text(encoding="utf-8") == "precious"

    def test_the_line_loads_the_key_into_a_shell_also_from_a_path_with_spaces_and_quotes(tmp_path: Path) -> None:
        path = saved(FileStore(tmp_path / "it's a dir" / "api.example"))
        script = f'{load_line(path)}; printf %s "$COMETAPI_KEY"'
        shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, text=True)
        assert shown.stdout == f"sk-{VALUE}"
