from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest
from dotenv import dotenv_values
from hypothesis import given
from pydantic import SecretStr

from comet_mcp.clock import SYSTEM
from comet_mcp.domain.key import mask, with_prefix
from comet_mcp.errors import ArgumentError, StoreError
from comet_mcp.secret_store import KeyStore, Target, directory
from comet_mcp.secret_store.base import NoStore, ResultStore
from comet_mcp.secret_store.dotenv import with_value
from comet_mcp.secret_store.files import FileStore
from comet_mcp.secret_store.keychain import KeychainStore
from comet_mcp.secret_store.names import checked_file, checked_variable, file_name, host_directory
from comet_mcp.secret_store.shells import shell_lines
from tests.any_text import any_text

VALUE = "madeUpKey0123456789" * 2 + "abcdefghij"
KEY = SecretStr(VALUE)
OWN_FILE = Target()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "keys" / "api.example")


def saved(
    store: FileStore, key_id: int = 7, name: str = "blog", key: SecretStr = KEY, target: Target = OWN_FILE
) -> Path:
    path = store.save(key_id, name, key, target).path
    assert path is not None
    return Path(path)


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def names_in(store: FileStore) -> list[str]:
    """The files there are, but for the one that is locked while another is edited."""
    return [path.name for path in store.directory.iterdir() if path.name != ".lock"]


def test_a_key_is_one_dotenv_file_with_its_name_and_id(store: FileStore) -> None:
    path = saved(store)
    assert path == store.directory / "blog-7.env"
    assert path.read_text(encoding="utf-8") == f"# CometAPI key 7, blog\nCOMETAPI_KEY=sk-{VALUE}\n"


def test_a_program_gets_the_key_by_run_first_and_by_the_line_for_a_shell(store: FileStore) -> None:
    own = store.save(7, "blog", KEY, Target())
    assert own.load == "cometapi-mcp run 7 -- PROGRAM"
    assert VALUE[4:-4] not in str(own.shells)
    other = store.save(7, "blog", KEY, Target("blog.env", "BLOG_KEY"))
    assert other.load is None, "run sets COMETAPI_KEY"
    assert all("BLOG_KEY" in line for line in other.shells.values())
    assert store.save(8, "odd", SecretStr('a$b#c"d' * 5), Target()).shells == {}


def test_powershell_reads_the_one_word_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert shell_lines(Path("C:/it's/blog.env"), "BLOG_KEY", f"sk-{VALUE}") == {
        "PowerShell": "$env:BLOG_KEY = [regex]::Match((Get-Content -Raw -LiteralPath 'C:/it''s/blog.env'), "
        "'sk-made[A-Za-z0-9._-]+ghij').Value"
    }


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
        store.save(7, "blog", SecretStr(value), Target())
    assert value not in str(refused.value)
    assert list(store.directory.iterdir()) == []


def test_a_value_with_unusual_characters_is_quoted(store: FileStore) -> None:
    value = 'a$b#c"d' * 5
    assert (
        saved(store, key=SecretStr(value)).read_text(encoding="utf-8").splitlines()[1] == f"COMETAPI_KEY='sk-{value}'"
    )


@given(any_text(max_size=200))
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
        ("http://127.0.0.1:3000/sub", "localhost_3000~sub"),
        ("http://[::1]:3000", "localhost_3000"),
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


