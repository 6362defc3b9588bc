"""Claims about large values: files beside their store, checked when read, which go with what points to them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.codec import PickleCodec
from cascade.adapters.state import SqliteCatalog, SqliteStateBackend
from cascade.adapters.values import LARGE, FileValueStore, Pointer, value_store_from_url
from cascade.runtime import Engine
from cascade.spec import CacheKey, DamagedDataError, SpecError, StoreError
from cascade.spec.errors import CascadeError

MANY = 3 * LARGE
CALLS: list[str] = []


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


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".values" in str(path)]


def run(folder: Path, target: Any, run_id: str = "r", **more: Any) -> Any:
    return cs.run(target, state=f"sqlite:///{folder}/runs.db", run_id=run_id, **more)


def test_a_large_value_lies_beside_the_store(tmp_path: Path) -> None:
    """A value of some MB is a file of mode 0600, named by its digest; the store's own file stays small."""
    with pytest.raises(OSError, match="down"):
        run(tmp_path, first(load(7), 1))
    (path,) = files(tmp_path)
    assert path.stat().st_size >= MANY
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.name.endswith(Pointer.to(path.read_bytes()).digest.hex())
    assert (tmp_path / "runs.db").stat().st_size < LARGE
    assert run(tmp_path, first(load(7), 1)) == 7
    assert CALLS == ["load 7", "first", "first"]


def test_a_small_value_lies_in_the_store(tmp_path: Path) -> None:
    """Values below the bound make no file and no folder."""
    assert run(tmp_path, first(load(7, LARGE // 2))) == 7
    assert not (tmp_path / "runs.db.values").exists()


def test_a_value_that_looks_like_a_pointer_is_a_value(tmp_path: Path) -> None:
    """Bytes that a codec makes, and which begin as a pointer does, come back as they are."""

    class Raw:
        def encode(self, value: Any, *, key: bytes) -> bytes:
            return bytes(value)

        def decode(self, data: bytes, *, key: bytes) -> object:
            return data

    value = bytes(Pointer(b"x" * 32, 5))

    @cs.task
    def pointer() -> bytes:
        CALLS.append("pointer")
        return value

    @cs.task
    def same(data: bytes) -> bytes:
        if len(CALLS) < 2:
            CALLS.append("same")
            raise OSError("down")
        return data

    def state(run_id: str) -> Any:
        return SqliteStateBackend(tmp_path / "runs.db", run_id=run_id, codec=Raw())

    with pytest.raises(OSError, match="down"):
        cs.run(same(pointer()), state=state, run_id="r")
    assert cs.run(same(pointer()), state=state, run_id="r") == value
    assert CALLS == ["pointer", "same"]


def test_a_deleted_run_leaves_no_file(tmp_path: Path) -> None:
    """`delete` removes the files of that run and of no other; what they held counts as the run's size."""
    for run_id in ("a", "b"):
        run(tmp_path, first(load(7)), run_id)
    catalog = SqliteCatalog(tmp_path / "runs.db")
    assert all(each.size > MANY for each in catalog.runs())
    assert max(fact.size for fact in catalog.facts("a")) > MANY
    assert len(files(tmp_path)) == 2
    catalog.delete("a")
    (left,) = files(tmp_path)
    assert run(tmp_path, first(load(7)), "b") == 7
    catalog.delete("b")
    assert not left.exists()
    assert not (tmp_path / "runs.db.values").exists() or not list((tmp_path / "runs.db.values").iterdir())


def test_a_loop_keeps_the_files_of_its_last_rounds(tmp_path: Path) -> None:
    """Files of rounds that are forgotten go; the loop goes on at the round that it was in."""
    with pytest.raises(OSError, match="down"):
        run(tmp_path, loop(8, b""))
    assert 1 <= len(files(tmp_path)) <= 3
    assert run(tmp_path, loop(8, b"")) == MANY
    assert CALLS.count("load 5") == 1
    assert len(files(tmp_path)) <= 2


def test_a_run_that_begins_anew_keeps_nothing_old(tmp_path: Path) -> None:
    """With `restart=True` the files of the run as it was are removed, also where its facts are damaged."""
    run(tmp_path, [load(1), load(2)])
    before = files(tmp_path)
    assert len(before) == 2
    before[0].write_bytes(b"damaged")
    assert run(tmp_path, [load(3)], restart=True)[0][:1] == b"\x03"
    assert not any(path.exists() for path in before)
    assert len(files(tmp_path)) == 1


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """Files that no row points to, whole or in part, are removed when the run goes on; others are not."""
    with pytest.raises(OSError, match="down"):
        run(tmp_path, first(load(7), 1))
    (path,) = files(tmp_path)
    left = [path.with_name("f" * 81), path.with_name(".1-1.part")]
    for each in left:
        each.write_bytes(b"left")
    assert run(tmp_path, first(load(7), 1)) == 7
    assert files(tmp_path) == [path]


def flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


SAME_ID = """
    import os, sys
    import cascade as cs

    os.getpid = lambda: 1  # as in a container
    if sys.argv[1] == "kill":
        os.fdopen = lambda *given: os._exit(9)  # the file is there, and nothing in it

    @cs.task(cache=cs.ByInputs())
    def load() -> bytes:
        print("load")
        return bytes(3_000_000)

    for _ in range(2):
        cs.run(load(), cache=f"sqlite:///{sys.argv[2]}")
"""


def test_a_killed_process_leaves_nothing_in_the_way_of_one_with_its_id(tmp_path: Path) -> None:
    """A process that was killed while it wrote a large value does not hinder a later one that has its number."""
    script = tmp_path / "same_id.py"
    script.write_text(textwrap.dedent(SAME_ID))
    ends = [
        subprocess.run(
            [sys.executable, script, how, tmp_path / "c.db"], capture_output=True, text=True, check=False
        )
        for how in ("kill", "write")
    ]
    assert [each.returncode for each in ends] == [9, 0], ends[1].stderr
    assert ends[1].stdout == "load\n"


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "missing", "another value", "empty"])
def test_a_damaged_file_is_a_typed_error(tmp_path: Path, damage: str) -> None:
    """A file that is changed, cut, gone or swapped is an error of Cascade's own, and `restart=True` begins anew."""
    target = [first(load(7), 1), load(8)]
    with pytest.raises(OSError, match="down"):
        run(tmp_path, target)
    paths = sorted(files(tmp_path), key=lambda path: path.read_bytes()[-1])
    path = paths[0]
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {
                "flipped": flip(content, random.Random(5)),
                "cut": content[:-1],
                "longer": content + b"x",
                "another value": paths[-1].read_bytes(),
                "empty": b"",
            }[damage]
        )
    with pytest.raises(CascadeError, match="large value is missing, or holds something else"):
        run(tmp_path, target)
    CALLS.clear()
    CALLS.append("first")
    assert run(tmp_path, target, restart=True)[0] == 7


