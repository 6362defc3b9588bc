"""Claims about value stores of recorded runs: what is there, when, who points to it, and what goes with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.stores import clear, is_in_server, recorded, values_of
from support.value_stores import MemoryValues

import cascade as cs
from cascade.adapters.state.recorded.deletion import delete_run, folders_of_values, is_half_deleted
from cascade.adapters.store_urls import catalog_from_url
from cascade.adapters.values import FileValueStore, KeptValues, MissingDriverError, value_store_from_url
from cascade.runtime import Engine
from cascade.spec import MissingExtraError, SpecError, StoreError
from cascade.spec.common import SecretValue
from cascade.spec.errors import CodecError, RunDamagedError, RunNotFoundError, RunValuesError

CALLS: list[str] = []
MANY = 5_000
OVER = 1_000


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.clear()


@cs.task
def load(number: int, size: int = MANY) -> bytes:
    CALLS.append(f"load {number}")
    return bytes([number]) * size


@cs.task
def first(data: bytes, fails: int = 0) -> int:
    CALLS.append("first")
    if CALLS.count("first") <= fails:
        raise OSError("down")
    return data[0]


@cs.task
def loop(n: int, data: bytes) -> Any:
    CALLS.append(f"loop {n}")
    if n == 1 and CALLS.count("loop 1") == 1:
        raise OSError("down")
    return loop(n - 1, load(n)) if n else len(data)


@cs.task
def sent(token: str) -> list[object]:
    return [token * 1000, SecretValue(token)]


def run(url: str, target: Any, values: Any, run_id: str = "r", **more: Any) -> Any:
    return cs.run(target, state=url, run_id=run_id, values=values, values_over=OVER, **more)


def folder_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/values"


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "values").rglob("*") if path.is_file())


# What is there


def test_a_large_value_is_in_the_value_store(every_url: str, tmp_path: Path) -> None:
    """In each kind of store: the value is a file named by the SHA-256 of its bytes; the record has a pointer to it."""
    with pytest.raises(OSError, match="down"):
        run(every_url, first(load(7), 1), folder_url(tmp_path))
    (path,) = files(tmp_path)
    assert path.name.partition("-")[0] == sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size > MANY
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(len(value) < OVER for value in values_of(every_url))
    assert any(sha256(path.read_bytes()).digest() in value for value in values_of(every_url))
    assert run(every_url, first(load(7), 1), folder_url(tmp_path)) == 7
    assert CALLS == ["load 7", "first", "first"]
    assert run(every_url, first(load(7), 1), folder_url(tmp_path)) == 7
    assert CALLS == ["load 7", "first", "first"]


def test_a_small_value_is_in_the_record(url: str, tmp_path: Path) -> None:
    """Values up to the bound make no file."""
    assert run(url, first(load(7, OVER // 2)), folder_url(tmp_path)) == 7
    assert not files(tmp_path)


def test_the_value_of_a_run_may_be_large(url: str, tmp_path: Path) -> None:
    """A run that has ended gives its value again from there."""
    for _ in range(2):
        assert run(url, load(3), folder_url(tmp_path)) == bytes([3]) * MANY
    assert CALLS == ["load 3"]


def test_an_object_may_be_given(url: str) -> None:
    """`values=` takes any object that has the methods of a value store, for an engine too."""
    store = MemoryValues()

    async def main() -> object:
        async with Engine(state=url, values=store, values_over=OVER) as engine:
            return await engine.run(first(load(2)), run_id="r")

    assert asyncio.run(main()) == 2
    assert len(store.kept) == 1


@pytest.mark.server
def test_a_run_in_a_bucket(url: str, s3_url: str) -> None:
    """A real S3 API holds the values of a run that is interrupted, resumed and deleted."""
    with pytest.raises(OSError, match="down"):
        run(url, first(load(7), 1), s3_url)
    assert run(url, first(load(7), 1), s3_url) == 7
    assert CALLS == ["load 7", "first", "first"]
    store = value_store_from_url(s3_url)
    assert len([*store.names("")]) == 1
    with closing(catalog_from_url(url)) as catalog:
        delete_run(catalog, "r", store)
    assert not [*store.names("")]


def test_a_bucket_that_is_not_there_is_an_error(file_url: str) -> None:
    """A run whose bucket can't be written ends with a `StoreError` that names it; its calls can be made again."""

    class Broken(MemoryValues):
        def put(self, name: str, data: bytes, *, safe: bool) -> None:
            raise StoreError("s3://missing", "can't be written")

    with pytest.raises(StoreError, match="s3://missing"):
        run(file_url, first(load(7)), Broken())
    assert run(file_url, first(load(7)), MemoryValues()) == 7


