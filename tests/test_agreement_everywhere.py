"""The same random workflows wherever functions run: here, in threads, in processes, on Dask and on Ray.

What each gives is compared with the reference interpreter: values, skips, errors, events, calls and their facts. Calls
in other processes are noted in a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from descriptions import CAPACITY, LEDGER, SharedWorld, Workflow, make_tasks
from hypothesis import given, settings
from support.examples import examples
from test_agreement import QUICK, agree
from workflows import workflows

from cascade.adapters.executors.executor_words import executor_from_word
from cascade.runtime import Engine, MessageBus
from cascade.runtime.protocols import Executor

FEW = {"inline": 40, "threads:2": 25, "processes:2": 25, "dask": 12, "ray": 12}
MANY = {"inline": 5_000, "threads:2": 3_000, "processes:2": 1_500, "dask": 500, "ray": 500}
CLUSTERS = {"dask": "dask_address", "ray": "ray_cluster"}
"""The fixtures that start the clusters."""


@pytest.fixture(scope="session")
def word(request: pytest.FixtureRequest) -> str:
    """Return the word of an executor; its cluster runs."""
    found: str = request.param
    address = request.getfixturevalue(CLUSTERS[found]) if found in CLUSTERS else ""
    return str(address).replace("tcp://", "dask://") if found == "dask" else found


@pytest.fixture
def executor(word: str, shared_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the executor of a word; for a cluster the word, of which each engine makes one for its loop."""
    monkeypatch.setenv(LEDGER, str(shared_ledger))
    make_tasks(14, 2)
    if kind_of(word) in CLUSTERS:
        yield word
        return
    made = executor_from_word(word)
    yield made
    asyncio.run(made.close())


EVERYWHERE = pytest.mark.parametrize(
    "word",
    [pytest.param(word, marks=[pytest.mark.server] if word in CLUSTERS else []) for word in FEW],
    indirect=True,
)


def kind_of(word: str) -> str:
    return word.partition("://")[0]


def check_examples(executor: Executor | str, number: int) -> None:
    def engine_of(bus: MessageBus) -> Engine:
        return Engine(bus=bus, system_resources={"gpu": CAPACITY}, executor=executor)

    @settings(QUICK, max_examples=number)
    @given(workflows())
    def check(workflow: Workflow) -> None:
        agree(workflow, engine_of, make_world=SharedWorld)

    check()


@EVERYWHERE
def test_a_workflow_means_the_same_wherever_it_runs(executor: Executor | str, word: str) -> None:
    """On any workflow, on any executor: the values, skips, errors, events, calls and facts of the reference."""
    check_examples(executor, examples(FEW[kind_of(word)]))


@pytest.mark.soak
@EVERYWHERE
def test_a_workflow_means_the_same_wherever_it_runs_for_long(executor: Executor | str, word: str) -> None:
    """The same on very many workflows."""
    check_examples(executor, MANY[kind_of(word)])
