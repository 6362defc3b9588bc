"""What a command writes: results as text or JSON, on any terminal, without a traceback of ours."""

from __future__ import annotations

import enum
import json
import math
import os
import subprocess
import sys
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from support.commands import Call, Write

import cascade as cs
from cascade.cli import cli


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Trip:
    city: str
    days: tuple[int, ...]


Pair = namedtuple("Pair", ["first", "second"])


class Broken:
    """Fails whenever it is to be shown."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@cs.task
def give(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\nb", "a\nb"),
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (math.nan, None),
        ([math.inf, -math.inf], [None, None]),
        ({"a": (1, [2])}, {"a": [1, [2]]}),
        ({1: "x", None: "y", True and 2.5: "z"}, {"1": "x", "null": "y", "2.5": "z"}),
        ({Color.RED: 1, date(2026, 1, 2): 2}, {"red": 1, "2026-01-02": 2}),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (deque([1, 2]), [1, 2]),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Trip("Oslo", (1, 2)), {"city": "Oslo", "days": [1, 2]}),
        (Pair(1, 2), {"first": 1, "second": 2}),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (time(3, 4), "03:04:00"),
        (timedelta(minutes=1), 60.0),
        (Path("a") / "b", str(Path("a") / "b")),
        (Decimal("1.50"), "1.50"),
        (Fraction(1, 3), "1/3"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.float64(1.5), 1.5),
        (np.int32(3), 3),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.Series([1.0, math.nan]), [1.0, None]),
    ],
)
def test_results_are_json_if_asked_for(call: Call, value: object, told: object) -> None:
    """`--result json` prints one JSON value: models as objects, numbers that JSON has not as `null`."""
    outcome = call(cli(give(value)), "--result", "json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == told
    assert "NaN" not in outcome.out


def test_a_secret_in_a_result_does_not_show(call: Call) -> None:
    """A secret value is `***` in JSON as everywhere."""
    app = cli(lambda: give([cs.Secret("token")]))
    assert json.loads(call(app, "--token", "hunter2", "--result", "json").out) == ["***"]


circular: list[Any] = []
circular.append(circular)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [object()]}, "the result['a'][0] is of type object, which has no form in JSON"),
        (b"x", "the result is of type bytes"),
        (1j, "the result is of type complex"),
        ({(1, 2): 3}, "a key of the result is of type tuple"),
        ({1: "a", "1": "b"}, "the key '1' of the result"),
        (circular, "holds itself"),
        (Broken(), "the result is of type Broken"),
    ],
)
def test_what_has_no_form_in_json_is_told_by_its_place(call: Call, value: object, told: str) -> None:
    """A part that JSON can't hold is one line with its place and a remedy, and exit code 1."""
    outcome = call(cli(give(value)), "--result", "json")
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (1, "", 1)
    assert "the run has succeeded" in outcome.err
    assert told in outcome.err
    assert "--result json" in outcome.err


@pytest.mark.parametrize("value", [Broken(), [Broken()], {"a": Broken()}, {Broken(): 1}])
def test_a_result_that_can_not_be_shown_is_one_line(call: Call, value: object) -> None:
    """A `__str__` or `__repr__` that fails is told in one line, without a traceback."""
    outcome = call(cli(give(value)))
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (1, "", 1)
    assert f"its result, of type {type(value).__name__}, can't be printed: ValueError: no text" in outcome.err


def test_an_error_about_a_result_is_an_object_with_log_format_json(call: Call) -> None:
    """With `--log-format json` this is an object as well."""
    outcome = call(cli(give(Broken())), "--log-format", "json")
    assert json.loads(outcome.err)["event"] == "CommandFailed"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_any_terminal_can_show_any_result(write: Write, encoding: str, form: str) -> None:
    """What the encoding of stdout does not have is spelt out: half characters, arrows, other scripts."""
    write(
        "odd.py",
        "@cs.task\ndef give(): return ['\\udc80', '\\u2192 \\u65e5\\u672c \\xe9', '\\U0001f511']\n"
        "def workflow():\n    '''\\u2192 An arrow.'''\n    return give()\n",
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for words in (("--result", form), ("--help",)):
        done = subprocess.run(
            [sys.executable, "-m", "cascade.cli", "run", "odd.py", *words],
            capture_output=True,
            check=False,
            env=environment,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        done.stdout.decode(encoding)
        if form == "json" and words[0] == "--result":
            assert json.loads(done.stdout.decode(encoding)) == [
                "\udc80",
                "\u2192 \u65e5\u672c \xe9",
                "\U0001f511",
            ]


def test_output_fails_for_odd_characters_again_when_the_command_has_ended(call: Call) -> None:
    """A program that calls a command finds its stdout as it was."""
    before = sys.stdout.errors
    call(cli(give("\udc80")))
    assert sys.stdout.errors == before
