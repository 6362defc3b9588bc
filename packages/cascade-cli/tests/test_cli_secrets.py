"""Secrets on the command line: from an option, a file, the environment, or typed in."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from time import sleep as wait
from typing import Any

import pytest
from support.commands import Call, Write

import cascade as cs
from cascade.cli import cli


@cs.task
def reveal(token: Any) -> Any:
    return token.reveal()


def workflow() -> cs.LazyResult[Any]:
    return reveal(cs.Secret("api_token"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CASCADE_API_TOKEN", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin\n"))
    return tmp_path


def test_a_secret_may_be_in_a_file(call: Call, folder: Path) -> None:
    """`--NAME-file PATH` reads it from a file, without the end of its last line; `-` is stdin."""
    (folder / "token").write_text("two words \n")
    assert call(cli(workflow), "--api-token-file", "token").out == "two words \n"
    assert call(cli(workflow), "--api-token-file", "-").out == "from stdin\n"


def test_a_secret_may_be_in_the_environment(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable `CASCADE_NAME` has it; an option and a file go before it, and it goes before a default."""
    monkeypatch.setenv("CASCADE_API_TOKEN", "from the environment")
    assert call(cli(workflow)).out == "from the environment\n"
    assert call(cli(workflow), "--api-token", "given").out == "given\n"
    assert call(cli(workflow), "--api-token-file", "-").out == "from stdin\n"
    assert call(cli(workflow, params={"api_token": "preset"})).out == "from the environment\n"
    monkeypatch.delenv("CASCADE_API_TOKEN")
    assert call(cli(workflow, params={"api_token": "preset"})).out == "preset\n"


def test_a_secret_that_is_nowhere_is_a_usage_error(call: Call) -> None:
    """Without a terminal to ask at, the error names the ways to give it."""
    outcome = call(cli(workflow))
    assert (outcome.code, outcome.out) == (2, "")
    assert "give --api-token, --api-token-file or the environment variable CASCADE_API_TOKEN" in outcome.told


@pytest.mark.parametrize("name", ["missing", ".", "binary"])
def test_a_file_that_can_not_be_read_is_a_usage_error(call: Call, folder: Path, name: str) -> None:
    """A file of a secret that is not there, or no text, is told by its name."""
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    outcome = call(cli(workflow), "--api-token-file", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"can't read {name}: " in outcome.told


def test_a_secret_of_another_type_is_not_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a secret is told without it."""
    monkeypatch.setenv("CASCADE_PIN", "hunter2")
    outcome = call(cli(lambda: reveal(cs.Secret("pin", type=int))))
    assert outcome.code == 2
    assert "hunter2" not in outcome.err


def test_a_secret_is_typed_in_where_there_is_a_terminal(write: Write) -> None:
    """A secret that is nowhere is asked for, and what is typed does not show."""
    write(
        "vault.py",
        "@cs.task\ndef size(t): return len(t.reveal())\ndef workflow(): return size(cs.Secret('pin'))\n",
    )
    terminal, own = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "CASCADE_PIN"}
    with subprocess.Popen(
        [sys.executable, "-m", "cascade.cli", "run", "vault.py"],
        stdin=own,
        stdout=subprocess.PIPE,
        stderr=own,
        env=environment,
        start_new_session=True,
    ) as command:
        try:
            shown = b""
            while b"pin" not in shown:
                shown += os.read(terminal, 100)
            while termios.tcgetattr(own)[3] & termios.ECHO:  # what is typed before is thrown away
                wait(0.01)
            os.write(terminal, b"hunter2\n")
            out, _ = command.communicate(timeout=60)
        finally:
            command.kill()
    os.close(own)
    os.set_blocking(terminal, False)
    with contextlib.suppress(OSError):  # all is read
        shown += os.read(terminal, 1000)
    assert out == b"7\n"
    os.close(terminal)
    assert b"hunter2" not in shown


def test_help_tells_how_a_secret_is_given(call: Call) -> None:
    """Help names the file and the variable."""
    helped = call(cli(workflow), "--help").helped
    assert "--api-token-file" in helped
    assert "set CASCADE_API_TOKEN" in helped
    assert "[required]" in helped
