"""Events: the same run with nobody listening and with a listener on every event."""

from __future__ import annotations

import pytest

from observatory.benchmarks.conftest import Watch
from observatory.contest import Contestants
from observatory.rows.features import EVERY_EVENT
from observatory.workloads import BY_NAME


@pytest.mark.parametrize("size", [10, 100, 1_000])
@pytest.mark.parametrize("listening", [False, True], ids=["nobody", "listener"])
@pytest.mark.parametrize("name", ["chain", "fan_out", "simple_countdown"])
@pytest.mark.benchmark(group="listening")
def test_listening(name: str, listening: bool, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.again(EVERY_EVENT.engine() if listening else None))