def test_a_large_target_of_a_loop_is_a_file(tmp_path: Path) -> None:
    """Literals that a loop hands on from round to round lie beside the store, and only the last ones."""
    with pytest.raises(OSError, match="down"):
        run(tmp_path, carry(6, 0, b"x" * MANY))
    assert (tmp_path / "runs.db").stat().st_size < LARGE
    assert len(files(tmp_path)) == 1
    assert run(tmp_path, carry(6, 0, b"x" * MANY)) == MANY


@cs.task
def carry(n: int, done: int, data: bytes) -> Any:
    CALLS.append(f"carry {n}")
    if n == 1 and CALLS.count("carry 1") == 1:
        raise OSError("down")
    return carry(n - 1, done + 1, data) if n else len(data)


KILLED = """
    import sys, os, signal
    import cascade as cs

    @cs.task
    def load(n):
        if n == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return bytes([n]) * 3_000_000

    @cs.task
    def add(done, data):
        return done + len(data)

    @cs.task
    def loop(n, done):
        return loop(n - 1, add(done, load(n))) if n else done

    print(cs.run(loop(6, 0), state="sqlite:///" + sys.argv[1], run_id="r"))
"""


def test_a_killed_run_goes_on_with_its_large_values(tmp_path: Path) -> None:
    """Killed in any round, a run goes on, gives its value, and leaves no more files than it needs."""
    (tmp_path / "killed.py").write_text(textwrap.dedent(KILLED))

    def play(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "killed.py", "runs.db", str(at)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
            text=True,
        )

    for at in (5, 3, 2):
        assert play(at).returncode == -signal.SIGKILL
    done = play(-1)
    assert done.stdout == "18000000\n", done.stderr
    assert len(files(tmp_path)) <= 2


# Caches


@cs.task(cache=cs.ByInputs())
def cached(number: int) -> bytes:
    CALLS.append(f"cached {number}")
    return bytes([number]) * MANY


def test_a_cache_keeps_large_values_beside_it(tmp_path: Path) -> None:
    """A large value is a file, found again, an object of its own for each; the cache's own file stays small."""
    url = f"sqlite:///{tmp_path}/cache.db"
    for _ in range(2):
        values = cs.run([cached(1), cached(1), cached(2)], cache=url)
        assert [value[:1] for value in values] == [b"\x01", b"\x01", b"\x02"]
    assert CALLS == ["cached 1", "cached 2"]
    assert len(files(tmp_path)) == 2
    assert (tmp_path / "cache.db").stat().st_size < LARGE