HOSTILE_NAMES = [
    *[
        "..",
        ".",
        "../..",
        "../../etc/passwd",
        "/etc/passwd",
        "//server/share",
        "a/b",
        "a\\b",
        "..\\..\\x",
        "C:\\x",
        "C:x",
    ],
    *[
        "\\\\?\\C:\\x",
        "file:stream",
        "x::$DATA",
        "~",
        "~root",
        "$HOME",
        "%TEMP%",
        "`id`",
        "$(id)",
        ";rm -rf /",
        "|",
        "&",
    ],
    *[
        "nul\x00byte",
        "\x00",
        "line\nbreak",
        "\r\n",
        "tab\t",
        "\x1b[31m",
        "\x7f",
        "\u202etxt.exe",
        "\u2028",
        "\ufeff",
        "\u200b",
    ],
    *["CON", "con", "nul", "NUL.txt", "aux", "PRN", "COM1", "com9.log", "LPT1", "COM¹", "conin$", "CLOCK$"],
    *[
        "name.",
        "name...",
        "name ",
        " name",
        "   ",
        "",
        "-",
        "--",
        "-rf",
        "---x---",
        ".env",
        ".bashrc",
        "x.env",
        "x-7.env",
    ],
    *[
        "x" * 200,
        "é" * 200,
        "鍵" * 60,
        "🔑",
        "а",
        "раypal",
        "ｆｕｌｌ",
        "ﬁ",
        "\ud800",
        "İ",
        "ß",
        "\u0301",
        "blog-8",
        "blog 7",
    ],
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_a_hostile_key_name_is_one_plain_file_in_the_key_directory(store: FileStore, name: str, tmp_path: Path) -> None:
    path = saved(store, name=name)
    assert path.parent == store.directory
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert path.name.endswith("-7.env")
    assert len(path.name) < 60
    assert files_below(tmp_path) == [path]
    text = path.read_text(encoding="utf-8")
    assert (text.count("\n"), text.replace("\n", "").isprintable()) == (2, True)
    assert dotenv_values(path, interpolate=False) == {"COMETAPI_KEY": f"sk-{VALUE}"}
    assert store.find(7) == SecretStr(f"sk-{VALUE}")


@pytest.mark.parametrize(
    "names", [("Blög", "blog"), ("a/b", "a b"), ("x" * 41, "x" * 50), ("鍵", "🔑"), ("ＢＬＯＧ", "blog"), ("İ", "i")]
)
def test_two_names_that_become_equal_are_two_files(store: FileStore, names: tuple[str, str]) -> None:
    other = SecretStr("another" * 7)
    assert file_name(names[0]) == file_name(names[1])
    paths = [saved(store, 7, names[0]), saved(store, 8, names[1], other)]
    assert paths[0] != paths[1]
    assert (store.find(7), store.find(8)) == (with_prefix(KEY), with_prefix(other))


@pytest.mark.parametrize(
    ("name", "shown"),
    [("报告", "报告"), ("Nightly 🌙", "Nightly 🌙"), ("a\u202eb\u2028c", r"a\u202eb\u2028c")],
    ids=ascii,
)
def test_the_comment_has_the_name_as_its_owner_wrote_it_but_for_what_does_not_print(
    store: FileStore, name: str, shown: str
) -> None:
    path = saved(store, name=name)
    assert path.read_text(encoding="utf-8").splitlines()[0] == f"# CometAPI key 7, {shown}"
    assert saved(store, name=name) == path
    assert path.name.isascii()


def test_a_name_cannot_pass_for_another_keys_file(store: FileStore) -> None:
    saved(store, 8, "blog-7\n# CometAPI key 7, blog")
    assert store.find(7) is None


def test_a_value_is_found_by_the_keys_id_and_no_other(store: FileStore) -> None:
    assert store.find(7) is None
    saved(store, 17)
    saved(store, 77)
    assert store.find(7) is None
    saved(store, 7, key=SecretStr("another" * 7), target=Target(variable="BLOG_KEY"))
    assert store.find(7) == SecretStr("sk-" + "another" * 7)


def test_a_file_of_the_right_name_that_the_store_did_not_write_is_not_believed(store: FileStore) -> None:
    store.check()
    (store.directory / "blog-7.env").write_text("COMETAPI_KEY=sk-planted\n", encoding="utf-8")
    assert store.find(7) is None


HOSTILE_FILES = [
    *[
        "..",
        ".",
        "../x.env",
        "/etc/passwd",
        "a/b.env",
        "a\\b.env",
        "C:x.env",
        "x.env:stream",
        "x\x00.env",
        "x.env\n",
        "\n",
    ],
    *[
        "con",
        "CON.env",
        "nul.txt",
        "aux.",
        "com1",
        "COM¹.env",
        "lpt9.x",
        "x.env.",
        "x.env ",
        " x.env",
        "-rf",
        "~",
        "$HOME",
    ],
    *[
        "é.env",
        "鍵.env",
        "х.env",
        "ｘ.env",
        "x" * 101,
        "%2e%2e",
        "a b.env",
        "*.env",
        "x;y",
        "\u202ex.env",
        "..env",
        "\ud800",
    ],
]


@pytest.mark.parametrize("file", HOSTILE_FILES, ids=ascii)
def test_a_hostile_file_name_is_refused_with_what_is_allowed_and_nothing_is_written(
    store: FileStore, file: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=r"blog\.env"):
        store.save(7, "blog", KEY, Target(file=file))
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    "file", [".env", ".env.local", "blog.env", "BLOG_1-x.env", "a", "x" * 99, "a..b", "console.env"]
)
def test_a_plain_file_name_is_taken(file: str) -> None:
    assert checked_file(file) == file


