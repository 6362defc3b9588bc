"""`cascade ui`: what keeps the command from serving a page. What the page does is tested with a browser."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Call

import cascade as cs


@cs.task(version="1")
def give() -> int:
    return 1


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/runs.db"
    cs.run(give(), state=url, run_id="r")
    return url


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path, cascade: Call) -> None:
    """The command says what is wrong before it serves anything, and makes no file."""
    outcome = cascade("ui", f"sqlite:///{tmp_path}/none.db", "--no-open")
    assert outcome.code == 2
    assert "there is no such file" in outcome.told
    assert [*tmp_path.iterdir()] == []


def test_without_the_extra_the_error_names_it(
    store: str, cascade: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Starlette or uvicorn is missing the error says what to install."""
    monkeypatch.setattr("cascade.cli.commands.page.find_spec", lambda name: None)
    outcome = cascade("ui", store, "--no-open")
    assert outcome.code == 2
    assert "pip install 'cascade-cli[ui]'" in outcome.told


def test_a_port_that_is_taken_is_an_error(store: str, cascade: Call) -> None:
    """The error names the port."""
    pytest.importorskip("uvicorn", reason="the extra for the page is not installed")
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        outcome = cascade("ui", store, "--no-open", "--port", str(port))
    assert outcome.code == 2
    assert f"port {port}" in outcome.told


def test_there_is_no_option_to_listen_elsewhere(store: str, cascade: Call) -> None:
    """The page is for this machine: an address to listen on can't be given."""
    helped = cascade("ui", "--help").helped
    assert "--port" in helped
    assert "--no-open" in helped
    assert "--host" not in helped
    assert cascade("ui", store, "--host", "0.0.0.0").code == 2
