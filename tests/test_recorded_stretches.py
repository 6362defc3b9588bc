"""Trees of plain calls whose values are recorded: made quickly, and with the same meaning as any other tree."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.stores import opened

import cascade as cs
from cascade.adapters.state import SqliteStateBackend
from cascade.runtime import Event, TaskExecutionFinished
from cascade.spec.errors import CodecError

CALLS: list[object] = []


@cs.task
def noted(value: int) -> int:
    CALLS.append(value)
    return value


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def failing(value: int) -> int:
    raise ValueError(value)


@cs.task
def later(value: int) -> Any:
    return total([noted(value), noted(value)])


@cs.task
def strange(value: int) -> object:
    return threading.Lock()


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def engine_at(path: Path, durability: str = "async") -> cs.Engine:
    return cs.Engine(
        state_backend_cls=lambda run_id: SqliteStateBackend(path, run_id=run_id, durability=durability)
    )


def places(path: Path) -> int:
    with closing(opened(path)) as connection:
        ((count,),) = connection.select("SELECT count(*) FROM facts WHERE kind = 0")
    return int(count)


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 300])
async def test_every_value_is_recorded(tmp_path: Path, durability: str, size: int) -> None:
    """Each call is made once, in the plan's order, its value is in the store, and a second run reads them all."""
    path = tmp_path / "runs.db"
    target = total([noted(value) for value in range(size)])
    assert await engine_at(path, durability).run(target, run_id="a") == sum(range(size))
    assert list(range(size)) == CALLS
    assert places(path) == size + 1
    assert await engine_at(path, durability).run(target, run_id="a") == sum(range(size))
    assert len(CALLS) == size


async def test_a_level_waits_for_the_commit_of_the_one_below(tmp_path: Path) -> None:
    """When a call begins, the values that it depends on are in the file."""
    path = tmp_path / "runs.db"
    seen: list[int] = []

    @cs.task
    def look(values: list[int]) -> int:
        seen.append(places(path))
        return sum(values)

    target = look([look([noted(1), noted(2)]), look([noted(3)])])
    assert await engine_at(path).run(target) == 6
    assert seen[:2] == [3, 3]
    assert seen[2] == 5


async def test_a_failure_leaves_what_was_recorded(tmp_path: Path) -> None:
    """A call that fails ends the run with its error and a note; what came before it is not made again."""
    path = tmp_path / "runs.db"
    target = total([noted(1), noted(2), failing(3), noted(4)])
    for _ in range(2):
        with pytest.raises(ValueError, match="3") as caught:
            await engine_at(path).run(target, run_id="a")
        assert any("task 'failing' at root.args.0[2]" in note for note in caught.value.__notes__)
    assert CALLS == [1, 2]


async def test_what_does_not_depend_on_a_failure_is_finished(tmp_path: Path) -> None:
    """With `on_failure="finish"` all other calls are made, and recorded."""
    path = tmp_path / "runs.db"
    target = total([noted(1), failing(2), noted(3), later(4)])
    with pytest.raises(ExceptionGroup, match="1 failed"):
        await engine_at(path).run(target, run_id="a", on_failure="finish")
    assert sorted(map(int, map(str, CALLS))) == [1, 3, 4, 4]


async def test_a_call_that_returns_a_tree_goes_on_in_its_place(tmp_path: Path) -> None:
    """Trees that plain calls return are run, recorded, and read again."""
    path = tmp_path / "runs.db"
    target = total([noted(1), later(2), noted(3), later(4)])
    for _ in range(2):
        assert await engine_at(path).run(target, run_id="a") == 16
        assert sorted(map(int, map(str, CALLS))) == [1, 2, 2, 3, 4, 4]


async def test_a_value_that_can_not_be_kept_fails_its_call(tmp_path: Path) -> None:
    """The error names the type, and its note the task and the place."""
    with pytest.raises(CodecError, match="lock") as caught:
        await engine_at(tmp_path / "runs.db").run(total([noted(1), strange(2)]))
    assert any("task 'strange' at root.args.0[1]" in note for note in caught.value.__notes__)


async def test_who_begins_to_listen_hears_what_follows(tmp_path: Path) -> None:
    """A listener that comes during a run hears of the calls from the next turn on."""
    engine = engine_at(tmp_path / "runs.db")
    heard: list[Event] = []

    @cs.task
    def listen(value: int) -> int:
        engine.bus.subscribe(TaskExecutionFinished, heard.append)
        return value

    assert await engine.run(total([listen(1), noted(2)])) == 3
    assert "total" in {each.task_name for each in heard if isinstance(each, TaskExecutionFinished)}


async def test_a_short_batch_waits_for_another_writer(tmp_path: Path) -> None:
    """Where another connection writes to the file, a batch waits for it, and the event loop does not."""
    path = tmp_path / "runs.db"
    path.touch()
    other = opened(path)

    @cs.task
    def lock(value: int) -> int:
        other.execute("BEGIN IMMEDIATE")
        return value

    running = asyncio.create_task(engine_at(path).run(total([noted(1), lock(2)])))
    while not other.in_transaction:  # noqa: ASYNC110 - set in another thread, by the call itself
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not running.done()
    other.execute("COMMIT")
    assert await running == 3
    other.close()
    assert places(path) == 3
