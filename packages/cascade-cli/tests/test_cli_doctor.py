"""`cascade doctor`: what Cascade stands on, and how a store is."""

from __future__ import annotations

import json
import platform
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.commands import Call
from support.redis_server import RedisProcess

import cascade as cs
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_files import journal_mode
from cascade.cli.commands.doctor import wheels


@cs.task
def give(value: object) -> object:
    return value


@cs.task
def join(*values: object) -> str:
    return "".join(map(str, values))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cs.run(join(*(give(f"{number} " * 500) for number in range(50))), state="sqlite:///runs.db", run_id="one")
    return tmp_path / "runs.db"


def found(outcome: Any) -> dict[str, dict[str, str]]:
    return {each["subject"]: each for each in json.loads(outcome.out)}


def test_a_sound_installation_has_nothing_to_remedy(cascade: Call) -> None:
    """`doctor` tells of Python, the wheels, SQLite and what `durability` means; all is well, so the exit code is 0."""
    outcome = cascade("doctor", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    told = found(outcome)
    assert platform.python_version() in told["python"]["told"]
    assert told["platform"]["told"] == platform.platform()
    for wheel in ("cascade-spec", "cascade-graph", "cascade-engine", "cascade-cli"):
        assert wheel in told["cascade"]["told"]
    library = binding()
    assert f"{'.'.join(map(str, library.version))} of {library.name}" in told["sqlite"]["told"]
    assert told["journal mode"]["told"].startswith(journal_mode(library.version))
    assert {"durability sync", "durability async", "msgspec", "redis"} <= told.keys()
    assert not any(each["remedy"] for each in told.values())


def test_a_sound_store_is_counted(cascade: Call, store: Path) -> None:
    """With `--state` it tells the store's version, journal, integrity and its runs; nothing in it changes."""
    before = store.read_bytes()
    outcome = cascade("doctor", "--state", "sqlite:///runs.db")
    assert (outcome.code, outcome.err) == (0, "")
    for line in (
        "ok store sqlite:///runs.db",
        "ok store version 4 of 4",
        "ok store integrity ok",
        "ok runs 1, 0 driven now, 0 interrupted",
    ):
        assert line in [" ".join(each.split()) for each in outcome.out.splitlines()]
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("sqlite:///missing.db", "there is no such file"),
        ("sqlite:///text.db", "not a database"),
        ("sqlite:///other.db", "is not a store of runs"),
    ],
)
def test_a_store_that_does_not_open_is_wrong(cascade: Call, store: Path, state: str, told: str) -> None:
    """A store that can't be opened is one finding with a remedy, and the exit code is 1; no file is made."""
    store.with_name("text.db").write_text("not a database " * 99)
    sqlite3.connect("other.db").execute("CREATE TABLE t (x)").connection.close()
    before = sorted(store.parent.iterdir())
    outcome = cascade("doctor", "--state", state, "--format", "json")
    assert (outcome.code, outcome.err) == (1, "")
    wrong = [each for each in json.loads(outcome.out) if each["remedy"]]
    assert [each["subject"] for each in wrong] == ["store"]
    assert told in wrong[0]["told"]
    assert sorted(store.parent.iterdir()) == before


@pytest.mark.parametrize("state", ["runs.db", "bogus", "sqlite://", "redis://host/x", "mysql://host"])
def test_a_bad_url_is_a_wrong_option(cascade: Call, store: Path, state: str) -> None:
    """What is not the URL of a store is an error of usage like everywhere else: exit code 2, and no table."""
    outcome = cascade("doctor", "--state", state)
    assert (outcome.code, outcome.out) == (2, "")
    assert "redis://host:6379/0" in outcome.err


def test_a_damaged_store_is_wrong(cascade: Call, store: Path) -> None:
    """A file with a page that was overwritten does not pass the integrity check; a remedy stands below it."""
    content = bytearray(store.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\xff" * 4096
    store.write_bytes(content)
    outcome = cascade("doctor", "--state", "sqlite:///runs.db")
    assert outcome.code == 1
    lines = [" ".join(each.split()) for each in outcome.out.splitlines()]
    (at,) = [number for number, line in enumerate(lines) if line.startswith("WRONG store integrity")]
    assert lines[at + 1].startswith("-> restore the file")


def test_a_damaged_run_is_wrong(cascade: Call, store: Path) -> None:
    """A run whose own data can't be read is named, with what to do; it can be deleted, and then all is well."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE runs SET status = 'dancing'")
        (run_id,) = connection.execute("SELECT run_id FROM runs").fetchone()
    outcome = cascade("doctor", "--state", "sqlite:///runs.db")
    assert outcome.code == 1
    assert f"WRONG run '{run_id}' is damaged" in " ".join(outcome.out.split())
    assert f"cascade runs delete {run_id}" in outcome.out
    assert "damaged" in cascade("runs", "list", "--state", "sqlite:///runs.db").out
    assert cascade("runs", "delete", run_id, "--state", "sqlite:///runs.db", "--yes").code == 0
    assert cascade("doctor", "--state", "sqlite:///runs.db").code == 0


def test_wheels_have_to_agree() -> None:
    """Wheels of one version are well; with others the remedy installs the one that most of them have."""
    names = ("cascade-spec", "cascade-graph", "cascade-engine", "cascade-cli")
    assert not wheels(dict.fromkeys(names, "1.2.0")).remedy
    assert not wheels(dict.fromkeys(names, "")).remedy
    mixed = wheels({**dict.fromkeys(names, "1.2.0"), "cascade-spec": "1.1.0"})
    assert "cascade-spec 1.1.0, cascade-graph 1.2.0" in mixed.told
    assert "pip install cascade-spec==1.2.0 cascade-graph==1.2.0" in mixed.remedy
    assert "cascade-cli==1.2.0" in wheels({**dict.fromkeys(names, "1.2.0"), "cascade-cli": ""}).remedy


@pytest.mark.server
def test_a_server_tells_whether_its_persistence_is_enough(cascade: Call, tmp_path: Path) -> None:
    """A Redis server that keeps nothing on its disk is wrong for `durability="sync"`; one that does is well."""
    for persistent in (False, True):
        folder = tmp_path / str(persistent)
        folder.mkdir()
        with RedisProcess(folder, persistent=persistent) as server:
            cs.run(give(1), state=server.url, run_id="one")
            outcome = cascade("doctor", "--state", server.url, "--format", "json")
            told = found(outcome)
            assert outcome.code == (0 if persistent else 1)
            assert bool(told["store persistence"]["remedy"]) is not persistent
            assert told["runs"]["told"].startswith("1, ")
            assert "one" in cascade("runs", "list", "--state", server.url).out
    outcome = cascade("doctor", "--state", server.url, "--format", "json")
    assert outcome.code == 1
    assert found(outcome)["store"]["remedy"]