@pytest.mark.parametrize("damage", ["flipped", "missing", "cut", "swapped"])
def test_a_damaged_file_is_no_hit(tmp_path: Path, damage: str) -> None:
    """A file of a cache that is changed, gone or another one's is no hit, and is made again."""
    url = f"sqlite:///{tmp_path}/cache.db"
    cs.run([cached(1), cached(2)], cache=url)
    one, other = files(tmp_path)
    content = one.read_bytes()
    if damage == "missing":
        one.unlink()
    else:
        forms = {
            "flipped": flip(content, random.Random(1)),
            "cut": content[:-1],
            "swapped": other.read_bytes(),
        }
        one.write_bytes(forms[damage])
    for _ in range(2):
        values = cs.run([cached(1), cached(2)], cache=url)
        assert [value[:1] for value in values] == [b"\x01", b"\x02"]
    assert len(CALLS) == 3


async def test_a_full_cache_lets_go_of_files(tmp_path: Path) -> None:
    """What makes room in a cache takes its file along; a value that is put again replaces the file of the last one."""
    key = CacheKey("k", "t")

    cache = SqliteCacheBackend(tmp_path / "cache.db", max_bytes=4 * MANY)
    for number in range(40):
        await cache.put(CacheKey(f"k{number}", "t"), bytes([number]) * MANY, None)
    assert len(files(tmp_path)) <= 5
    for number in range(3):
        await cache.put(key, bytes([number]) * MANY, None)
    assert sum(path.read_bytes()[-1] in (0, 1) for path in files(tmp_path)) == 0
    hit = await cache.get(key)
    assert hit is not None
    assert hit.value == b"\x02" * MANY
    assert cache.look(key) is None
    await cache.close()


async def test_files_that_a_killed_process_left_in_a_cache_go(tmp_path: Path) -> None:
    """A file that nothing points to, and that nobody is writing any more, goes when the cache looks at its bounds."""
    folder = tmp_path / "cache.db.values"

    cache = SqliteCacheBackend(tmp_path / "cache.db")
    await cache.put(CacheKey("k", "t"), b"x" * MANY, None)
    await cache.close()
    (old,) = files(tmp_path)
    os.utime(old, (1, 1))
    (folder / "ab").mkdir(exist_ok=True)
    left, young = folder / "ab" / "left", folder / "ab" / "young"
    left.write_bytes(b"")
    young.write_bytes(b"")
    os.utime(left, (1, 1))
    cache = SqliteCacheBackend(tmp_path / "cache.db")
    await cache.put(CacheKey("small", "t"), 1, None)
    await cache.close()
    assert sorted(files(tmp_path)) == sorted([old, young])


async def test_a_signed_pickle_is_checked_in_its_file_too(tmp_path: Path) -> None:
    """A file that another one's pickle was put into is not loaded: the signature is of the whole."""
    codec = PickleCodec(key=b"0123456789abcdef")

    async def value() -> Any:
        cache = SqliteCacheBackend(tmp_path / "cache.db", codec)
        async with Engine(cache_backend=cache) as engine:
            found = await engine.run(cached(3))
        await cache.close()
        return found

    assert await value() == b"\x03" * MANY
    assert await value() == b"\x03" * MANY
    assert CALLS == ["cached 3"]


# The store itself


def test_a_value_store_keeps_bytes(tmp_path: Path) -> None:
    """Names are put whole, listed and deleted, with the folders that are empty then; what is missing is told."""
    store = value_store_from_url(f"file://{tmp_path}/values")
    assert list(store.names("a")) == []
    store.delete("a/b")
    store.put("a/b/c", b"12", safe=True)
    store.put("a/d", b"345", safe=False)
    assert [(name, size) for name, _, size in store.names("a")] == [("a/b/c", 2), ("a/d", 3)]
    assert store.get("a/d", 3) == b"345"
    with pytest.raises(DamagedDataError, match="another size"):
        store.get("a/d", 2**60)
    with pytest.raises(DamagedDataError, match="is missing"):
        store.get("a/x", 3)
    with pytest.raises(StoreError, match="can't be read"):
        store.get("a/b", (tmp_path / "values/a/b").stat().st_size)
    store.delete("a/b/c")
    assert not (tmp_path / "values/a/b").exists()
    store.delete("a")
    assert list(store.names("")) == []


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """Where a file can't be made, the error names it."""
    (tmp_path / "values").write_text("a file")
    with pytest.raises(StoreError, match="can't be written"):
        FileValueStore(tmp_path / "values").put("a/b", b"1", safe=False)


@pytest.mark.parametrize(
    "url",
    [
        *("", "file://", "file:///", "file://host/x", "file:///x?y", "/x", "ftp://host/x"),
        *("s3://", "s3:///x", "s3://bucket/x?y", "s3://bucket/x#y"),
    ],
)
def test_a_url_of_no_value_store_is_refused(url: str) -> None:
    """A folder by an absolute path, or a bucket with a folder in it, name one; nothing else does."""
    with pytest.raises(SpecError, match="write file:///absolute"):
        value_store_from_url(url)