# Settings


def test_a_run_that_has_a_value_store_goes_on_with_one_alone(url: str, tmp_path: Path) -> None:
    """Without `values=` a resumed run is refused by name, before anything runs; begun anew it needs none."""
    with pytest.raises(OSError, match="down"):
        run(url, first(load(7), 1), folder_url(tmp_path))
    with pytest.raises(RunValuesError, match="run 'r' keeps its large values in a value store: give values="):
        cs.run(first(load(7), 1), state=url, run_id="r")
    assert CALLS == ["load 7", "first"]
    CALLS.clear()
    assert cs.run(first(load(7), 0), state=url, run_id="r", restart=True) == 7


def test_a_run_without_a_value_store_may_go_on_with_one(url: str, tmp_path: Path) -> None:
    """What was recorded before is read as it was; what comes then goes to the value store."""
    with pytest.raises(OSError, match="down"):
        cs.run([first(load(7), 1), load(8)], state=url, run_id="r", max_concurrency=1)
    assert run(url, [first(load(7), 1), load(8)], folder_url(tmp_path)) == [7, bytes([8]) * MANY]
    assert CALLS.count("load 7") == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"values": "file:///tmp/x"}, "values without the URL of a store"),
        ({"values_over": 5, "state": "sqlite:///x.db"}, "values_over= without values="),
        ({"values": "file:///tmp/x", "values_over": -1, "state": "sqlite:///x.db"}, "values_over=-1"),
        ({"values": "file:///tmp/x", "values_over": True, "state": "sqlite:///x.db"}, "values_over=True"),
        ({"values": "ftp://host/x", "state": "sqlite:///x.db"}, "values='ftp://host/x' is not the URL"),
        ({"values": 5, "state": "sqlite:///x.db"}, "values= got int"),
        ({"values": "s3://me:pw@bucket/x", "state": "sqlite:///x.db"}, "leave credentials out"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], problem: str) -> None:
    """Each gets one clear error before anything runs, which shows no password."""
    with pytest.raises(SpecError) as caught:
        cs.run(load(1), **settings)
    assert problem in str(caught.value)
    assert "pw" not in str(caught.value)
    assert not CALLS


def test_a_missing_driver_is_named() -> None:
    """A scheme whose driver is not installed is an error that names the package."""
    with pytest.raises(MissingDriverError, match="pip install gcsfs"):
        value_store_from_url("gs://bucket/values")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fsspec the error names the extra."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"cascade-engine\[values\]"):
        value_store_from_url("s3://bucket/values")


def test_what_the_codec_refuses_is_refused(url: str, tmp_path: Path) -> None:
    """A value with a secret in it is refused as without a value store, and nothing of it is in any file."""
    with pytest.raises(CodecError):
        run(url, sent("password"), folder_url(tmp_path))
    assert not files(tmp_path)


# Damage


@pytest.mark.parametrize("harm", ["removed", "changed", "cut"])
def test_damage_is_a_typed_error_that_names_the_value(url: str, tmp_path: Path, harm: str) -> None:
    """A value that is missing or changed is a `RunDamagedError` with its digest, when it is wanted."""
    with pytest.raises(OSError, match="down"):
        run(url, first(load(7), 1), folder_url(tmp_path))
    (path,) = files(tmp_path)
    data = path.read_bytes()
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(RunDamagedError) as caught:
        run(url, first(load(7), 1), folder_url(tmp_path))
    assert path.name in str(caught.value)
    assert caught.value.run_id == "r"
    assert CALLS == ["load 7", "first"]


