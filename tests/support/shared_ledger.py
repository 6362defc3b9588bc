"""The file in which worker processes of any kind note their calls. As a plugin this gives its path: `shared_ledger`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path. A cluster that serves all tests of a process knows it from its start."""
    return tmp_path_factory.mktemp("ledger") / "ledger"
