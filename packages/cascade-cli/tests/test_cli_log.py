"""`--log-level` and `--log-format`: the events of a run on stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
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
