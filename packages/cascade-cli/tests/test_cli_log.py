"""`--log-level` and `--log-format`: the events of a run on stderr."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from support.commands import Call

import cascade as cs
from cascade.cli import cli


@cs.task
def give(value: Any) -> Any:
    return value


def workflow() -> cs.LazyResult[Any]:
    """Retry once, skip once, hold a resource."""
    left = [1]

    @cs.task
    def flaky(room: Any) -> str:
        if left:
            left.pop()
            raise OSError("not\nyet")
        return "there"

    @cs.task
    def collect(first: Any, second: Any) -> Any:
        return first

    return collect(flaky(cs.inject("room")).with_retry(2), give(1).run_if(give(False), otherwise=None))


@cs.resource
def room() -> Iterator[int]:
    yield 1


def make() -> Any:
    return cli(workflow, resources=[room])


def test_by_default_only_what_needs_attention_is_told(call: Call) -> None:
    """The default level tells of retries and nothing else: a quiet run leaves stderr empty."""
    assert call(cli(give(1))).err == ""
    outcome = call(make())
    assert outcome.out == "there\n"
    [line] = outcome.err.splitlines()
    assert "warning" in line
    assert "failed, retry 1 of 2 in 0 s: OSError: not yet" in line
    assert "flaky" in line


def test_errors_only_is_quieter_still(call: Call) -> None:
    """`--log-level error` leaves out the retries too."""
    assert call(make(), "--log-level", "error").err == ""


def test_info_tells_what_starts_ends_and_is_skipped(call: Call) -> None:
    """`info` has a line with the task, its status and duration or its skip reason; stdout has the result alone."""
    outcome = call(make(), "--log-level", "info")
    assert outcome.out == "there\n"
    assert re.search(r"flaky \(n\d+\) started", outcome.err)
    assert re.search(r"flaky \(n\d+\) succeeded after 0\.\d+ s", outcome.err)
    assert re.search(r"give \(n\d+\) skipped: ConditionFalse", outcome.err)
    assert "succeeded after" in outcome.err.splitlines()[-1]
    assert "resource" not in outcome.err


def test_debug_tells_all(call: Call) -> None:
    """`debug` adds resources and everything else on the bus."""
    err = call(make(), "--log-level", "debug").err
    assert "resource room acquired" in err
    assert "resource room released" in err
    assert re.search(r"flaky \(n\d+\) started", err)


def test_each_event_is_one_line(call: Call) -> None:
    """A line break in an error's text does not break the line of the event."""
    lines = call(make(), "--log-level", "debug").err.splitlines()
    assert all(line[2] == ":" and line[5] == ":" for line in lines)


def test_json_is_one_object_per_line(call: Call) -> None:
    """`--log-format json` writes an object per event, with time, level, name and the event's fields."""
    outcome = call(make(), "--log-level", "debug", "--log-format", "json")
    records = [json.loads(line) for line in outcome.err.splitlines()]
    assert records[0]["event"] == "RunStarted"
    assert records[-1]["event"] == "RunFinished"
    assert len({record["run_id"] for record in records}) == 1
    assert all(datetime.fromisoformat(record["time"]).tzinfo for record in records)
    [retry] = [record for record in records if record["event"] == "TaskRetrying"]
    assert retry["level"] == "warning"
    assert (retry["task_name"], retry["attempt"], retry["max_attempts"]) == ("flaky", 1, 2)
    [skip] = [record for record in records if record["event"] == "TaskSkipped"]
    assert (skip["level"], skip["task_name"], skip["reason"]) == ("info", "give", "ConditionFalse")


def test_long_values_stay_on_their_line(call: Call) -> None:
    """However narrow the terminal, neither a sentence nor an object is wrapped."""

    @cs.task(name="t" * 500)
    def long() -> None: ...

    for form in ("human", "json"):
        err = call(cli(long()), "--log-level", "info", "--log-format", form).err
        assert len(err.splitlines()) == 4  # run and task, start and end
        assert err.count("t" * 500) == 3


