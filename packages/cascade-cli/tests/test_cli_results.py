"""What a generated command leaves behind: its result, its failures and its exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import Call

import cascade as cs
from cascade.cli import cli


@cs.task
def give(value: Any) -> Any:
    return value


@cs.task
def break_it(value: Any = None) -> Any:
    raise LookupError(f"no {value} here")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("two\nlines", "two\nlines\n"),
        (None, ""),
        (0, "0\n"),
        (False, "False\n"),
        ("", "\n"),
        (2.5, "2.5\n"),
        (Path("a"), "a\n"),
        ({"b": 1, "a": [2]}, "{'b': 1, 'a': [2]}\n"),
        (b"\x00", "b'\\x00'\n"),
    ],
)
def test_the_result_goes_to_stdout(call: Call, value: object, printed: str) -> None:
    """Text is printed as it is, `None` not at all, and other values so that people can read them."""
    outcome = call(cli(give(value)))
    assert (outcome.code, outcome.out, outcome.err) == (0, printed, "")


def test_a_large_result_is_laid_out(call: Call) -> None:
    """A long list or dict takes one line per entry."""
    outcome = call(cli(give({f"key {number}": "x" * 30 for number in range(5)})))
    assert len(outcome.out.splitlines()) == 5


def test_a_failure_shows_the_tasks_own_traceback(call: Call) -> None:
    """A workflow that fails exits 1 and shows the traceback of the user's frames, without the engine's or asyncio's."""
    outcome = call(cli(give(break_it("bread"))))
    assert (outcome.code, outcome.out) == (1, "")
    assert "Traceback (most recent call last)" in outcome.err
    assert "LookupError: no bread here" in outcome.err
    assert "in break_it" in outcome.err
    files = [line for line in outcome.err.splitlines() if line.lstrip().startswith("File ")]
    assert len(files) == 1
    assert __file__ in files[0]


def test_a_failure_in_a_thread_or_coroutine_shows_no_frames_but_the_users(call: Call) -> None:
    """Async tasks and thread tasks fail with the user's frames only, causes included."""

    @cs.task(mode="thread")
    def in_thread() -> None:
        try:
            int("a")
        except ValueError as error:
            raise ValueError("in a thread") from error

    @cs.task
    async def in_loop() -> None:
        raise ValueError("in the loop")

    for task in (in_thread, in_loop):
        outcome = call(cli(task()))
        assert outcome.code == 1
        files = [line for line in outcome.err.splitlines() if line.lstrip().startswith("File ")]
        assert files
        assert all(__file__ in line for line in files), outcome.err


def test_a_failure_keeps_its_notes(call: Call) -> None:
    """The traceback ends with the notes that say which task it was."""
    outcome = call(cli(give(break_it())))
    assert "break_it" in outcome.err.split("LookupError: ")[1]


def test_on_failure_finish_shows_each_failure(call: Call) -> None:
    """With `on_failure="finish"` every failed task is in the output, each with its traceback."""

    @cs.task
    def first() -> None:
        raise ValueError("the first")

    @cs.task
    def second() -> None:
        raise TypeError("the second")

    outcome = call(cli([first(), second()], on_failure="finish"))
    assert outcome.code == 1
    assert "ValueError: the first" in outcome.err
    assert "TypeError: the second" in outcome.err
    assert "cascade/runtime" not in outcome.err.replace(os.sep, "/")


def test_a_missing_resource_is_one_line(call: Call) -> None:
    """What is wrong before any task runs is told in one line that names it, with exit code 1 and no traceback."""

    @cs.task
    def ask(db: Any) -> None: ...

    outcome = call(cli(ask(cs.inject("db"))))
    assert (outcome.code, outcome.out) == (1, "")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("Error: ")
    assert "'db'" in outcome.err


def test_an_environment_variable_that_is_not_set_is_an_input_error(call: Call) -> None:
    """A missing or ill-typed variable is one line and exit code 2."""
    app = cli(lambda: give(cs.Env("CASCADE_TEST_PORT", type=int)))
    outcome = call(app)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert "CASCADE_TEST_PORT" in outcome.err


def test_an_unknown_preset_is_an_input_error(call: Call) -> None:
    """A value for a parameter that the workflow does not have is one line that names the known ones; exit code 2."""
    outcome = call(cli(lambda: give(cs.Param("top", 1)), params={"tpo": 3}))
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert "'tpo'" in outcome.err
    assert "top" in outcome.err


def test_resources_and_capacity_are_handed_to_the_engine(call: Call) -> None:
    """`resources=` are there for the tasks, and `system_resources=` for their constraints."""

    @cs.resource
    def db() -> Iterator[str]:
        yield "the database"

    @cs.task
    def ask(db: Any) -> Any:
        return db

    lazy = ask(cs.inject(db)).with_constraints(gpu=1)
    assert call(cli(lazy, resources=[db], system_resources={"gpu": 1})).out == "the database\n"
    assert call(cli(lazy, resources=[db])).code == 1


def test_an_executor_is_handed_to_the_engine(call: Call) -> None:
    """`executor=` makes the calls."""
    seen = []

    class Spy:
        async def execute(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            seen.append(node.name)
            return node.callable_obj(*args, **kwargs)

    assert call(cli(lambda: give(5), executor=Spy())).out == "5\n"
    assert "give" in seen