@cs.task
def marked(data: bytes) -> bytes:
    CALLS.append("marked")
    return data + b"!"


@cs.task
def long(data: bytes) -> bool:
    return len(data) > OVER


@cs.task
def key_of(data: bytes) -> str:
    return "large" * 1_000 if data[0] == 7 else "other"


@cs.task
def parts(data: bytes) -> list[bytes]:
    return [data[:MANY], data]


def test_only_what_is_looked_at_is_read(every_url: str) -> None:
    """A resumed run reads the values that it has to look at, and no others."""
    store = MemoryValues()
    target = first(marked(load(7)), 1)
    with pytest.raises(OSError, match="down"):
        run(every_url, target, store)
    assert len(store.kept) == 2
    store.calls.clear()
    assert run(every_url, target, store) == 7
    (read,) = [call for call in store.calls if call.startswith("get")]
    store.calls.clear()
    assert run(every_url, target, store) == 7
    assert not store.calls
    assert CALLS == ["load 7", "marked", "first", "first"]
    assert read


def looked_at() -> dict[str, tuple[Any, Any]]:
    """Targets that look at a large value in each of the ways, and what they give."""
    data = bytes([7]) * MANY
    return {
        "an argument": (first(load(7), 1), 7),
        "a condition": (first(load(1, 5), 1).run_if(long(load(7))), 1),
        "a value as condition": (first(load(1, 5), 1).run_if(load(7)), 1),
        "a selector": (
            first(
                cs.Router(selector=key_of(load(7)), routes={"large" * 1_000: load(2, 5), "other": load(3)}), 1
            ),
            2,
        ),
        "a part": (first(parts(load(7))[0], 1), 7),
        "what a map goes over": (
            cs.gather(first.partial(fails=0).map(data=parts(load(7))), first(load(1, 5), 1)),
            [[7, 7], 1],
        ),
        "a gathered list": (cs.gather(load(7), load(8), first(load(1, 5), 1)), [data, bytes([8]) * MANY, 1]),
        "the value of the run": (load(7).after(first(load(1, 5), 1)), data),
    }


@pytest.mark.parametrize("way", sorted(looked_at()))
def test_a_value_is_there_where_it_is_looked_at(url: str, way: str) -> None:
    """A resumed run has the value for arguments, conditions, selectors, parts, maps, lists and its own value."""
    store = MemoryValues()
    target, value = looked_at()[way]
    with pytest.raises(OSError, match="down"):
        run(url, target, store)
    assert run(url, target, store) == value
    assert run(url, target, store) == value


def test_a_value_that_nobody_looks_at_may_be_gone(url: str, tmp_path: Path) -> None:
    """A run that does not need a damaged value again does without it."""
    for _ in range(2):
        assert run(url, first(load(7)), folder_url(tmp_path)) == 7
        for path in files(tmp_path):
            path.unlink()


# Failures and kills


@pytest.mark.parametrize("after", [False, True])
def test_a_value_store_that_fails_at_any_call(file_url: str, after: bool) -> None:
    """Whichever call fails, nothing is lost that was committed, no pointer leads nowhere, and the run can go on."""
    target = cs.gather(first(load(1)), first(load(2)), loop(3, load(4)))
    pointed = 0
    for number in range(1, 12):
        CALLS.clear()
        store = MemoryValues(fails_at=number, after=after)
        run_id = f"r{number}"
        error: BaseException | None = None
        try:
            run(file_url, target, store, run_id)
        except (StoreError, OSError) as problem:
            error = problem
        assert error is not None
        store.fails_at = 0
        before = pointers_of(file_url)
        assert before <= {name.rpartition("/")[2].partition("-")[0] for name in store.kept}
        CALLS.append("loop 1")  # it fails only the first time
        assert run(file_url, target, store, run_id) == [1, 2, MANY]
        pointed += len(before)
        with closing(catalog_from_url(file_url)) as catalog:
            delete_run(catalog, run_id, store)
        assert not store.kept
    assert pointed


