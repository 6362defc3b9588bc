"""Importing: what each wheel costs over a bare interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from observatory.benchmarks.conftest import repeated

STATEMENTS = {
    "nothing": "pass",
    "cascade": "import cascade",
    "cascade.spec": "import cascade.spec",
    "cascade.graph": "import cascade.graph",
    "cascade.runtime": "import cascade.runtime",
    "cascade.cli": "import cascade.cli",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
@pytest.mark.benchmark(group="a new interpreter")
def test_import(benchmark: BenchmarkFixture, statement: str) -> None:
    command = [sys.executable, "-c", statement]
    done = repeated(benchmark, lambda: subprocess.run(command, check=True))
    assert done.returncode == 0