HOSTILE_VARIABLES = [
    *[
        "",
        "1KEY",
        "A-B",
        "A B",
        "A=B",
        "KEY\n",
        "KEY\nPATH",
        "KEY\x00",
        "KEY=1\nX",
        "É",
        "К",
        "$KEY",
        "`id`",
        "A" * 101,
        "A;B",
    ],
    *[
        "PATH",
        "Path",
        "LD_PRELOAD",
        "ld_library_path",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PS4",
        "HOME",
    ],
    *[
        "PROMPT_COMMAND",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "PERL5OPT",
        "RUBYOPT",
        "SHELL",
        "COMSPEC",
        "PATHEXT",
    ],
    *["HTTPS_PROXY", "https_proxy", "OPENAI_BASE_URL", "GIT_SSH_COMMAND", "MY_PATH", "LDX", "KEY", "MONKEY"],
    *["COMETAPI_ACCESS_TOKEN", "cometapi_mcp_key", "BLOG_KEY_2"],
]


@pytest.mark.parametrize("variable", HOSTILE_VARIABLES, ids=ascii)
def test_a_hostile_variable_is_refused_and_nothing_is_written(store: FileStore, variable: str, tmp_path: Path) -> None:
    for file in ("", "blog.env"):
        with pytest.raises(ArgumentError, match=r"^variable|variable"):
            store.save(7, "blog", KEY, Target(file, variable))
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("variable", ["COMETAPI_KEY", "blog_key", "_KEY", "A" * 96 + "_KEY", "BLOG_TOKEN"])
def test_a_variable_that_is_named_as_keys_are_is_taken(variable: str) -> None:
    assert checked_variable(variable) == variable


@pytest.mark.parametrize("variable", ["BLOG_SECRET", "OPENAI_BASE_URL", "COMETAPI_ACCESS_TOKEN"])
def test_any_other_variable_is_taken_where_the_operator_lists_it(variable: str) -> None:
    assert checked_variable(variable, ["X", variable]) == variable
    with pytest.raises(ArgumentError, match=r"ends in _KEY or _TOKEN.*COMETAPI_MCP_KEY_VARIABLES"):
        checked_variable(variable, ["X"])


def test_an_existing_dotenv_file_is_edited_in_place_and_keeps_all_else(store: FileStore) -> None:
    store.check()
    path = store.directory / "blog.env"
    before = b"# my settings\r\n\r\nexport A='1' # one\r\nCOMETAPI_KEY=\r\n  B = \"two\r\nlines\"\r\nbroken line '\r\nC"
    path.write_bytes(before)
    assert saved(store, target=Target("blog.env")) == path
    assert path.read_bytes() == before.replace(b"COMETAPI_KEY=", f"COMETAPI_KEY=sk-{VALUE}".encode())
    saved(store, key=SecretStr("another" * 7), target=Target("blog.env", "OTHER_KEY"))
    assert path.read_bytes().endswith(b"\nC\r\nOTHER_KEY=sk-" + b"another" * 7 + b"\r\n")
    assert names_in(store) == ["blog.env"]


def test_a_new_file_of_a_chosen_name_holds_only_that_line(store: FileStore) -> None:
    path = saved(store, target=Target(".env", "BLOG_KEY"))
    assert path == store.directory / ".env"
    assert path.read_text(encoding="utf-8") == f"BLOG_KEY=sk-{VALUE}\n"
    assert saved(store, target=Target(".env", "BLOG_KEY")) == path
    assert path.read_text(encoding="utf-8") == f"BLOG_KEY=sk-{VALUE}\n"