def pointers_of(url: str) -> set[str]:
    """Return the digests that facts in an SQLite file point to."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute("SELECT value FROM facts WHERE substr(value, 1, 1) = x'fe'").fetchall()
    return {each.hex() for (value,) in rows for each in [value.partition(b"\xc4\x20")[2][:32]]}


@pytest.mark.parametrize("at", ["before the rename", "after the value", "after the fact"])
def test_a_kill_between_value_and_fact(tmp_path: Path, at: str) -> None:
    """A process that is killed around the write of a value loses no more than what was under way."""
    script = f"""
    import os, signal, sys
    from pathlib import Path
    import cascade as cs
    from cascade.adapters.values import FileValueStore

    def kill(): os.kill(os.getpid(), signal.SIGKILL)

    class Killing(FileValueStore):
        def put(self, name, data, *, safe):
            if {at!r} == "before the rename":
                Path.replace = lambda *_: kill()
            super().put(name, data, safe=safe)
            if {at!r} == "after the value":
                kill()

    @cs.task
    def load() -> bytes:
        print("load", flush=True)
        return b"x" * 5000

    @cs.task
    def end(data: bytes) -> int:
        if {at!r} == "after the fact" and sys.argv[1] == "first":
            kill()
        return len(data)

    store = Killing("{tmp_path}/values") if sys.argv[1] == "first" else FileValueStore("{tmp_path}/values")
    print(cs.run(end(load()), state="sqlite:///{tmp_path}/runs.db", run_id="r", values=store, values_over=1000))
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    first_try, second = (
        subprocess.run([sys.executable, str(path), which], capture_output=True, text=True, check=False)
        for which in ("first", "second")
    )
    assert first_try.returncode == -signal.SIGKILL, first_try.stderr
    assert first_try.stdout.split() == ["load"]
    assert second.stdout.split() == ([] if at == "after the fact" else ["load"]) + ["5000"], second.stderr
    found = {
        path.name.partition("-")[0]: sha256(path.read_bytes()).hexdigest() for path in whole_files(tmp_path)
    }
    assert all(name == digest for name, digest in found.items())
    assert len(whole_files(tmp_path)) == 1


def whole_files(tmp_path: Path) -> list[Path]:
    return [path for path in files(tmp_path) if path.suffix != ".part"]


