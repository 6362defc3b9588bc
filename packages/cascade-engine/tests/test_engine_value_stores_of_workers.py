"""Claims about large results of workers: the worker puts them into the value store, and the record points there."""

from __future__ import annotations

import os
from contextlib import closing
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from support.far_executor import FarExecutor
from support.large_results import (
    MANY,
    OVER,
    DyingStore,
    HomeStore,
    NotedCodec,
    checked,
    inner,
    load,
    pid_of,
    total,
    tried,
    with_a_secret,
)
from support.stores import values_of
from support.value_stores import MemoryValues

import cascade as cs
from cascade.adapters.executors.ray import RayExecutor
from cascade.adapters.state.recorded.deletion import delete_run
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec.errors import CodecError

SETTINGS: dict[str, Any] = {"values_over": OVER, "executor": "processes:1"}


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "values").rglob("*") if path.is_file())


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what comes home from workers."""
    sizes: list[int] = []
    receive = Connection.recv_bytes

    def noted(self: Connection, *given: Any) -> bytes:
        data = receive(self, *given)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(Connection, "recv_bytes", noted)
    return sizes


def test_only_digest_and_size_travel_home(every_url: str, tmp_path: Path, received: list[int]) -> None:
    """A large result is encoded and put by the worker; the record points to it, and a resumed run reads it."""
    notes, marker = str(tmp_path / "notes"), str(tmp_path / "marker")
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values", "codec": NotedCodec(notes)}
    target = checked(load(7), marker)
    with pytest.raises(OSError, match="down"):
        cs.run(target, state=every_url, run_id="r", **settings)
    assert received
    assert max(received) < OVER
    assert str(os.getpid()) not in Path(notes).read_text().split()
    (path,) = files(tmp_path)
    assert path.name.startswith(sha256(path.read_bytes()).hexdigest())
    assert any(sha256(path.read_bytes()).digest() in value for value in values_of(every_url))
    received.clear()
    assert cs.run(target, state=every_url, run_id="r", **settings) == 7 + MANY
    assert not received
    assert files(tmp_path) == [path]


def test_items_of_a_map_too(file_url: str, tmp_path: Path, received: list[int]) -> None:
    """In chunks as alone; small ones come home."""
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values"}
    target = total(
        load.map(number=range(20), size=[MANY if each % 2 else 5 for each in range(20)]), str(tmp_path / "m")
    )
    with pytest.raises(OSError, match="down"):
        cs.run(target, state=file_url, run_id="r", **settings)
    assert max(received) < 2 * OVER
    (whole,) = files(tmp_path)  # the map's own; its items went with their facts
    assert whole.stat().st_size > 10 * MANY
    assert cs.run(target, state=file_url, run_id="r", **settings) == 10 * (MANY + 5)


def test_the_value_of_a_run_comes_whole(file_url: str, tmp_path: Path) -> None:
    """It is the value, in the first run and in one that goes on."""
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values"}
    first = cs.run(pid_of(3), state=file_url, run_id="r", **settings)
    assert first[1] != os.getpid()
    assert cs.run(pid_of(3), state=file_url, run_id="r", **settings) == first


def test_a_store_that_can_not_travel_stays_at_home(file_url: str) -> None:
    """Then values come home, and are put from here."""
    store = MemoryValues()
    for _ in range(2):
        assert cs.run(load(3), state=file_url, run_id="r", **SETTINGS, values=store) == bytes([3]) * MANY
    assert len(store.kept) == 1


def test_what_the_codec_refuses_is_refused_by_name(file_url: str, tmp_path: Path) -> None:
    """As without workers; nothing of it is in the value store."""
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values"}
    with pytest.raises(CodecError):
        cs.run(with_a_secret("x"), state=file_url, run_id="r", **settings)
    assert not files(tmp_path)


def test_a_worker_that_can_not_put_sends_the_value(file_url: str, tmp_path: Path) -> None:
    """If the value store can't be written, the run ends with a `StoreError`: the same as without workers."""
    (tmp_path / "values").write_text("a file where the folder should be")
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values"}
    with pytest.raises(cs.CascadeError, match="can't be written"):
        cs.run(checked(load(7), str(tmp_path / "m")), state=file_url, run_id="r", **settings)