def test_a_failure_in_json_is_an_object_too(call: Call) -> None:
    """With `json` all of stderr can be read line by line: the traceback is inside an object."""

    @cs.task
    def fail() -> None:
        raise ValueError("no")

    outcome = call(cli(fail()), "--log-format", "json")
    assert outcome.code == 1
    [record] = [json.loads(line) for line in outcome.err.splitlines()]
    assert record["event"] == "CommandFailed"
    assert "ValueError: no" in record["text"]
    assert "in fail" in record["text"]


def test_a_failed_task_is_told_as_an_error(call: Call) -> None:
    """At `info` a failed task's line has the level `error`, the status and the error."""

    @cs.task
    def fail() -> None:
        raise ValueError("no such boot")

    line = next(
        each
        for each in call(cli(fail()), "--log-level", "info").err.splitlines()
        if "fail (n0) failed" in each
    )
    assert "error" in line
    assert "no such boot" in line


def test_square_brackets_are_no_markup(call: Call) -> None:
    """What looks like Rich markup in a name or an error is shown as it stands."""

    @cs.task(name="[bold]x[/bold]")
    def odd() -> None: ...

    assert "[bold]x[/bold] (n0) started" in call(cli(odd()), "--log-level", "info").err


def test_a_wrong_level_is_a_usage_error(call: Call) -> None:
    """An unknown level or format exits with 2 and lists the known ones."""
    for option, known in (("--log-level", "debug"), ("--log-format", "json")):
        outcome = call(cli(give(1)), option, "loud")
        assert outcome.code == 2
        assert known in outcome.told


@cs.task
def half(number: int) -> float:
    return number / 2


@cs.task
def flaky_half(number: int) -> float:
    if number in _failing:
        _failing.remove(number)
        raise OSError(f"no {number} yet")
    return number / 2


_failing: set[int] = set()


def mapped() -> Any:
    _failing.update((2, 3))
    return flaky_half.map(range(9)).with_retry(1)


def test_each_line_has_run_item_and_attempt(call: Call) -> None:
    """Lines for people have the run and, for calls, the item and the attempt."""
    err = call(cli(mapped, run_id="r"), "--log-level", "debug").err
    assert "flaky_half (n0[2]) started  (run r, item 2, attempt 1)" in err
    assert (
        "flaky_half (n0[2]) failed, retry 1 of 1 in 0 s: OSError: no 2 yet  (run r, item 2, attempt 1)" in err
    )
    assert re.search(r"flaky_half \(n0\[2\]\) succeeded after 0\.\d+ s  \(run r, item 2, attempt 2\)", err)
    assert re.search(r"flaky_half \(n0\[4\]\) succeeded after 0\.\d+ s  \(run r, item 4, attempt 1\)", err)


def test_each_object_has_run_item_and_attempt(call: Call) -> None:
    """Objects have `run_id`, `task_name`, `item` and `attempt`; `item` is null for a call that is no item."""
    err = call(cli(mapped, run_id="r"), "--log-level", "debug", "--log-format", "json").err
    records = [json.loads(line) for line in err.splitlines()]
    ends = [each for each in records if each["event"] == "TaskExecutionFinished"]
    told = [(each["run_id"], each["task_name"], each["item"], each["attempt"]) for each in ends]
    assert sorted(told[:-1]) == [("r", "flaky_half", item, 2 if item in (2, 3) else 1) for item in range(9)]
    assert told[-1] == ("r", "flaky_half", None, 1)


def test_a_map_has_the_lines_of_one_call(call: Call) -> None:
    """At `info` a map's items have no lines; the line of its end says what became of them, however many there are."""
    app = cli(lambda: half.map(range(500)))
    lines = call(app, "--log-level", "info").err.splitlines()
    assert len(lines) == 4  # the run and the map, start and end
    assert "half (n0) succeeded after" in lines[2]
    assert "; items: 500 succeeded" in lines[2]
    [line] = [each for each in call(cli(mapped), "--log-level", "info").err.splitlines() if "items" in each]
    assert "; items: 9 succeeded, 2 retries" in line


