from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def config(home: Path) -> Path:
    """The usual config file, in a folder that is there; the file is not."""
    path = home / ".config" / "cometapi" / "config.toml"
    path.parent.mkdir(parents=True)
    return path
