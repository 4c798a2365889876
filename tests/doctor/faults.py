"""What can be wrong on a person's machine: each fault with what doctor has to say of it, and how it is planted."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keyring
import keyring.backends.fail
import keyring.errors

import comet_mcp
from comet_mcp.audit.chain import hashed
from comet_mcp.clients.start import Start
from comet_mcp.doctor import connection, places, records, start
from comet_mcp.journal import locks
from comet_mcp.journal.operations import State
from comet_mcp.journal.rows import AuditRow
from comet_mcp.journal.writes import AppendAudit
from comet_mcp.settings import file as config_file
from tests.doctor.machine import ELSEWHERE, PASSWORD, TLS, Machine

FAULTS: dict[str, Fault] = {}


@dataclass(frozen=True)
class Fault:
    """The check that finds it, its state, a part of what is said and of the cure."""

    plant: Callable[[Machine], None]
    check: str
    state: str
    says: str
    cure: str
    starts: bool = False


def fault(
    check: str, says: str, cure: str, *, state: str = "problem", starts: bool = False, posix: bool = False
) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def note(plant: Callable[[Machine], None]) -> Callable[[Machine], None]:
        if sys.platform != "win32" or not posix:  # it has no such owners, modes and locks
            FAULTS[plant.__name__] = Fault(plant, check, state, says, cure, starts)
        return plant

    return note


# The program


@fault("python", "3.10.2", "Install Python")
def an_old_python(machine: Machine) -> None:
    machine.patch.setattr("platform.python_version", lambda: "3.10.2")


@fault("packages", "mcp 1.0 is installed", 'pip install "mcp')
def an_old_package(machine: Machine) -> None:
    machine.distribution("mcp", "1.0")


@fault("packages", "made-up-package is not installed", 'pip install "made-up-package>=2"')
def a_missing_package(machine: Machine) -> None:
    machine.distribution("cometapi-mcp", "0.1.0", requires="made-up-package>=2")


@fault("module", "comet-mcp 9.1, another product", "pip uninstall comet-mcp")
def another_product_in_the_same_environment(machine: Machine) -> None:
    here = os.path.relpath(Path(comet_mcp.__file__), machine.home / "site-comet-mcp")
    machine.distribution("comet-mcp", "9.1", record=here)


@fault("module", "not of the installed cometapi-mcp", "PYTHONPATH")
def a_module_of_another_folder(machine: Machine) -> None:
    machine.distribution("cometapi-mcp", "0.1.0")


@fault("module", "stands before this one", "PYTHONPATH")
def another_module_of_that_name_on_the_path(machine: Machine) -> None:
    folder = machine.home / "other"
    (folder / "comet_mcp").mkdir(parents=True)
    (folder / "comet_mcp" / "__init__.py").write_text("")
    machine.patch.syspath_prepend(str(folder))


@fault("command", "another installation", "Remove the one", state="warning")
def another_command_on_path(machine: Machine) -> None:
    name = "cometapi-mcp.exe" if sys.platform == "win32" else "cometapi-mcp"
    machine.environ["PATH"] = f"{machine.program(name, '').parent}{os.pathsep}{machine.environ['PATH']}"


# The settings


@fault("config", "not valid TOML", "quotation marks")
def a_config_file_that_is_no_toml(machine: Machine) -> None:
    machine.write_config(base_url="http://no.quotes")


@fault("config", "there is no such file", "take COMETAPI_MCP_CONFIG out")
def a_named_config_file_that_is_missing(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_CONFIG"] = str(machine.home / "missing.toml")


@fault("config", "can't be read", "chmod 600")
def a_config_file_that_is_no_text(machine: Machine) -> None:
    machine.config.write_bytes(b"\xff\xfe")


@fault("config", "can't be read (PermissionError)", "chmod 600")
def a_config_file_that_may_not_be_read(machine: Machine) -> None:
    def refuse(_: Path) -> str:
        raise PermissionError(13, "made up")

    machine.patch.setattr(config_file, "_text_of", refuse)


@fault("config", "belongs to another user", "chown", posix=True)
def a_config_file_of_another_user(machine: Machine) -> None:
    if sys.platform != "win32":
        mine = os.getuid()
        machine.patch.setattr(os, "getuid", lambda: mine + 1)


@fault("config", "Other users of this machine can read", "chmod 600", state="warning", posix=True)
def a_config_file_that_others_can_read(machine: Machine) -> None:
    machine.config.chmod(0o644)


@fault("settings", "Did you mean timeout?", "Correct the name")
def a_misspelt_setting_in_the_file(machine: Machine) -> None:
    machine.rest += "timeuot = 5\n"
    machine.write_config()


@fault("settings", "COMETAPI_MCP_READONLY", "Correct the name")
def a_misspelt_variable(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_READONLY"] = "1"


@fault("settings", "COMETAPI_MCP_TIMEOUT must be", "Correct that in the environment")
def a_wrong_value(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_TIMEOUT"] = "99"


@fault("settings", "mcp.timeout in the config file", "config.toml")
def a_wrong_value_in_the_file(machine: Machine) -> None:
    machine.rest += "timeout = 99\n"
    machine.write_config()


@fault("policy", "MAX_BUDGET_USD must be", "Correct that")
def a_policy_that_can_not_be_used(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_POLICY_MAX_BUDGET_USD"] = "lots"


@fault("settings", "has no such profile", "cometapi-mcp login --profile wrok")
def a_profile_that_is_not_there(machine: Machine) -> None:
    machine.environ["COMETAPI_PROFILE"] = "wrok"


@fault("config", "is set and not read: the profile", "Take it out", state="warning")
def a_token_beside_a_profile(machine: Machine) -> None:
    machine.rest += f'[profiles.work]\naccess_token = "{machine.sandbox.access_token}"\n'
    machine.write_config()
    machine.environ |= {"COMETAPI_PROFILE": "work", "COMETAPI_ACCESS_TOKEN": ELSEWHERE}


# The token


@fault("token", "is not set", "console/personal")
def no_token(machine: Machine) -> None:
    machine.write_config(access_token="")


@fault("token", "model", "console/personal")
def a_model_key_in_the_token_s_place(machine: Machine) -> None:
    machine.write_config(access_token=f'"sk-{ELSEWHERE}"')


@fault("token", "quotation marks", "console/personal")
def a_token_in_quotation_marks(machine: Machine) -> None:
    machine.write_config(access_token=f"'\"{ELSEWHERE}\"'")


@fault("token", "Bearer", "console/personal")
def a_token_with_its_scheme(machine: Machine) -> None:
    machine.write_config(access_token=f'"Bearer {ELSEWHERE}"')


@fault("token", "placeholder", "console/personal")
def a_token_that_was_not_filled_in(machine: Machine) -> None:
    machine.write_config(access_token='"<your-access-token>"')


@fault("token", "line break", "console/personal")
def a_token_with_a_line_break(machine: Machine) -> None:
    machine.write_config(access_token=f'"{ELSEWHERE}\\n"')


@fault("account", "does not accept the access token", "console/personal")
def a_token_that_is_not_accepted(machine: Machine) -> None:
    machine.write_config(access_token=f'"{ELSEWHERE}"')


@fault("account", "the API did not say", "Try again in some minutes")
def an_account_that_the_api_refuses_to_tell(machine: Machine) -> None:
    for call in ("account", "list"):
        machine.sandbox.faults.add(call, "refused", times=9)


@fault("account", "the API did not say", "Wait three minutes", state="warning")
def an_account_beyond_the_api_s_limit_of_calls(machine: Machine) -> None:
    for call in ("account", "list"):
        machine.sandbox.faults.add(call, "rate_limit", times=9)


# The way to the API


@fault("api", "it refused", "Nothing listens there")
def an_api_that_is_not_there(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        machine.write_config(base_url=f'"http://127.0.0.1:{taken.getsockname()[1]}"')


@fault("api", "its name was not found", "online")
def an_api_whose_name_is_not_found(machine: Machine) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "made up")

    machine.patch.setattr(socket, "getaddrinfo", refuse)
    machine.write_config(base_url='"https://api.example"')


@fault("api", "nor does the system that looks up names", "name server")
def a_name_server_that_hangs(machine: Machine) -> None:
    machine.patch.setattr(connection, "_WITHIN", 0.2)
    machine.patch.setattr(connection, "_GIVEN_UP_AFTER", 0.3)
    machine.patch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1))
    machine.write_config(base_url='"https://api.example"')


@fault("proxy", "HTTPS_PROXY is set, and is not used", "COMETAPI_MCP_PROXY", state="warning")
def a_proxy_that_is_for_others_alone(machine: Machine) -> None:
    an_api_whose_name_is_not_found(machine)
    machine.environ["HTTPS_PROXY"] = f"http://me:{PASSWORD}@127.0.0.1:9"


@fault("proxy", "does not lead to api.example (it refused)", "COMETAPI_MCP_PROXY")
def a_proxy_that_is_not_there(machine: Machine) -> None:
    machine.write_config(base_url='"https://api.example"')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        machine.environ["COMETAPI_MCP_PROXY"] = f"http://me:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}"


@fault("api", "did not answer in time", "firewall")
def an_api_that_hangs(machine: Machine) -> None:
    machine.patch.setattr(connection, "_WITHIN", 0.5)
    machine.sandbox.faults.add("status", "hang", times=9)


@fault("api", "is HTML", "in a browser")
def a_page_in_the_api_s_place(machine: Machine) -> None:
    machine.sandbox.faults.add("*", "page", times=9)


@fault("api", "answered with an error (500)", "try again in some minutes")
def an_api_with_a_fault(machine: Machine) -> None:
    machine.sandbox.faults.add("*", "status", times=9)


@fault("api", "takes no more calls", "Wait three minutes", state="warning")
def an_api_that_is_called_too_often(machine: Machine) -> None:
    machine.sandbox.faults.add("*", "rate_limit", times=9)


@fault("account", "has no such call (404)", "base_url in the config file")
def another_api(machine: Machine) -> None:
    machine.sandbox.faults.add("*", "status", times=9, value=404)


@fault("api", "/wrong", "is not the API's address")
def a_wrong_path(machine: Machine) -> None:
    machine.write_config(base_url=f'"{machine.url}/wrong"')


@fault("tls", "certificate is not trusted", "COMETAPI_MCP_CA_BUNDLE")
def a_certificate_that_is_not_trusted(machine: Machine) -> None:
    port = machine.stack.enter_context(machine.tls("valid.pem"))
    machine.write_config(base_url=f'"https://127.0.0.1:{port}"')


@fault("tls", "expired", "this machine's date")
def a_certificate_that_has_expired(machine: Machine) -> None:
    port = machine.stack.enter_context(machine.tls("expired.pem"))
    machine.write_config(base_url=f'"https://127.0.0.1:{port}"')
    machine.environ["COMETAPI_MCP_CA_BUNDLE"] = str(TLS / "expired.pem")


@fault("settings", "no file of certificates", "Correct that")
def certificates_that_can_not_be_read(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_CA_BUNDLE"] = str(machine.home / "missing.pem")


# The account


@fault("account", "wants the account's id", "profile page")
def an_account_id_that_is_missing(machine: Machine) -> None:
    machine.write_config(user_id="")


@fault("account", "another account's", "profile page")
def an_account_id_of_another(machine: Machine) -> None:
    machine.write_config(user_id='"77"')


@fault("balance", "Nothing is left", "Add credit", state="warning")
def an_account_with_nothing_left(machine: Machine) -> None:
    machine.sandbox.account.quota = 0


@fault("balance", "-$1.00", "Add credit", state="warning")
def an_account_that_owes(machine: Machine) -> None:
    machine.sandbox.account.quota = -500_000


@fault("clock", "60 minutes behind", "Set this machine's clock", state="warning")
def a_clock_that_is_wrong(machine: Machine) -> None:
    machine.sandbox.clock = lambda: time.time() + 3600


@fault("units", "1000 quota units", "COMETAPI_MCP_UNITS_PER_USD to 1000")
def other_quota_units(machine: Machine) -> None:
    machine.sandbox.settings.quota_per_unit = 1000


# Places


@fault("keys", "is a file", "COMETAPI_MCP_KEY_DIR")
def a_file_in_the_key_directory_s_place(machine: Machine) -> None:
    shutil.rmtree(machine.keys)
    machine.keys.write_text("")


@fault("keys", "is a link", "Remove the link", posix=True)
def a_link_in_the_key_directory_s_place(machine: Machine) -> None:
    moved = machine.home / "moved"
    machine.keys.rename(moved)
    machine.keys.symlink_to(moved, target_is_directory=True)


@fault("keys", "may not write", "chmod u+rwx")
def a_key_directory_that_may_not_be_written(machine: Machine) -> None:
    access = os.access
    machine.patch.setattr(os, "access", lambda path, mode: path != machine.keys and access(path, mode))


@fault("keys", "look into the key directory", "chmod 700", state="warning", posix=True)
def a_key_directory_that_others_may_list(machine: Machine) -> None:
    machine.keys.chmod(0o755)


@fault("keys", "may read the key file", "chmod 600", posix=True)
def a_key_file_that_others_may_read(machine: Machine) -> None:
    (machine.keys / "blog-1.env").chmod(0o644)


@fault("journal", "may read the journal", "chmod 600", state="warning", posix=True)
def a_journal_that_others_may_read(machine: Machine) -> None:
    machine.state.chmod(0o644)


@fault("journal", "is a file, where a directory", "COMETAPI_MCP_STATE")
def a_file_in_the_place_of_the_journal_s_folder(machine: Machine) -> None:
    shutil.rmtree(machine.state.parent)
    machine.state.parent.write_text("")


@fault("disk", "0 MB are free", "Free some space")
def a_full_disk(machine: Machine) -> None:
    machine.disk(1000)


@fault("disk", "50 MB are free", "Free some space", state="warning")
def a_disk_that_is_nearly_full(machine: Machine) -> None:
    machine.disk(50 * 2**20)


def _keychain(machine: Machine, ring: Any) -> None:
    machine.stack.callback(keyring.set_keyring, keyring.get_keyring())
    keyring.set_keyring(ring)
    machine.environ["COMETAPI_MCP_SECRETS"] = "keyring"


@fault("keychain", "refused", "COMETAPI_MCP_SECRETS=file")
def a_keychain_that_refuses(machine: Machine) -> None:
    def refuse(*_: Any) -> None:
        raise keyring.errors.KeyringLocked("made up")

    ring = keyring.backends.fail.Keyring()  # type: ignore[no-untyped-call]
    machine.patch.setattr(type(ring), "get_password", refuse)
    _keychain(machine, ring)


@fault("keychain", "no answer", "Unlock the keychain")
def a_keychain_that_hangs(machine: Machine) -> None:
    ring = keyring.backends.fail.Keyring()  # type: ignore[no-untyped-call]
    machine.patch.setattr(type(ring), "get_password", lambda *_: time.sleep(1))
    machine.patch.setattr(places, "_KEYCHAIN_WITHIN", 0.1)
    _keychain(machine, ring)


@fault("keychain", "needs the extra", "pip install")
def a_keychain_without_its_package(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_SECRETS"] = "keyring"
    machine.patch.setitem(sys.modules, "keyring", None)


@fault("places", "GH_TOKEN is not set", "entry of each client", state="warning")
def a_place_of_github_without_a_token(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_PLACES"] = "github:me/shop/*"


@fault("places", 'install "cometapi-mcp[github]"', "COMETAPI_MCP_PLACES", state="warning")
def a_place_of_github_without_the_package(machine: Machine) -> None:
    machine.environ |= {"COMETAPI_MCP_PLACES": "github:me/shop/*", "GH_TOKEN": "made-up-token-of-github"}
    machine.patch.setitem(sys.modules, "nacl", None)


@fault("places", 'no program "no-such-manager"', "COMETAPI_MCP_PLACES", state="warning")
def a_place_of_a_command_that_is_not_there(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_PLACES"] = "command:no-such-manager put *"


@fault("places", "another program in each folder", "COMETAPI_MCP_PLACES", state="warning")
def a_place_of_a_command_by_a_path_of_this_folder(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_PLACES"] = "command:./put x"


@fault("places", "takes no secret whose name begins with GITHUB_", "COMETAPI_MCP_PLACES", state="warning")
def a_place_that_github_has_not(machine: Machine) -> None:
    machine.environ |= {"COMETAPI_MCP_PLACES": "github:me/shop/GITHUB_X", "GH_TOKEN": "made-up-token-of-github"}


# The journal


@fault("records", "newer cometapi-mcp", "Upgrade this one")
def a_journal_of_a_newer_version(machine: Machine) -> None:
    with sqlite3.connect(machine.state) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


@fault("records", "is damaged", "Move the file away")
def a_damaged_journal(machine: Machine) -> None:
    content = bytearray(machine.state.read_bytes())
    content[4096:12288] = b"\xaa" * 8192
    machine.state.write_bytes(content)


@fault("records", "is no journal", "COMETAPI_MCP_STATE")
def another_file_in_the_journal_s_place(machine: Machine) -> None:
    machine.state.write_text("a diary")


@fault("records", "locked by another program", "close the program")
def a_journal_that_another_program_holds(machine: Machine) -> None:
    machine.patch.setattr(locks, "_PASSES_WITHIN", 0.1)
    code = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(machine.state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    machine.stack.callback(holder.communicate)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"


@fault("audit", "Row 1 was altered", "keep it")
def an_audit_trail_that_was_altered(machine: Machine) -> None:
    machine.journal(AppendAudit(AuditRow(1, "{}", "0" * 64)))


@fault("audit", "then calls get no row", "audit prune")
def an_audit_trail_past_its_limit(machine: Machine) -> None:
    machine.journal(AppendAudit(AuditRow(1, "{}", hashed("0" * 64, 1, "{}"))))
    machine.patch.setattr(records, "MOST_BYTES", 1000)


@fault("operations", 'making a key "blog"', "list the keys", state="warning")
def a_create_in_doubt(machine: Machine) -> None:
    machine.operation()


@fault("operations", "could not be stored", "cometapi-mcp save 7", state="warning")
def a_value_that_was_not_stored(machine: Machine) -> None:
    machine.operation(state=State.UNSTORED, key_id=7, key_created=1)


@fault("operations", "no client was told", "ask to delete it", state="warning")
def a_key_of_which_nobody_was_told(machine: Machine) -> None:
    machine.operation(state=State.STORED, key_id=7, key_created=1)


@fault("operations", "changes key 7", "show key 7", state="warning")
def a_change_that_was_lost(machine: Machine) -> None:
    machine.operation(kind="change", key_id=7)


# The clients


def _server(command: str, **more: Any) -> str:
    return json.dumps({"mcpServers": {"cometapi": {"command": command, **more}}})


def _own(**more: Any) -> str:
    start = Start.of_this({})
    return _server(start.command, args=start.args, **more)


@fault("clients", "No MCP client was found", "install --print", state="warning")
def no_client(machine: Machine) -> None:
    shutil.rmtree(machine.client_file("codex").parent)


@fault("clients", "has this server: Codex", "cometapi-mcp install codex", state="warning")
def no_client_with_this_server(machine: Machine) -> None:
    machine.client_file("codex").write_text("")


@fault("client cursor", "can't be read", "cometapi-mcp install cursor")
def a_client_s_file_that_is_broken(machine: Machine) -> None:
    machine.entry("cursor", "{ half")


@fault("client kimi", "does not read comments", "Take comments out")
def comments_where_a_client_reads_none(machine: Machine) -> None:
    machine.entry("kimi", "// mine\n" + _own())


@fault("client gemini", "does not read trailing commas", "Take trailing commas out")
def a_trailing_comma_where_a_client_reads_none(machine: Machine) -> None:
    machine.entry("gemini", _own()[:-1] + ",}")


@fault("client cursor", "it has no command", "cometapi-mcp install cursor")
def an_entry_without_a_command(machine: Machine) -> None:
    machine.entry("cursor", json.dumps({"mcpServers": {"cometapi": {"url": "http://x"}}}))


@fault("client cursor", "no such program", "cometapi-mcp install cursor")
def an_entry_whose_program_is_gone(machine: Machine) -> None:
    machine.entry("cursor", _server(str(machine.home / "gone" / "cometapi-mcp")))


@fault("client cursor", "another installation", "cometapi-mcp install cursor", state="warning")
def an_entry_of_another_installation(machine: Machine) -> None:
    machine.entry("cursor", _server(str(machine.program("cometapi-mcp", "")), args=[]))
    machine.program("cometapi-mcp.exe", "")


@fault("client codex", "COMETAPI_ACCESS_TOKEN is not set", "config.toml")
def a_token_that_a_client_does_not_pass(machine: Machine) -> None:
    machine.write_config(access_token="")
    machine.environ["COMETAPI_ACCESS_TOKEN"] = machine.sandbox.access_token


@fault("client gemini", "COMETAPI_ACCESS_TOKEN is not set", "config.toml")
def a_token_that_a_client_withholds(machine: Machine) -> None:
    a_token_that_a_client_does_not_pass(machine)
    machine.entry("gemini", _own())


@fault("client codex", "does not pass COMETAPI_PROFILE", "cometapi-mcp install codex", state="warning")
def a_profile_that_a_client_does_not_pass(machine: Machine) -> None:
    a_token_beside_a_profile(machine)


@fault("client codex", "does not pass COMETAPI_MCP_READ_ONLY", "config.toml", state="warning")
def a_guard_that_a_client_does_not_pass(machine: Machine) -> None:
    machine.environ["COMETAPI_MCP_READ_ONLY"] = "1"


@fault("client claude-code", "COMETAPI_MCP_TIMEOUT must be", "Correct that in the entry")
def a_wrong_value_in_an_entry(machine: Machine) -> None:
    machine.entry("claude-code", _own(env={"COMETAPI_MCP_TIMEOUT": "99"}))


@fault("client cursor", "it ended, and said: made-up trouble", "in a terminal", starts=True)
def an_entry_that_ends_at_once(machine: Machine) -> None:
    machine.client_file("codex").unlink()
    code = "import sys; print('made-up trouble', file=sys.stderr)"
    machine.entry("cursor", _server(sys.executable, args=["-c", code]))


@fault("client cursor", "did not answer within", "in a terminal", starts=True)
def an_entry_that_never_answers(machine: Machine) -> None:
    machine.client_file("codex").unlink()
    machine.patch.setattr(start, "START_WITHIN", 0.5)
    machine.entry("cursor", _server(sys.executable, args=["-c", "import sys; sys.stdin.read()"]))


@fault("client cursor", "starts version 0.0.9, with 0 tools", "upgrade the other", state="warning", starts=True)
def an_entry_of_another_version(machine: Machine) -> None:
    machine.client_file("codex").unlink()
    machine.entry("cursor", _server(sys.executable, args=[str(Path(__file__).parent / "older_server.py")]))