def test_a_half_written_file_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is whole a file is not under its name; if it can't be finished, nothing is left."""
    store = FileValueStore(tmp_path / "values")
    seen = []

    def fail(path: Path, target: Path) -> None:
        seen.append((path.name, target.exists()))
        raise OSError("full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StoreError, match="full"):
        store.put("a/b", b"x", safe=True)
    assert [exists for _, exists in seen] == [False]
    assert not files(tmp_path)


def test_what_is_safe_is_on_the_disk_before_its_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of a run is written through to the disk, its file and then its folder."""
    synced: list[int] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    FileValueStore(tmp_path / "values").put("a", b"x", safe=True)
    count = len(synced)
    assert count >= 2
    FileValueStore(tmp_path / "values").put("b", b"x", safe=False)
    assert len(synced) == count


def test_the_event_loop_goes_on(file_url: str) -> None:
    """While the value store writes and reads, the event loop makes other calls."""
    begun, loops = Event(), Event()

    class Slow(MemoryValues):
        def put(self, name: str, data: bytes, *, safe: bool) -> None:
            begun.set()
            assert loops.wait(30)
            super().put(name, data, safe=safe)

        def get(self, name: str, size: int) -> bytes:
            begun.set()
            assert loops.wait(30)
            return super().get(name, size)

    store = Slow()

    async def main() -> object:
        async with Engine(state=file_url, values=store, values_over=OVER) as engine:
            running = asyncio.ensure_future(engine.run(load(7), run_id="r"))
            assert await asyncio.to_thread(begun.wait, 30)
            loops.set()  # a loop that is held never comes to this
            return await running

    for _ in range(2):
        assert asyncio.run(main()) == bytes([7]) * MANY
        begun.clear()
        loops.clear()


# Garbage


def test_a_loop_leaves_no_more_than_its_last_rounds(url: str) -> None:
    """The values of rounds that are over are removed, with the facts."""
    store = MemoryValues()
    CALLS.append("loop 1")
    assert run(url, loop(12, load(0)), store) == MANY
    assert len([call for call in store.calls if call.startswith("put")]) >= 13
    assert len(store.kept) <= 3


def test_a_run_that_begins_anew_removes_its_old_values(url: str, tmp_path: Path) -> None:
    """With `restart=True` the old values go with the old facts."""
    for number in range(3):
        assert run(url, first(load(number)), folder_url(tmp_path), restart=True) == number
        assert len(files(tmp_path)) == 1


def test_a_deleted_run_takes_its_values_along(every_url: str, tmp_path: Path) -> None:
    """`delete_run` removes the values of that run and of no other, also of one with the same values."""
    store = value_store_from_url(folder_url(tmp_path))
    for run_id in ("a", "b"):
        assert run(every_url, first(load(7)), folder_url(tmp_path), run_id) == 7
    with closing(catalog_from_url(every_url)) as catalog:
        (folder,) = folders_of_values(catalog, "b")
        with pytest.raises(SpecError, match="run 'a' keeps large values in a value store; give its URL"):
            delete_run(catalog, "a", None)
        delete_run(catalog, "a", store)
        (left,) = files(tmp_path)
        assert left.parent == tmp_path / "values" / folder
        assert [each.run_id for each in catalog.runs()] == ["b"]
    assert run(every_url, load(7), folder_url(tmp_path), "c") == bytes([7]) * MANY


def test_a_deletion_that_was_killed_is_finished(every_url: str, tmp_path: Path) -> None:
    """Who deletes a run again whose deletion was killed between facts and values removes the values."""

    class Dying(FileValueStore):
        def delete(self, name: str) -> None:
            raise KeyboardInterrupt

    folder = tmp_path / "values"
    assert run(every_url, first(load(7)), folder_url(tmp_path)) == 7
    assert run(every_url, first(load(7)), folder_url(tmp_path), "other") == 7
    with closing(catalog_from_url(every_url)) as catalog:
        with pytest.raises(KeyboardInterrupt):
            delete_run(catalog, "r", Dying(folder))
        assert [each.run_id for each in catalog.runs()] == ["other"]
        store = FileValueStore(folder)
        assert is_half_deleted(catalog, "r", store)
        assert not is_half_deleted(catalog, "other", store)
        delete_run(catalog, "r", store)
        assert len(files(tmp_path)) == 1  # that of the other run
        with pytest.raises(RunNotFoundError):
            delete_run(catalog, "r", store)
        delete_run(catalog, "other", store)
    assert not files(tmp_path)


def test_a_mark_of_another_store_is_left_alone(tmp_path: Path) -> None:
    """A deletion that was killed before the facts were gone leaves the values to the run, whatever other stores say."""
    one, other = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "other"))
    store = value_store_from_url(folder_url(tmp_path))
    with pytest.raises(OSError, match="down"):
        run(one, first(load(7), 1), folder_url(tmp_path))
    run(other, load(7), folder_url(tmp_path), "s")

    class Dying(FileValueStore):
        def put(self, name: str, data: bytes, *, safe: bool) -> None:
            super().put(name, data, safe=safe)
            raise KeyboardInterrupt

    with closing(catalog_from_url(one)) as catalog, pytest.raises(KeyboardInterrupt):
        delete_run(catalog, "r", Dying(tmp_path / "values"))
    with closing(catalog_from_url(other)) as catalog, pytest.raises(RunNotFoundError):
        delete_run(catalog, "r", store)
    assert run(one, first(load(7), 1), folder_url(tmp_path)) == 7
    with closing(catalog_from_url(one)) as catalog:
        delete_run(catalog, "r", store)
    with closing(catalog_from_url(other)) as catalog:
        delete_run(catalog, "s", store)
    assert not files(tmp_path)


def test_a_run_that_was_begun_anew_without_its_value_store_knows_it(every_url: str, tmp_path: Path) -> None:
    """With the run what it has left in the value store is deleted: so is `values=` given, or that is asked for."""
    store = value_store_from_url(folder_url(tmp_path))
    assert run(every_url, first(load(7)), folder_url(tmp_path)) == 7
    for number in range(2):
        assert cs.run(first(load(number)), state=every_url, run_id="r", restart=True) == number
    assert len(files(tmp_path)) == 1
    with closing(catalog_from_url(every_url)) as catalog:
        with pytest.raises(SpecError, match="give its URL"):
            delete_run(catalog, "r", None)
        delete_run(catalog, "r", store)
    assert not files(tmp_path)


def test_a_run_that_gets_its_value_store_back_removes_what_was_left(every_url: str, tmp_path: Path) -> None:
    """A restart with `values=` removes what restarts without it have left there."""
    assert run(every_url, first(load(7)), folder_url(tmp_path)) == 7
    assert cs.run(first(load(1)), state=every_url, run_id="r", restart=True) == 1
    assert run(every_url, first(load(2)), folder_url(tmp_path), restart=True) == 2
    (path,) = files(tmp_path)
    with closing(catalog_from_url(every_url)) as catalog:
        assert [path.parent.name] == [each.rpartition("/")[2] for each in folders_of_values(catalog, "r")]


def test_two_stores_may_share_a_value_store(tmp_path: Path) -> None:
    """Runs of one name, in two stores of runs, don't take each other's values away."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")]
    for url in urls:
        assert run(url, load(7), folder_url(tmp_path)) == bytes([7]) * MANY
    assert len(files(tmp_path)) == 2
    with closing(catalog_from_url(urls[0])) as catalog:
        delete_run(catalog, "r", value_store_from_url(folder_url(tmp_path)))
    assert len(files(tmp_path)) == 1
    assert run(urls[1], load(7), folder_url(tmp_path)) == bytes([7]) * MANY
    assert CALLS == ["load 7"] * 2


