"""Claims about large parameters of runs that keep their inputs: they are in the value store."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.large_params import measured, workflow
from support.recovering import HELD, until
from support.value_stores import MemoryValues

import cascade as cs
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime import RecoveryOutcome
from cascade.spec.errors import RunValuesError

SIZE = 300_000
OVER = 10_000


async def interrupted(url: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run, and close its engine in the midst of it."""
    monkeypatch.setenv(HELD, "1")
    async with cs.Engine(state=url, **settings) as engine:
        await engine.run(measured(b"", ""), run_id="first")  # now there is a store
        run = asyncio.create_task(
            engine.run(workflow, params={"data": bytes(SIZE)}, run_id="r", keep_inputs=True)
        )
        with closing(catalog_from_url(url)) as catalog:
            await until(lambda: bool(catalog.inputs("r")))
    await asyncio.gather(run, return_exceptions=True)
    monkeypatch.delenv(HELD)


async def test_a_large_parameter_is_in_the_value_store(
    every_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the store; a run that is recovered reads it there. It goes when the run has succeeded."""
    store = MemoryValues()
    settings: dict[str, Any] = {"values": store, "values_over": OVER}
    await interrupted(every_url, settings, monkeypatch)
    with closing(catalog_from_url(every_url)) as catalog:
        kept = catalog.inputs("r")
    assert kept is not None
    assert len(kept) < OVER
    (size,) = [len(data) for _, data in store.kept.values()]
    assert size > SIZE
    async with cs.Engine(state=every_url, **settings) as engine:
        (found,) = await engine.recover()
        assert found.outcome is RecoveryOutcome.SUCCEEDED, found.error
        assert await engine.run(workflow, params={"data": bytes(SIZE)}, run_id="r") == SIZE
    assert not store.kept


async def test_without_the_value_store_the_run_waits_for_who_has_it(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is given no value store can't go on with such a run: the error says so, and another worker can."""
    settings: dict[str, Any] = {"values": f"file://{tmp_path}/values", "values_over": OVER}
    await interrupted(file_url, settings, monkeypatch)
    async with cs.Engine(state=file_url) as engine:
        (found,) = await engine.recover()
        assert isinstance(found.error, RunValuesError)
    async with cs.Engine(state=file_url, **settings) as engine:
        (found,) = await engine.recover()
        assert found.outcome is RecoveryOutcome.SUCCEEDED, found.error
