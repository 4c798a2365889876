from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Have what all tests share, but in the process that only hands them out: it takes two seconds to import."""
    if config.getoption("dist") == "no" or config.getoption("collectonly"):
        config.pluginmanager.import_plugin("tests.plugin")
