"""Modules that tests make of a text."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

Loader = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    """Give a function that imports sources as modules `made` and `helpers`, anew each time."""
    numbers = itertools.count()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source: str, helpers: str = "") -> ModuleType:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "made.py").write_text("import cascade as cs\n" + textwrap.dedent(source), encoding="utf-8")
        (folder / "helpers.py").write_text(textwrap.dedent(helpers), encoding="utf-8")
        for name in ("made", "helpers"):
            sys.modules.pop(name, None)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            return importlib.import_module("made")

    yield load
    for name in ("made", "helpers"):
        sys.modules.pop(name, None)
