"""The conformance suite of durable state backends: what was committed is there when the run is opened again."""

from __future__ import annotations

import asyncio

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.durable import (
    DurableStateBackend,
)
from cascade.spec.errors import RunActiveError, StoreError
from cascade.testing.conformance.durable_facts import DurableFacts
from cascade.testing.conformance.durable_forgetting import DurableForgetting
from cascade.testing.conformance.durable_parts import LABEL, check_refused, record, run_check
from cascade.testing.conformance.durable_provisional import DurableProvisional
from cascade.testing.conformance.sample_keys import item_of, node_at, round_of_run

_MANY = 10_000
_RUN_IDS = [
    "",
    "a",
    "A",
    "a ",
    " a",
    "a/b",
    "a:b",
    "a:b:c",
    "a\x00b",
    "ä",
    "a\u0308",
    "*",
    "../a",
    "'",
    '"',
    "%s",
    "x" * 500,
]


class DurableStateBackendConformance(DurableFacts, DurableForgetting, DurableProvisional):
    """Tests for a `DurableStateBackend`. They include those for a `StateBackend`.

    Subclass it and say in `make_backend` how to make a backend. All backends of one test use the same store, which is
    empty at first. If a store lets a newcomer wait for a run that is taken, let it wait for a moment only. Each test
    runs in an event loop of its own.
    """

    # Commits

    def test_a_commit_of_nothing_does_nothing(self) -> None:
        """A commit without changes is no error, and changes nothing."""

        async def check() -> None:
            backend = await self._opened_new()
            await backend.commit()
            backend.begin(record())
            backend.keep_result(node_at(), 1, LABEL)
            await backend.commit()
            await backend.commit()
            await backend.close()
            backend = await self._opened()
            assert backend.get_result(node_at()) == 1
            await backend.close()

        run_check(check)

    def test_a_commit_may_be_large(self) -> None:
        """Ten thousand facts in as many frames, and values of a megabyte, are committed as one."""

        def keep(backend: DurableStateBackend) -> None:
            for number in range(_MANY):
                backend.keep_result(NodeKey(item_of(round_of_run(), number), ROOT), number, LABEL)
            backend.keep_result(node_at(0), "x" * 2**20, LABEL)
            backend.keep_result(node_at(1), b"\x00" * 2**20, LABEL)

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            for number in range(_MANY):
                assert backend.get_result(NodeKey(item_of(round_of_run(), number), ROOT)) == number
            assert backend.get_result(node_at(0)) == "x" * 2**20
            assert backend.get_result(node_at(1)) == b"\x00" * 2**20
            await backend.close()

        run_check(check)

    def test_a_commit_that_is_cancelled_is_whole_or_nothing(self) -> None:
        """However far a commit has come when it is cancelled, all of it is stored or nothing."""

        async def check() -> None:
            await self._begun()
            for turns in range(12):
                backend = await self._opened()
                for number in range(100):
                    backend.keep_result(node_at(number), turns, LABEL)
                committing = asyncio.ensure_future(backend.commit())
                for _ in range(turns):
                    await asyncio.sleep(0)
                committing.cancel()
                await asyncio.wait([committing])
                await backend.close()
                backend = await self._opened()
                found = {
                    backend.get_result(node_at(number)) if backend.has_result(node_at(number)) else None
                    for number in range(100)
                }
                assert len(found) == 1
                await backend.close()

        run_check(check)

    def test_a_run_that_is_not_open_can_not_be_written(self) -> None:
        """A commit before `open` and after `close` is a `StoreError`."""

        async def check() -> None:
            backend = self.make_backend()
            backend.begin(record())
            await check_refused(backend.commit(), StoreError)
            await backend.close()
            backend = await self._opened_new()
            await backend.close()
            backend.begin(record())
            await check_refused(backend.commit(), StoreError)
            await backend.close()

        run_check(check)

    # Who drives a run

    def test_a_run_is_driven_by_one(self) -> None:
        """Who opens a run that is open is refused by name, as often as it tries, and can open it once it is closed."""

        async def check() -> None:
            first = await self._opened_new()
            first.begin(record())
            for _ in range(2):
                second = self.make_backend()
                refused = await check_refused(second.open(), RunActiveError)
                assert isinstance(refused, RunActiveError)
                assert refused.run_id == "run"
                await second.close()
            first.keep_result(node_at(), 1, LABEL)
            await first.commit()
            await first.close()
            third = await self._opened()
            assert third.get_result(node_at()) == 1
            await third.close()

        run_check(check)

    def test_closing_may_be_repeated(self) -> None:
        """A backend may be closed twice, and without having been opened."""

        async def check() -> None:
            await self.make_backend().close()
            backend = await self._opened_new()
            await backend.close()
            await backend.close()
            await (await self._opened_new()).close()

        run_check(check)

    def test_runs_of_one_store_share_nothing(self) -> None:
        """Runs that are driven at the same time keep their own facts, and one is begun anew without the others."""

        async def check() -> None:
            names = [f"run {number}" for number in range(8)]

            async def drive(run_id: str) -> None:
                backend = self.make_backend(run_id)
                assert await backend.open() is None
                backend.begin(record(run_id))
                for number in range(10):
                    backend.keep_result(node_at(number), (run_id, number), LABEL)
                    await backend.commit()
                await backend.close()

            await asyncio.gather(*map(drive, names))
            backend = self.make_backend(names[0])
            assert await backend.open() == record(names[0])
            backend.begin(record("anew"))
            await backend.commit()
            await backend.close()
            for run_id in names[1:]:
                backend = self.make_backend(run_id)
                assert await backend.open() == record(run_id)
                assert [backend.get_result(node_at(number)) for number in range(10)] == [
                    (run_id, number) for number in range(10)
                ]
                await backend.close()

        run_check(check)

    def test_a_run_id_may_be_any_text(self) -> None:
        """Run ids are equal only as whole texts: case, length and any character count."""

        async def check() -> None:
            for run_id in _RUN_IDS:
                backend = self.make_backend(run_id)
                assert await backend.open() is None
                backend.begin(record(run_id))
                backend.keep_result(node_at(), run_id, LABEL)
                await backend.commit()
                await backend.close()
            for run_id in _RUN_IDS:
                backend = self.make_backend(run_id)
                assert await backend.open() == record(run_id)
                assert backend.get_result(node_at()) == run_id
                await backend.close()

        run_check(check)

    # Damage

    def test_a_damaged_value_is_an_error(self) -> None:
        """A stored value in which a bit was changed is a `CascadeError`, never another value."""
        self._check_unreadable(self.damage)

    def test_a_run_is_begun_anew_whatever_is_stored(self) -> None:
        """Opened anew, a run has no record and no facts; what was stored of it, damaged too, is gone for good."""

        def keep(backend: DurableStateBackend) -> None:
            for number in range(10):
                backend.keep_result(node_at(number), number, LABEL)

        async def check() -> None:
            await self._begun(keep)
            await asyncio.to_thread(self.damage, "run")
            backend = self.make_backend()
            assert await backend.open(anew=True) is None
            backend.begin(record("anew"))
            assert not any(backend.has_result(node_at(number)) for number in range(10))
            backend.keep_result(node_at(0), "anew", LABEL)
            await backend.commit()
            await backend.close()
            backend = await self._opened(record("anew"))
            assert [number for number in range(10) if backend.has_result(node_at(number))] == [0]
            assert backend.get_result(node_at(0)) == "anew"
            await backend.close()

        run_check(check)

    def test_a_swapped_value_is_an_error(self) -> None:
        """A stored value that stands in the place of another is a `CascadeError`, never that one's value."""
        self._check_unreadable(self.swap)
