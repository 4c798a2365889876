"""What a release is made of, held to what is here: the registry's entry, the container, the workflows."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path
from shutil import which
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from comet_mcp import __version__
from release import ROOT, registry

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe").load(ROOT / ".github" / "workflows" / name)
    return read


def steps(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in of["jobs"].values() for step in job.get("steps", [])]


def instructions(name: str) -> list[str]:
    """What follows each Dockerfile instruction of that name, its lines joined."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)


# the registry's entry


def test_the_registrys_entry_names_what_a_release_has_made(tmp_path: Path) -> None:
    bundle = tmp_path / "cometapi-mcp-1.mcpb"
    bundle.write_bytes(b"a bundle")
    entry = registry.complete(bundle, "ghcr.io/someone/something:1")
    schema = json.loads((ROOT / "tests" / "data" / "server.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(entry, schema)
    pypi, mcpb, oci = entry["packages"]
    assert pypi == SERVER["packages"][0]
    assert mcpb["fileSha256"] == hashlib.sha256(b"a bundle").hexdigest()
    assert mcpb["identifier"].endswith(f"/cometapi-mcp/releases/download/v{__version__}/cometapi-mcp-1.mcpb")
    assert oci["identifier"] == "ghcr.io/someone/something:1"
    mounted = [argument["value"].split(":")[-1] for argument in oci["runtimeArguments"]]
    assert mounted == json.loads(instructions("VOLUME")[0])


# the container


def test_the_container_is_made_of_files_that_are_here_and_that_docker_is_given() -> None:
    given = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"]
    copied = [name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]]
    assert sorted(copied) == sorted(given)
    assert all((ROOT / name).exists() for name in copied)
    built = [*PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], PROJECT["project"]["readme"]]
    assert {*built, *PROJECT["project"]["license-files"], "pyproject.toml"} == set(copied)


def test_the_container_runs_our_command_as_nobody_special_and_says_what_it_is() -> None:
    (entry,) = instructions("ENTRYPOINT")
    assert json.loads(entry) == [*PROJECT["project"]["scripts"]]
    assert instructions("USER") == ["$UID"]
    assert "UID=1000" in instructions("ARG")
    assert f'io.modelcontextprotocol.server.name="{SERVER["name"]}"' in DOCKERFILE
    (base,) = {line.split()[0] for line in instructions("FROM")}
    assert re.fullmatch(r"python:3\.\d+-slim", base)


def test_the_docs_mount_what_the_container_keeps() -> None:
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    (block,) = [found for found in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"docker"' in found]
    words = json.loads(block)["mcpServers"]["cometapi"]["args"]
    mounts = [words[place + 1].split(":")[-1] for place, word in enumerate(words) if word == "-v"]
    assert mounts == json.loads(instructions("VOLUME")[0])


# the workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_named_by_its_commit_or_the_reason_stands_above(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    used = [(lines[place - 1], line) for place, line in enumerate(lines) if "uses: " in line and "uses: ./" not in line]
    assert used
    for before, line in used:
        pinned = re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
        assert pinned or before.strip().startswith("#"), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_modules_and_files_that_its_steps_run_are_here(path: Path) -> None:
    ran = "\n".join(step.get("run", "") for step in steps(workflow(path.name)))
    modules = set(re.findall(r"-m (release\.\w+)", ran))
    assert all((ROOT / f"{module.replace('.', '/')}.py").exists() for module in modules)
    assert "install.py" in ran
    assert (".ci/run" in ran) == (path.stem == "ci")


def test_ci_tests_each_system_with_each_python_that_the_package_names() -> None:
    matrix = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    classifiers = PROJECT["project"]["classifiers"]
    named = [found[1] for entry in classifiers if (found := re.fullmatch(r"Programming .* :: (3\.\d+)", entry))]
    assert matrix["python"] == named
    assert [system.split("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]


def test_nothing_is_published_before_everything_is_built_and_tested() -> None:
    jobs = workflow("release.yml")["jobs"]

    def before(name: str) -> set[str]:
        needs = jobs[name].get("needs", [])
        direct = [needs] if isinstance(needs, str) else needs
        return {*direct, *(earlier for each in direct for earlier in before(each))}

    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    for name in ("container", "pypi", "release", "registry"):
        assert {"ci", "build"} <= before(name), name
    assert "container" in before("pypi")
    assert {"pypi", "container", "release"} <= before("registry")


def test_no_job_may_write_more_than_it_has_to() -> None:
    for name in ("ci.yml", "release.yml"):
        assert workflow(name)["permissions"] == {"contents": "read"}
    writing = {
        job: sorted(right for right, level in content["permissions"].items() if level == "write")
        for job, content in workflow("release.yml")["jobs"].items()
        if "permissions" in content
    }
    assert writing == {
        "build": ["attestations", "id-token"],
        "container": ["packages"],
        "pypi": ["id-token"],
        "release": ["contents"],
        "registry": ["id-token"],
    }


# the source package


def test_the_source_package_has_all_that_its_tests_read() -> None:
    included = [name.lstrip("/") for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]]
    assert all((ROOT / name).exists() for name in included)
    if (ROOT / ".git").exists():  # in an unpacked source package there is nothing else
        listed = subprocess.run(
            [which("git") or "git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        tracked = {name.split("/")[0] for name in listed.splitlines()}
        assert tracked - set(included) == {".gitignore", "pyproject.toml"}
