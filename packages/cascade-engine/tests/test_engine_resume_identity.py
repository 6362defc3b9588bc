"""Claims about what tells a recorded run from another one, from its first call on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import RunChangedError
from cascade.spec import SpecError

SCRIPT = """
import os, signal, sys
import cascade as cs

@cs.task
def pay(key=cs.inject("idempotency_key")):
    print(key, flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return key

cs.run(pay(), state=f"sqlite:///{sys.argv[1]}", run_id="order")
"""


def test_a_call_that_was_killed_as_the_first_of_its_run_gets_the_same_key_again(tmp_path: Path) -> None:
    """A run that is killed in its very first call gives that call the same idempotency key when it goes on."""
    script = tmp_path / "flow.py"
    script.write_text(SCRIPT)

    def key(what: str) -> str:
        done = subprocess.run(
            [sys.executable, script, tmp_path / "runs.db", what], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    first = key("die")
    assert len(first) == 32
    assert key("live") == first


@cs.task
def fetch(page: int) -> int:
    fetched.append(page)
    return page


@cs.task
def report(pages: list[int]) -> int:
    if len(fetched) < 3:
        raise ConnectionError
    return sum(pages)


fetched: list[int] = []


def test_a_policy_says_how_a_call_is_made_and_not_what_it_gives(tmp_path: Path) -> None:
    """A run whose policies alone have changed is refused as another one; what is compatible keeps all values."""
    state = f"sqlite:///{tmp_path / 'runs.db'}"
    fetched.clear()
    with pytest.raises(ConnectionError):
        cs.run(report([fetch(1), fetch(2)]), state=state, run_id="r")
    changed = report([fetch(1).with_retry(5), fetch(2)])
    with pytest.raises(RunChangedError, match="structure"):
        cs.run(changed, state=state, run_id="r")
    fetched.append(3)
    assert cs.run(changed, state=state, run_id="r", resume="compatible") == 3
    assert fetched == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"run_id": 5}, "run_id=5"),
        ({"run_id": ""}, "run_id=''"),
        ({"state": Path("runs.db")}, "a state of type PosixPath"),
        ({"cache": Path("cache.db")}, "a cache of type PosixPath"),
        (
            {"state": "sqlite:///runs.db", "run_id": "r", "resume": "exact", "restart": True},
            "give one of them",
        ),
        ({"state": "sqlite:///runs.db", "resume": "compatible"}, "without a run_id"),
        ({"run_id": "r", "restart": True}, "nothing is recorded"),
        ({"durability": "sync"}, "without the URL of a store"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(settings: dict[str, Any], told: str) -> None:
    """Settings of a run that can't be meant are refused with what to write, and no task is called."""
    fetched.clear()
    with pytest.raises(SpecError, match=told):
        cs.run(fetch(1), **settings)
    assert not fetched