def test_what_can_not_be_deleted_is_told(file_url: str) -> None:
    """If values of a deleted run stay, the error names their folder."""

    class Stubborn(MemoryValues):
        def delete(self, name: str) -> None:
            pass

    store = Stubborn()
    assert run(file_url, first(load(7)), store) == 7
    with (
        closing(catalog_from_url(file_url)) as catalog,
        pytest.raises(StoreError, match="delete the folder runs/"),
    ):
        delete_run(catalog, "r", store)


def test_a_pointer_belongs_to_its_fact(tmp_path: Path) -> None:
    """A pointer that was copied to another fact is damage, and not its value."""
    url = f"sqlite:///{tmp_path}/runs.db"
    target = cs.gather(first(load(1), 2), first(load(2), 2))
    with pytest.raises(OSError, match="down"):
        run(url, target, folder_url(tmp_path), on_failure="stop")
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        rows = connection.execute("SELECT rowid, value FROM facts WHERE task = 'load'").fetchall()
        assert len(rows) == 2
        connection.execute("UPDATE facts SET value = ? WHERE rowid = ?", (rows[1][1], rows[0][0]))
        connection.commit()
    CALLS.extend(["first"] * 2)
    with pytest.raises(RunDamagedError, match="checksum"):
        run(url, target, folder_url(tmp_path))


def test_a_run_of_many_rounds_is_kept_as_asked(tmp_path: Path) -> None:
    """With `keep_rounds=3` the values of three rounds stay."""
    store = MemoryValues()
    CALLS.append("loop 1")
    url = f"sqlite:///{tmp_path}/runs.db"
    made = recorded(url, keep_rounds=3, values=KeptValues(store, OVER))
    assert cs.run(loop(9, load(0)), state=made, run_id="r") == MANY
    assert 3 <= len(store.kept) <= 5


def test_servers_are_empty_afterwards(server_url: str, tmp_path: Path) -> None:
    """A server that has lost everything leaves values that nothing points to, and a new run of that name begins."""
    assert run(server_url, first(load(7)), folder_url(tmp_path)) == 7
    clear(server_url)
    assert is_in_server(server_url)
    assert run(server_url, first(load(7)), folder_url(tmp_path)) == 7
    assert len(files(tmp_path)) == 2
