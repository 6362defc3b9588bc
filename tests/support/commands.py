"""Commands in this process: fixtures that call them, and what they leave behind."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from cascade.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """All words of the error, however the terminal's width broke its lines."""
        return " ".join(self.err.replace("│", " ").split())

    @property
    def helped(self) -> str:
        """All words of the help, likewise."""
        return " ".join(self.out.replace("│", " ").split())


Call = Callable[..., Outcome]
"""Calls a command with its arguments."""
Write = Callable[[str, str], Path]
"""Writes a file of Python, by its name and its text."""


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Caller:
    """Calls something that ends in `SystemExit`, and takes what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, command: Callable[..., object], *args: str, **options: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            command(list(args), **options)
        written = self._capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, _plain(written.out), _plain(written.err))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call an app that `cs.cli` made, as its users do from a shell."""
    caller = Caller(capsys)

    def call(app: typer.Typer, *args: str) -> Outcome:
        return caller(app, *args, prog_name="flow")

    return call


@pytest.fixture
def cascade(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Call the `cascade` command; what it imports is forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    caller = Caller(capsys)

    def cascade(*args: str) -> Outcome:
        return caller(main, *args)

    yield cascade
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file of Python to the current folder, which is an empty one."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import cascade as cs\n\n" + text)
        return path

    return write