def test_a_worker_whose_store_raises_an_error_of_its_own_sends_the_value(
    file_url: str, tmp_path: Path
) -> None:
    """The call was made, and its result is put from here."""
    settings = {**SETTINGS, "values": HomeStore(tmp_path / "values", os.getpid())}
    assert cs.run(load(7), state=file_url, run_id="r", **settings) == bytes([7]) * MANY
    assert len(files(tmp_path)) == 1


def test_a_run_inside_of_a_call_has_values_of_its_own(file_url: str, tmp_path: Path) -> None:
    """What an inner run's workers give is none of the outer run's values."""
    settings = {**SETTINGS, "values": f"file://{tmp_path}/values"}
    assert cs.run(inner("", ""), state=file_url, run_id="r", **settings) == MANY
    assert not files(tmp_path)


def test_without_a_value_store_values_come_home(file_url: str) -> None:
    """Runs that have none, recorded or not, are as they were."""
    assert cs.run(load(2), executor="processes:1") == bytes([2]) * MANY
    assert cs.run(load(2), executor="processes:1", state=file_url, run_id="r") == bytes([2]) * MANY


def test_keys_of_a_cluster_are_never_recorded(file_url: str, tmp_path: Path) -> None:
    """Where results may stay with an executor, a recorded run leaves none there: a record could not point to it."""

    class Far(FarExecutor):
        async def execute_to_handle(self, node: Any, args: Any, kwargs: Any) -> Any:
            raise AssertionError("a value stays where a record can't point to")

    far = Far()
    settings: dict[str, Any] = {"values": f"file://{tmp_path}/values", "values_over": OVER, "executor": far}
    target = checked(load(7), str(tmp_path / "m"))
    with pytest.raises(OSError, match="down"):
        cs.run(target, state=file_url, run_id="r", **settings)
    assert far.calls["load"] == 1
    assert len(files(tmp_path)) == 1
    assert cs.run(target, state=file_url, run_id="r", **settings) == 7 + MANY
    assert far.calls["load"] == 1
    assert not far.store


def check_cluster(url: str, tmp_path: Path, executor: Any) -> None:
    """Check that a worker puts a large result itself, and that a run goes on without the cluster."""
    settings: dict[str, Any] = {"values": f"file://{tmp_path}/values", "values_over": OVER}
    target = checked(load(7), str(tmp_path / "m"))
    with pytest.raises(OSError, match="down"):
        cs.run(target, state=url, run_id="r", executor=executor, **settings)
    (path,) = files(tmp_path)
    assert path.name.startswith(sha256(path.read_bytes()).hexdigest())
    assert "-" in path.name  # the tag of a worker
    assert cs.run(target, state=url, run_id="r", **settings) == 7 + MANY


def test_workers_of_dask_put_their_results(file_url: str, tmp_path: Path, dask_address: str) -> None:
    """A Dask worker puts a large result itself; a run that goes on has it without Dask."""
    check_cluster(file_url, tmp_path, dask_address.replace("tcp://", "dask://"))


def test_workers_of_ray_put_their_results(file_url: str, tmp_path: Path, ray_cluster: str) -> None:
    """A Ray worker does so too."""
    check_cluster(file_url, tmp_path, RayExecutor(ray_cluster))


def test_a_worker_that_dies_between_value_and_report(file_url: str, tmp_path: Path) -> None:
    """The call is made again; what the dead worker has left is pointed to by nothing, and goes with the run."""
    store = DyingStore(tmp_path / "values")
    settings = {**SETTINGS, "values": store}
    target = checked(tried(7), str(tmp_path / "m"))
    with pytest.raises(OSError, match="down"):
        cs.run(target, state=file_url, run_id="r", **settings)
    assert len(files(tmp_path)) == 2
    assert cs.run(target, state=file_url, run_id="r", **settings) == 7 + MANY
    with closing(catalog_from_url(file_url)) as catalog:
        delete_run(catalog, "r", store)
    assert not files(tmp_path)