def test_a_map_has_the_objects_of_one_call(call: Call) -> None:
    """So it is with objects: the one of its end has the counts."""
    err = call(cli(mapped), "--log-level", "info", "--log-format", "json").err
    records = [json.loads(line) for line in err.splitlines()]
    assert [each["event"] for each in records] == [
        "RunStarted",
        "TaskExecutionStarted",
        "TaskExecutionFinished",
        "RunFinished",
    ]
    assert records[2]["items"] == {"succeeded": 9, "retries": 2}


def test_by_default_a_map_tells_of_its_first_retry(call: Call) -> None:
    """At `warning`, where no ends are told, the first retry of an item has a line and the others have none."""
    [line] = call(cli(mapped), "--log-level", "warning").err.splitlines()
    assert "flaky_half (n0[2]) failed, retry 1 of 1" in line


def test_what_came_from_a_cache_is_counted(call: Call) -> None:
    """Items that the cache knew are counted apart from those that were called."""
    known = half.map([1, 1, 2]).with_cache(cs.ByInputs())
    err = call(cli(known), "--log-level", "info").err
    assert "; items: 2 succeeded, 1 from the cache" in err


SCRIPT = """
import logging
import cascade as cs

log = logging.getLogger("shop.orders")

@cs.task
def tell(number: int) -> int:
    log.info("number %d", number)
    return number

@cs.task(mode="thread")
def tell_in_thread(numbers: list) -> int:
    log.warning("all\\x1b[31m %s", numbers)
    logging.getLogger("quiet").debug("nobody asked for this")
    return len(numbers)

def flow():
    return tell_in_thread(tell.map([7]))
"""


def run_script(folder: Path, text: str, *options: str) -> str:
    (folder / "shop.py").write_text(text)
    command = [sys.executable, "-m", "cascade.cli", "run", "shop.py:flow", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return re.sub(r"\b[0-9a-f]{32}\b", "r", done.stderr)  # the name of the run


def test_what_tasks_log_is_in_the_log(tmp_path: Path) -> None:
    """Records of `logging` from the level on are lines too, with the call, also from threads; escapes are spelt out."""
    err = run_script(tmp_path, SCRIPT, "--log-level", "info")
    assert "info    shop.orders: number 7  (tell, run r, item 0, attempt 1)" in err
    assert r"warning shop.orders: all\x1b[31m [7]  (tell_in_thread, run r, attempt 1)" in err
    assert "nobody asked" not in err
    assert "\x1b" not in err
    by_default = run_script(tmp_path, SCRIPT)
    [line] = by_default.splitlines()
    assert "shop.orders: all" in line


def test_what_tasks_log_is_an_object_too(tmp_path: Path) -> None:
    """With `json` each record is an object with the logger, the text and the call."""
    err = run_script(tmp_path, SCRIPT, "--log-level", "info", "--log-format", "json")
    records = [json.loads(line) for line in err.splitlines()]
    [first, second] = [each for each in records if each["event"] == "LogRecord"]
    facts = ("level", "logger", "text", "run_id", "task_name", "item", "attempt")
    assert [first[name] for name in facts] == ["info", "shop.orders", "number 7", "r", "tell", 0, 1]
    assert (second["level"], second["task_name"], second["item"]) == ("warning", "tell_in_thread", None)
    assert second["text"] == "all\x1b[31m [7]"


def test_a_script_that_sets_up_logging_keeps_its_own(tmp_path: Path) -> None:
    """Where the root logger has handlers, records go there and nowhere else, with the fields of the call on them."""
    own = SCRIPT.replace(
        "import cascade as cs\n",
        'import cascade as cs\nlogging.basicConfig(format="MINE %(message)s <%(call)s>", level="INFO")\n',
    )
    lines = run_script(tmp_path, own).splitlines()
    assert lines[0] == "MINE number 7 <tell, run r, item 0, attempt 1>"
    assert len(lines) == 2
