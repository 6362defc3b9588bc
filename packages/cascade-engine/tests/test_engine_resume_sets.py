"""Claims about maps over sets: in a run that goes on, each item is still the one that its value was recorded for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.resuming import give, play

import cascade as cs
from cascade.spec import MapError

MODULE = """
import os
import cascade as cs
@cs.task
def names():
    return {f"name {number}" for number in range(12)}
@cs.task
def shout(name):
    if name == "name 7" and os.environ.get("FAIL"):
        raise ValueError("stopped")
    return name.upper()
@cs.task
def gather(given):
    return sorted(given)
def main(url):
    try:
        print(cs.run(gather(shout.map(name=names())), state=url, run_id="r"))
    except ValueError as error:
        print(error)
"""


def run_with_seed(folder: Path, url: str, seed: int, fail: bool = False) -> str:
    """Run the map in a process of its own, in which sets have an order of their own."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import sys, set_flow; set_flow.main(sys.argv[1])", url],
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONHASHSEED": str(seed),
            "FAIL": "yes" if fail else "",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_map_over_a_computed_set_goes_on_in_another_process(url: str, tmp_path: Path, seed: int) -> None:
    """Processes have the members of a set in different orders; no item is lost or taken for another by that."""
    (tmp_path / "set_flow.py").write_text(MODULE)
    assert run_with_seed(tmp_path, url, seed=1, fail=True) == "stopped"
    expected = str(sorted(f"NAME {number}" for number in range(12)))
    assert run_with_seed(tmp_path, url, seed=seed) == expected


class Shy:
    """Has no canonical form."""


@pytest.mark.usefixtures("story")
async def test_a_set_without_an_order_that_lasts_is_refused_by_name(url: str) -> None:
    """A set of what has no canonical form, as an input given in code, is no input of a recorded map."""
    shy = frozenset({Shy()})
    target = give.map(name=cs.Param("shy", type=frozenset), value=[1])
    again = await play(url, target, params={"shy": shy})
    assert isinstance(again.error, MapError)
    assert "Shy" in str(again.error)
