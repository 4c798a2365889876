"""The program itself: its Python, its packages, whether its module is its own, and which command a shell starts."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from shutil import which

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import comet_mcp
from comet_mcp import __version__
from comet_mcp.clients.start import DISTRIBUTION, Start, folder_of
from comet_mcp.doctor.findings import Finding
from comet_mcp.text import quoted

_OTHER = "comet-mcp"
"""Another product, whose module has the same name."""


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def check_python() -> Iterator[Finding]:
    """Whether this Python is one that the program runs on."""
    version, package = platform.python_version(), _installed(DISTRIBUTION)
    needed = (package.metadata.json.get("requires_python") if package else None) or ">=3.11"
    if SpecifierSet(needed).contains(version, prereleases=True):
        yield Finding("python", "ok", f"Python {version}, {sys.executable}")
    else:
        yield Finding(
            "python",
            "problem",
            f"Python {version} is not one that cometapi-mcp runs on ({needed}).",
            f"Install Python {needed}, and cometapi-mcp with it.",
        )


def check_packages() -> Iterator[Finding]:
    """Whether each package that the program needs is there, in a version that it works with."""
    package = _installed(DISTRIBUTION)
    if package is None:
        yield Finding(
            "packages",
            "warning",
            f"cometapi-mcp {__version__} runs without being installed, so what it needs is not known.",
            "Install it: python -m pip install FOLDER, with the folder that has its pyproject.toml.",
        )
        return
    wrong = list(_wrong(package))
    for requirement, why in wrong:
        needed = f"{requirement.name}{requirement.specifier}"
        yield Finding(
            "packages",
            "problem",
            f"{requirement.name} {why}; {requirement.specifier} is needed.",
            f'Run: {sys.executable} -m pip install "{needed}"',
        )
    if not wrong:
        yield Finding("packages", "ok", f"cometapi-mcp {package.version} has every package that it needs")


def _wrong(package: Distribution) -> Iterator[tuple[Requirement, str]]:
    """Each requirement that is not met, and how."""
    for requirement in map(Requirement, package.requires or []):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _installed(requirement.name)
        if found is None:
            yield requirement, "is not installed"
        elif not requirement.specifier.contains(found.version, prereleases=True):
            yield requirement, f"{found.version} is installed"


def check_module() -> Iterator[Finding]:
    """Whether the module `comet_mcp` is this distribution's, and no other one stands before it."""
    running, package = Path(comet_mcp.__file__).resolve(), _installed(DISTRIBUTION)
    other = _installed(_OTHER)
    if other is not None and _has(other, running):
        yield Finding(
            "module",
            "problem",
            f"The package {_OTHER} {other.version}, another product, is in the same environment and has a module of "
            "the same name.",
            f"Run: {sys.executable} -m pip uninstall {_OTHER}, then install cometapi-mcp again with --force-reinstall. "
            f"Keep {_OTHER} in an environment of its own.",
        )
        return
    if package is not None and not _has(package, running):
        yield Finding(
            "module",
            "problem",
            f"The module that runs is {quoted(str(running.parent), 300)}, which is not of the installed cometapi-mcp.",
            f"Start {Start.of_this({}).command} from another folder, or take that one out of PYTHONPATH.",
        )
        return
    before = next(_before(running), None)
    if before is not None:
        yield Finding(
            "module",
            "problem",
            f"Another module comet_mcp stands before this one on Python's path, in {quoted(str(before), 300)}.",
            "Take that folder out of PYTHONPATH, or remove the module there if nothing needs it.",
        )
        return
    yield Finding("module", "ok", f"comet_mcp is of cometapi-mcp {__version__}, in {running.parent}")


def _has(package: Distribution, module: Path) -> bool:
    """Whether a distribution brought a module's file: as one of its own, or by the folder that it was installed from.

    Of another product it is enough that it has a file in the module's place, whoever wrote it last.
    """
    if any(Path(str(package.locate_file(file))).resolve() == module for file in package.files or []):
        return True
    folder = editable_folder(package)
    return folder is not None and module.is_relative_to(folder)


def editable_folder(package: Distribution) -> Path | None:
    """The folder that a distribution is used from as it stands there; None where it was copied."""
    import json  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415
    from urllib.request import url2pathname  # noqa: PLC0415

    direct = json.loads(package.read_text("direct_url.json") or "{}")
    if not direct.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(direct["url"]).path)).resolve()


def _before(running: Path) -> Iterator[Path]:
    """The folders before the one of the running module, on Python's path, that have a module of its name too."""
    for entry in sys.path:
        for candidate in (Path(entry or ".") / "comet_mcp" / "__init__.py", Path(entry or ".") / "comet_mcp.py"):
            if candidate.is_file():
                if candidate.resolve() == running:
                    return
                yield candidate.parent


def check_command(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the command that a shell finds is of this installation."""
    found, own = which(DISTRIBUTION, path=environ.get("PATH", "")), Start.of_this(environ)
    if found is None:
        yield Finding("command", "ok", f"{DISTRIBUTION} is not on PATH; clients start it as {own.command}")
    elif folder_of(found) == folder_of(own.command):
        yield Finding("command", "ok", f"{found} is this installation")
    else:
        yield Finding(
            "command",
            "warning",
            f"{quoted(found, 300)}, which a shell starts, is another installation than this one.",
            f"Remove the one that you do not use, or start this one as {own.command}.",
        )
