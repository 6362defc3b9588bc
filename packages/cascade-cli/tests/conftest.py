"""Commands write to a terminal of known width, without colours."""

from __future__ import annotations

import pytest
from support.commands import call, cascade, write

__all__ = ["call", "cascade", "write"]  # fixtures of all tests here


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "TERMINAL_WIDTH": "200"}.items():
        monkeypatch.setenv(name, value)
