"""What happens when Ray's own processes die under an engine.

Each claim is tried on a real Ray, in a process of its own. Nobody waits in vain: neither a call, nor a fetch, nor a
close, nor the end of the program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server, pytest.mark.one_python]

TESTS = Path(__file__).parents[3] / "tests"

LIMIT = 150.0
"""Where a program that hangs ends: the longest of them takes 30 seconds."""


def said_by(program: str, *words: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", f"from support.ray_deaths import {program}; {program}(*{words})"],
        env={**environment, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("> ")]


DEATHS = ["raylet", "gcs", "both"]
MOMENTS = {
    "calls": ["4", "ClusterGoneError", "9", "ClusterGoneError", "16", "closed False"],
    "maps": ["4", "ClusterGoneError", "True", "closed False"],
    "between": ["4", "9", "16", "closed False"],
}
OFTEN = ("raylet", "calls")
"""What is tried in each run; the rest takes minutes."""


@pytest.mark.parametrize(
    ("which", "moment"),
    [
        pytest.param(*each, marks=[] if each == OFTEN else [pytest.mark.soak])
        for each in product(DEATHS, MOMENTS)
    ],
)
def test_an_engine_gets_another_ray_when_its_own_has_died(which: str, moment: str) -> None:
    """Calls under way fail with a `ClusterGoneError`, which their retries handle; what comes then has a new Ray."""
    assert said_by("own_ray", which, moment) == MOMENTS[moment]


@pytest.mark.soak
@pytest.mark.parametrize("which", DEATHS)
def test_values_are_lost_with_their_ray(which: str) -> None:
    """Who fetches one, or takes it as an argument, gets a `HandleLostError`, or the value if it is made again."""
    assert said_by("values", which) == ["HandleLostError"] * 3 + ["50000", "50001", "50001"]


@pytest.mark.parametrize(
    "which", ["both", *(pytest.param(each, marks=pytest.mark.soak) for each in DEATHS[:2])]
)
def test_a_program_ends_whose_ray_has_died(which: str) -> None:
    """Although nobody has closed its executor."""
    assert said_by("exit_without_close", which) == ["4"]


@pytest.mark.soak
@pytest.mark.parametrize("which", DEATHS)
def test_a_ray_of_the_program_is_its_own_affair(which: str) -> None:
    """If it has died, calls fail until the program initialises another one."""
    assert said_by("rays_of_programs", which) == ["ClusterGoneError", "ClusterGoneError", "16", "True"]


@pytest.mark.soak
@pytest.mark.parametrize("which", DEATHS)
def test_a_cluster_with_an_address_may_be_gone_for_good(which: str) -> None:
    """Then a call under way fails, and so does each later one."""
    assert said_by("address", which) == ["4", "ClusterGoneError", "ClusterGoneError"]


@pytest.mark.soak
def test_a_client_does_not_wait_for_a_cluster_that_is_gone() -> None:
    """Neither a call under way nor a later one."""
    assert said_by("client") == ["ClusterGoneError", "ClusterGoneError"]


@pytest.mark.soak
def test_ray_does_not_end_a_program_that_has_nothing_under_way() -> None:
    """It would after a minute without its control service; the executor disconnects before that."""
    assert said_by("idle", "gcs") == ["4", "9"]
