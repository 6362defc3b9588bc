"""Claims about `cs.CallLogFilter`: log records say which call they come from; nothing is set up unasked."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chunk_tasks import log_to

import cascade as cs
from cascade.runtime import Engine

log = logging.getLogger("shop.orders")

Fields = tuple[Any, ...]


class Kept(logging.Handler):
    """Keeps what a filter has put on records."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[Fields] = []
        self.calls: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        known: Any = record
        self.fields.append((known.getMessage(), known.run_id, known.task_name, known.item, known.attempt))
        self.calls.append(known.call)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    handler.addFilter(cs.CallLogFilter())
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@cs.task
def tell(what: object) -> None:
    log.warning("told %s", what)


@cs.task
async def tell_later(what: object) -> None:
    async def helper() -> None:
        await asyncio.sleep(0)
        log.warning("told %s", what)

    await asyncio.gather(helper())


@pytest.mark.parametrize("executor", ["inline", "threads:2"])
async def test_records_of_tasks_say_their_call(kept: Kept, executor: str) -> None:
    """A record of a task has its run, task, item and attempt: of single calls, items and coroutines, in threads too."""
    async with Engine(executor=executor) as engine:
        for _ in range(5):
            kept.fields.clear()
            await engine.run(tell("a"), run_id="r")
            await engine.run(tell.map(["xy", "xy"]), run_id="m")
            await engine.run(tell_later.map([1, 2]), run_id="l")
            assert kept.fields[0] == ("told a", "r", "tell", None, 1)
            assert sorted(kept.fields[1:3]) == [("told xy", "m", "tell", item, 1) for item in (0, 1)]
            assert sorted(kept.fields[3:]) == [
                (f"told {item + 1}", "l", "tell_later", item, 1) for item in (0, 1)
            ]


async def test_a_record_of_a_retry_says_which_attempt(kept: Kept) -> None:
    """The second attempt of a call logs as the second."""
    failed: list[int] = []

    @cs.task
    def flaky() -> None:
        log.warning("try")
        if not failed:
            failed.append(1)
            raise OSError

    async with Engine() as engine:
        await engine.run(flaky().with_retry(1), run_id="r")
    assert [fields[1:] for fields in kept.fields] == [("r", "flaky", None, 1), ("r", "flaky", None, 2)]
    assert kept.calls == ["flaky, run r, attempt 1", "flaky, run r, attempt 2"]


def test_records_from_elsewhere_have_empty_fields(kept: Kept) -> None:
    """Outside of a call the fields are there and are `None`, so that formats work; `call` is empty."""
    log.warning("here")
    thread = threading.Thread(target=log.warning, args=("there",))
    thread.start()
    thread.join()
    assert kept.fields == [(text, None, None, None, None) for text in ("here", "there")]
    assert kept.calls == ["", ""]


def test_what_a_record_has_already_stays(kept: Kept) -> None:
    """The fields of `extra=` are the user's own; a record that goes through two handlers is told once."""

    @cs.task
    def own() -> None:
        log.warning("mine", extra={"item": "apple"})

    second = Kept()
    second.addFilter(cs.CallLogFilter())
    log.addHandler(second)
    try:
        cs.run(own(), run_id="r")
    finally:
        log.removeHandler(second)
    assert kept.fields == second.fields == [("mine", "r", "own", "apple", 1)]


def test_names_are_spelt_out_in_the_text(kept: Kept) -> None:
    """What a terminal or a line-based log would obey in a name is spelt out in `call`; the fields have it as it is."""

    @cs.task(name="a\x1b[31m\nb")
    def odd() -> None:
        log.warning("here")

    cs.run(odd(), run_id="r")
    assert kept.calls == [r"a\x1b[31m\nb, run r, attempt 1"]
    assert kept.fields[0][2] == "a\x1b[31m\nb"


def test_formats_take_the_fields() -> None:
    """`%(call)s` and the single fields stand in formats, also in those of a configuration."""
    formatter = logging.Formatter("%(message)s|%(call)s|%(item)s")
    record = log.makeRecord(log.name, logging.INFO, __file__, 1, "m", (), None)
    assert cs.CallLogFilter().filter(record)
    assert formatter.format(record) == "m||None"


def test_a_queue_takes_the_fields_along() -> None:
    """With the filter on a `QueueHandler`, whoever handles the records in another thread finds the fields."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    sender, kept = logging.handlers.QueueHandler(records), Kept()
    sender.addFilter(cs.CallLogFilter())
    kept.addFilter(cs.CallLogFilter())
    log.addHandler(sender)
    try:
        cs.run(tell("a"), run_id="r")
    finally:
        log.removeHandler(sender)
    thread = threading.Thread(target=lambda: kept.handle(records.get()))
    thread.start()
    thread.join()
    assert kept.fields == [("told a", "r", "tell", None, 1)]


def test_handlers_in_worker_processes_see_the_call(tmp_path: Path) -> None:
    """A handler that is configured in a worker process, by the module of the task say, gets the fields there."""
    path = tmp_path / "log.jsonl"
    cs.run(log_to.partial(str(path)).map(number=[5, 6]), run_id="r", executor="processes:1")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [[f"number {number}", "r", "log_to", item, 1] for item, number in enumerate((5, 6))]


def test_nothing_is_set_up_unasked() -> None:
    """Importing all of the engine, running, and making a filter leave the set-up of `logging` as it was."""
    program = """
import logging
before = (logging.getLogRecordFactory(), logging.getLoggerClass(), logging.root.handlers[:], logging.root.filters[:],
          logging.root.level)
import cascade as cs
@cs.task
def f(x): return cs.current_call().item
cs.CallLogFilter()
assert cs.run(f.map([1, 2]), executor="threads:1") == [0, 1]
assert before == (logging.getLogRecordFactory(), logging.getLoggerClass(), logging.root.handlers[:],
                  logging.root.filters[:], logging.root.level)
assert not logging.getLogger("cascade").handlers
"""
    subprocess.run([sys.executable, "-c", program], check=True)