@pytest.mark.parametrize(
    "line", ["COMETAPI_KEY=mine", "export COMETAPI_KEY='mine'", "COMETAPI_KEY=\nCOMETAPI_KEY=mine"]
)
def test_another_value_of_the_variable_is_never_overwritten(store: FileStore, line: str) -> None:
    store.check()
    path = store.directory / "blog.env"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(StoreError, match="already has another value") as refused:
        store.save(7, "blog", KEY, Target("blog.env"))
    assert "mine" not in str(refused.value)
    assert path.read_text(encoding="utf-8") == line


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x89PNG\r\n\x1a\n", b"ok\n\xc3\x28", "A=1\n".encode("utf-16")])
def test_a_binary_file_is_left_alone(store: FileStore, content: bytes) -> None:
    store.check()
    path = store.directory / "blog.env"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no text file"):
        store.save(7, "blog", KEY, Target("blog.env"))
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", ["A=1\n".encode("utf-16-le"), b"A=1\n\x00\x01"])
def test_a_file_with_a_nul_byte_is_no_text_and_left_alone(store: FileStore, content: bytes) -> None:
    store.check()
    path = store.directory / "blog.env"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no text file"):
        store.save(7, "blog", KEY, Target("blog.env"))
    assert path.read_bytes() == content


def test_a_huge_file_is_left_alone(store: FileStore) -> None:
    store.check()
    (store.directory / "blog.env").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(StoreError):
        store.save(7, "blog", KEY, Target("blog.env"))
    assert (store.directory / "blog.env").stat().st_size == 1024 * 1024 + 1


def test_a_directory_of_the_chosen_name_is_left_alone(store: FileStore) -> None:
    (store.directory / "blog.env").mkdir(parents=True)
    with pytest.raises(StoreError):
        store.save(7, "blog", KEY, Target("blog.env"))
    assert names_in(store) == ["blog.env"]


@pytest.mark.parametrize("other", [ResultStore(), NoStore(), KeychainStore("api.example")])
@pytest.mark.parametrize("target", [Target("blog.env"), Target(variable="BLOG_KEY")])
def test_a_store_without_files_refuses_the_name_of_one(other: KeyStore, target: Target) -> None:
    with pytest.raises(ArgumentError, match='need the store "file"'):
        other.save(7, "blog", KEY, target)


def test_the_store_that_shows_values_is_the_only_one_whose_result_has_one(store: FileStore) -> None:
    assert ResultStore().save(7, "blog", KEY, Target()).value == with_prefix(KEY)
    for other in (store, NoStore()):
        shown = other.save(7, "blog", KEY, Target())
        assert shown.value is None
        assert VALUE not in repr(shown)


class Memory(keyring.backend.KeyringBackend):
    """A keychain that ends with the test; `locked` refuses everything, with the value in its message."""

    priority = 1
    locked = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        self._check("")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check(password)
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check("")
        del self.entries[service, username]

    def _check(self, said: str) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked(f"locked: {said}")


@pytest.fixture
def memory() -> Iterator[Memory]:
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def test_the_keychain_holds_one_entry_for_each_key_of_a_host(memory: Memory) -> None:
    store = KeychainStore("api.example")
    store.check()
    assert memory.entries == {}
    shown = store.save(7, "blog", KEY, Target())
    store.save(8, "blog", SecretStr("another" * 7), Target())
    store.save(7, "renamed", KEY, Target())
    assert memory.entries == {
        ("cometapi-mcp:api.example", "7"): f"sk-{VALUE}",
        ("cometapi-mcp:api.example", "8"): "sk-" + "another" * 7,
    }
    assert (shown.stored_in, shown.value) == ("keyring", None)
    assert VALUE not in repr(shown)
    assert store.find(7) == with_prefix(KEY)
    assert store.find(9) is None
    assert KeychainStore("other.example").find(7) is None


def test_a_locked_keychain_is_told_before_a_key_exists_and_no_value_is_in_the_message(memory: Memory) -> None:
    store = KeychainStore("api.example")
    memory.locked = True
    for work in (store.check, lambda: store.save(7, "blog", KEY, Target()), lambda: store.find(7)):
        with pytest.raises(StoreError, match=r"KeyringLocked.*COMETAPI_MCP_SECRETS=file") as refused:
            work()
        assert VALUE not in str(refused.value)
        assert refused.value.__suppress_context__


def test_a_machine_without_a_keychain_is_told_before_a_key_exists(memory: Memory) -> None:  # noqa: ARG001 - restores
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    with pytest.raises(StoreError, match="NoKeyringError"):
        KeychainStore("api.example").check()


