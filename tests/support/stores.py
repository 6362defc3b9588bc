"""Stores of runs for tests: one of each kind, by its URL, and what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cascade.adapters.state.journal import Durability, Journal
from cascade.adapters.state.recorded import RecordedState
from cascade.adapters.state.sqlite import SqliteJournal
from cascade.adapters.urls import STATE_FORMS, sqlite_path
from cascade.spec.protocols import Codec

SHARED = Path("/dev/shm")  # files that live for a moment, where there is such a place
KINDS = ("sqlite",)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, of each kind in turn."""
    assert request.param == "sqlite"
    return url_in(tmp_path)


def url_in(folder: Path) -> str:
    """Return the URL of a file in a folder."""
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{folder / 'runs.db'}"


def path_of(url: str) -> str:
    """Return the path of the file that a URL names."""
    return sqlite_path(url, "state", STATE_FORMS)


def journal_of(url: str, run_id: str) -> Journal:
    """Return one run's journal in a store; it survives the end of the process."""
    return SqliteJournal(path_of(url), run_id, Durability.ASYNC)


Wrap = Callable[[Journal], Journal]


def recorded(
    url: str, wrap: Wrap | None = None, *, codec: Codec | None = None, keep_rounds: int = 1
) -> Callable[..., RecordedState]:
    """Return what makes the state of a run in a store; `wrap` may put a journal of its own around the store's."""

    def make(run_id: str) -> RecordedState:
        journal = journal_of(url, run_id)
        return RecordedState(
            journal if wrap is None else wrap(journal), run_id, codec=codec, keep_rounds=keep_rounds
        )

    return make


def rows_of(url: str) -> int:
    """Return how many facts a store holds."""
    with closing(sqlite3.connect(path_of(url))) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM facts").fetchone()
    return int(rows)


def size_of(url: str) -> int:
    """Return how many bytes a store takes."""
    return Path(path_of(url)).stat().st_size


def bytes_of(url: str) -> bytes:
    """Return all that a store has written anywhere."""
    path = Path(path_of(url))
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(path.name))
