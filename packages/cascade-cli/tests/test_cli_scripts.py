"""Claims about a file that is run by itself: it is the same workflow as when a command imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIP = """
from dataclasses import dataclass
import cascade as cs

@dataclass
class Leg:
    miles: int

@cs.task
def leg(miles):
    print("leg", miles)
    return Leg(miles)

@cs.task
def total(one, two):
    return one.miles + two.miles

@cs.task
def again(n, leg):
    return again(n - 1, leg) if n else leg

@cs.task
def check(leg):
    import os
    if os.environ.get("FAILS"):
        raise RuntimeError("stopped")
    return leg

def workflow():
    first = leg(3)
    return total(again(2, first), check(leg(4).after(first)))

if __name__ == "__main__":
    cs.cli(workflow)()
"""


def run(*words: str, cwd: Path, fails: bool = False) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FAILS": "1" if fails else "", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


COMMAND = ("-m", "cascade.cli")
BY_ITSELF = ("{file}", "--run-id", "m", "--state", "sqlite:///runs.db")
RESUMED = (*COMMAND, "runs", "resume", "m", "{file}", "--state", "sqlite:///runs.db")
IMPORTED = (*COMMAND, "run", "{file}", "--run-id", "m", "--state", "sqlite:///runs.db")


@pytest.mark.parametrize("file", ["trip.py", "json.py", "a.b.py", "my-trip.py", "trip"])
@pytest.mark.parametrize(("first", "second"), [(BY_ITSELF, RESUMED), (IMPORTED, BY_ITSELF)])
def test_a_script_and_a_command_mean_one_run(
    tmp_path: Path, file: str, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """What `python FILE` has begun, a command goes on with, and the other way round: in values of own classes too."""
    (tmp_path / file).write_text(TRIP)
    words = [[each.format(file=f"./{file}") for each in way] for way in (first, second)]
    begun = run(*words[0], cwd=tmp_path, fails=True)
    assert "RuntimeError: stopped" in begun.stderr, begun.stderr[-2000:]
    assert "leg 3" in begun.stdout
    ended = run(*words[1], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "leg" not in ended.stdout
    assert "7" in ended.stdout


SHARED = """
import cascade as cs
{read}

@cs.task(cache=cs.ByInputs())
def price(x):
    return {use}

print(cs.run(price(1), cache="sqlite:///{cache}"))
"""


@pytest.mark.parametrize(
    ("read", "use"),
    [
        ("RATE = {number}", "RATE"),
        ("RATES = {{'a': {number}}}", "RATES['a']"),
        ("RATES = [{number}]", "RATES[0]"),
        ("import helpers", "helpers.rate()"),
        ("from helpers import RATES", "RATES['a']"),
        ("class Rates:\n    def __init__(self): self.a = {number}\nRATES = Rates()", "RATES.a"),
    ],
)
def test_scripts_of_one_name_share_no_values_if_they_read_others(tmp_path: Path, read: str, use: str) -> None:
    """Scripts of one name with the same task and one cache have values of their own where what they read differs."""
    printed = []
    for number in (1, 2, 1):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        text = SHARED.format(read=read.format(number=number), use=use, cache=tmp_path / "cache.db")
        (folder / "trip.py").write_text(text)
        (folder / "helpers.py").write_text(f"RATES = {{'a': {number}}}\ndef rate(): return {number}\n")
        printed.append(run("trip.py", cwd=folder).stdout.strip())
    assert printed == ["1", "2", "1"]


def test_scripts_that_read_the_same_share_values(tmp_path: Path) -> None:
    """Where a code version sees all that a task reads, it does not matter where the script lies."""
    text = SHARED.format(
        read="import uuid\nN = 5", use="str(uuid.uuid4()) + str(N)", cache=tmp_path / "cache.db"
    )
    printed = []
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "trip.py").write_text(text)
        printed.append(run("trip.py", cwd=tmp_path / name).stdout.strip())
    assert printed[0] == printed[1] != ""
