"""Claims about `RayExecutor`, each on a real Ray of this machine."""

from __future__ import annotations

import pytest

from cascade.adapters.executors.ray import RayExecutor
from cascade.testing import ExecutorConformance

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("ray_cluster")]


class TestRayConformance(ExecutorConformance):
    def make_executor(self) -> RayExecutor:
        return RayExecutor()
