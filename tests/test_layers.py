"""Which part of the package knows which: AGENTS.md's picture, held against the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "comet_mcp"

# From the ground up: a part imports only what stands before it here.
PARTS = (
    *("errors", "text", "clock", "redaction", "sdk"),
    *("domain", "policy", "concurrency", "threads", "keychain"),
    *("api", "settings", "clients", "commands"),
    *("journal", "secret_store"),
    "services",
    *("audit", "confirmation", "deliveries"),
    *("context", "removal"),
    *("tools", "board"),
    *("prompts", "resources", "pipeline"),
    "server",
    *("transports", "sandbox"),
    "doctor",
    *("cli", "__main__"),
)

# Libraries that one file alone may import, so that what they do has one place.
ALONE = {
    "httpx": {"api/transport.py", "api/connections.py"},
    "httpcore": {"api/connections.py"},
    "sqlite3": {
        "journal/sqlite.py",
        "journal/tables.py",
        "journal/operation_rows.py",
        "journal/migrations.py",
        "journal/faults.py",
        "journal/examination.py",
    },
    "tomllib": {"settings/file.py", "clients/toml_file.py"},  # the latter holds what another library wrote against it
    "tomlkit": {"clients/toml_file.py"},
    "ruamel": {"clients/yaml_file.py"},
    "packaging": {"doctor/program.py"},
    "uvicorn": {"sandbox/server.py", "sandbox/connection.py", "cli/board_server.py"},
    "keyring": {"keychain.py"},
    "nacl": {"secret_store/github.py"},
    "dotenv": {"secret_store/dotenv.py"},
    "filelock": {"secret_store/directory.py", "journal/holders.py"},
    "time": {"clock.py", "sandbox/front.py", "sandbox/sandbox.py"},
}


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file imports when it runs, also inside functions."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "comet_mcp":
            yield from (f"comet_mcp.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def part(name: str) -> int:
    return PARTS.index(name.removesuffix(".py"))


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_a_part_imports_only_what_stands_below_it() -> None:
    upwards = {
        f"{path.relative_to(PACKAGE).as_posix()} imports {name}"
        for path in FILES
        for name in {module.split(".")[1] for module in imports(path) if module.startswith("comet_mcp.")}
        if name != "__version__" and part(name) > part(path.relative_to(PACKAGE).parts[0])
    }
    assert not upwards


@pytest.mark.parametrize("library", ALONE)
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(module.split(".")[0] == library for module in imports(path))
    }
    assert users == ALONE[library]


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "os.getenv", "getenv("))
    }
    assert readers == {
        "settings/loading.py",
        "transports/recording.py",  # what a recording holds for, as a digest
        "cli/beginning.py",
        "cli/demo.py",
        "cli/doctor.py",
        "cli/install.py",
    }  # a program that is started gets an environment


@pytest.mark.parametrize("library", ["click", "rich"])
def test_what_only_commands_need_is_imported_by_them_alone(library: str) -> None:
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in FILES
        if any(module.split(".")[0] == library for module in imports(path))
    }
    assert users == {"cli"}


def test_a_server_that_starts_loads_no_command() -> None:
    script = (  # a server ends without the interpreter's own end
        "import os, sys\n"
        "from comet_mcp.__main__ import main\n"
        "leave = os._exit\n"
        "def say(status):\n"
        "    names = [name for name in sys.modules if name.startswith(('comet_mcp.cli.', 'rich'))]\n"
        "    print(names, file=sys.__stderr__, flush=True)\n"
        "    leave(status)\n"
        "os._exit = say\n"
        "main(['--profile', 'nobody'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines()[-1] == "['comet_mcp.cli.beginning']"


@pytest.mark.parametrize(
    ("module", "far"),
    [("root", ["pydantic", "anyio", "mcp", "rich"]), ("run", ["mcp", "mcp_types", "httpx", "rich"])],
    ids=["the help", "run"],
)
def test_what_starts_often_loads_little(module: str, far: list[str]) -> None:
    script = f"import sys, comet_mcp.cli.{module}; print([name for name in {far} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