def test_without_the_extra_the_keychain_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(StoreError, match=r"cometapi-mcp\[keyring\]"):
        KeychainStore("api.example").check()


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
            store.save(7, "blog", KEY, Target())
        assert list(elsewhere.iterdir()) == []

    def test_a_link_in_the_place_of_the_file_is_not_followed(store: FileStore, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_text("precious", encoding="utf-8")
        store.check()
        (store.directory / "blog-7.env").symlink_to(target)
        assert saved(store).name == "blog-7-2.env"
        assert target.read_text(encoding="utf-8") == "precious"

    FILES = {
        "new": "",
        "of Windows": "A=1\r\nCOMETAPI_KEY=\r\nB=2\r\n",
        "that no shell can source": "NOTE=it's\nexport COMETAPI_KEY= # mine\nC=`touch ran` $(touch ran); touch ran\n",
        "with the value in it": f'COMETAPI_KEY = "sk-{VALUE}"\n',
        "with a value of the same name before": f"X='COMETAPI_KEY=sk-other'\nCOMETAPI_KEY='sk-{VALUE}'",
    }

    @pytest.mark.parametrize("before", FILES.values(), ids=FILES)
    @pytest.mark.parametrize("shell", [name for name in ("sh", "bash", "dash", "zsh", "ksh", "fish") if which(name)])
    def test_the_line_for_a_shell_reads_the_value_shows_nothing_and_runs_nothing_of_the_file(
        tmp_path: Path, shell: str, before: str
    ) -> None:
        store = FileStore(tmp_path / "it's a dir" / "api.example")
        store.check()
        (store.directory / "blog.env").write_bytes(before.encode())
        line = store.save(7, "blog", KEY, Target("blog.env")).shells["fish" if shell == "fish" else "bash, zsh, sh"]
        assert VALUE not in line
        script = f"{line}\n{sys.executable} -c 'import os; print(os.environ[\"COMETAPI_KEY\"])'"
        done = subprocess.run([shell, "-c", script], capture_output=True, check=True, text=True, cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"sk-{VALUE}\n", "")
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("file", ["blog.env", ".env"])
    def test_a_link_in_the_place_of_a_chosen_file_is_refused_and_not_followed(
        store: FileStore, tmp_path: Path, file: str
    ) -> None:
        target = tmp_path / "target"
        target.write_text("A=1\n", encoding="utf-8")
        store.check()
        (store.directory / file).symlink_to(target)
        with pytest.raises(StoreError):
            store.save(7, "blog", KEY, Target(file))
        assert target.read_text(encoding="utf-8") == "A=1\n"
        assert (store.directory / file).is_symlink()

    def test_a_link_to_nothing_is_not_followed_to_make_a_file_elsewhere(store: FileStore, tmp_path: Path) -> None:
        store.check()
        (store.directory / "blog.env").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError):
            store.save(7, "blog", KEY, Target("blog.env"))
        assert not (tmp_path / "elsewhere").exists()

    def test_a_linked_file_is_not_believed_to_hold_the_keys_value(store: FileStore, tmp_path: Path) -> None:
        store.check()
        target = tmp_path / "target"
        target.write_text("# CometAPI key 7, blog\nCOMETAPI_KEY=sk-planted\n", encoding="utf-8")
        (store.directory / "blog-7.env").symlink_to(target)
        assert store.find(7) is None

    def test_an_edited_file_is_private_afterwards(store: FileStore) -> None:
        store.check()
        path = store.directory / "blog.env"
        path.write_text("A=1\n", encoding="utf-8")
        path.chmod(0o644)
        saved(store, target=Target("blog.env"))
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_disk_that_fails_while_a_file_is_edited_leaves_it_as_it_was(
        store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.check()
        path = store.directory / "blog.env"
        path.write_text("A=1\n", encoding="utf-8")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            for target in (Target("blog.env"), Target()):
                with pytest.raises(StoreError, match="No space left"):
                    store.save(7, "blog", KEY, target)
        assert path.read_text(encoding="utf-8") == "A=1\n"
        assert names_in(store) == ["blog.env"]


# What happens to values when their key is gone.


def test_a_key_that_is_gone_takes_its_own_file_along_and_names_the_others_that_hold_its_value(store: FileStore) -> None:
    own, chosen = saved(store), saved(store, target=Target("blog.env"))
    other = saved(store, 8, "other", SecretStr("sk-" + "b" * 48))
    forgotten = store.forget(7)
    assert (forgotten.removed, forgotten.left) == ([str(own)], [str(chosen)])
    assert f"still in {chosen}: remove the line there." in str(forgotten)
    assert (own.exists(), chosen.exists(), other.exists()) == (False, True, True)


def test_what_somebody_wrote_beside_a_key_in_its_own_file_stays(store: FileStore) -> None:
    own = saved(store)
    own.write_text(own.read_text(encoding="utf-8") + "# mine\nMODEL=gpt-4.1-mini\n", encoding="utf-8")
    assert store.forget(7).removed == [str(own)]
    assert own.read_text(encoding="utf-8") == "# mine\nMODEL=gpt-4.1-mini\n"


def test_a_value_is_not_put_into_the_own_file_of_another_key(store: FileStore) -> None:
    own = saved(store)
    with pytest.raises(StoreError, match="own file of key 7") as refused:
        store.save(8, "other", SecretStr("sk-" + "b" * 48), Target(own.name, "OTHER_KEY"))
    assert refused.value.code == "variable_taken"
    assert saved(store, target=Target(own.name)) == own


@pytest.mark.parametrize("file", [".lock", ".LOCK", ".0123456789abcdef.tmp"])
def test_a_name_that_the_directory_uses_itself_is_no_file_for_a_key(store: FileStore, file: str) -> None:
    with pytest.raises(ArgumentError, match="no plain file name"):
        store.check(Target(file))


def test_a_key_that_is_not_stored_is_forgotten_without_a_word(store: FileStore) -> None:
    assert str(store.forget(7)) == ""
    assert not store.directory.exists()


def test_what_another_process_writes_right_now_stays_although_the_apis_clock_is_hours_ahead(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of files are the machine's."""
    path = saved(store)
    written_now = path.parent / f".{'0' * 16}.tmp"
    written_now.touch()
    monkeypatch.setattr(SYSTEM, "_difference", 7 * 3600.0)
    store.check()
    assert written_now.exists()


# Two who edit a file at the same moment.


def test_who_is_slow_to_edit_a_file_loses_nothing_to_who_waits(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is held up in the middle of its edit, as long as any; the second writes after it."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(text: str, variable: str, value: str) -> str:
        if variable == "FIRST_KEY":
            inside.set()
            assert go_on.wait(30)
        return with_value(text, variable, value)

    monkeypatch.setattr("comet_mcp.secret_store.files.with_value", slow)
    monkeypatch.setattr(directory, "_LOCK_WAIT", 60.0)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(saved, store, target=Target("app.env", "FIRST_KEY"))
        assert inside.wait(30)
        lock = store.directory / ".lock"
        os.utime(lock, (1, 1))  # however old it looks
        second = threads.submit(saved, store, 8, key=SecretStr("another" * 7), target=Target("app.env", "SECOND_KEY"))
        assert not second.done()
        go_on.set()
        path = first.result()
        second.result()
    assert dotenv_values(path) == {"FIRST_KEY": f"sk-{VALUE}", "SECOND_KEY": "sk-" + "another" * 7}


def test_the_lock_of_another_process_is_waited_for_and_ends_with_it(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.check()
    code = (
        "import sys, pathlib; from comet_mcp.secret_store.directory import Directory\n"
        "with Directory.opened(pathlib.Path(sys.argv[1])) as folder, folder.locked():\n"
        "    print('locked', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"locked"
        monkeypatch.setattr(directory, "_LOCK_WAIT", 0.0)
        with pytest.raises(StoreError, match="another program is editing a file in it"):
            saved(store, target=Target("app.env"))
        other.kill()
    monkeypatch.undo()
    assert saved(store, target=Target("app.env")).exists()


def test_a_folder_in_the_place_of_the_lock_is_named(store: FileStore) -> None:
    (store.directory / ".lock").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"\.lock in it is a folder, where a file has to be"):
        saved(store, target=Target("app.env"))


if sys.platform != "win32":

    @pytest.mark.parametrize("to", ["target", "nothing"])
    def test_a_link_in_the_place_of_the_lock_is_named_and_not_followed(
        store: FileStore, tmp_path: Path, to: str
    ) -> None:
        (tmp_path / "target").write_text("precious", encoding="utf-8")
        store.directory.mkdir(parents=True)
        (store.directory / ".lock").symlink_to(tmp_path / to)
        with pytest.raises(StoreError, match=r"\.lock in it is a link, where a file has to be"):
            saved(store, target=Target("app.env"))
        assert (tmp_path / "target").read_text(encoding="utf-8") == "precious"
        assert not (tmp_path / "nothing").exists()
