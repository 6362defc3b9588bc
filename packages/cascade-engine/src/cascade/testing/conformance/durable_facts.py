"""The part of the suite of durable state backends about facts that are kept."""

from __future__ import annotations

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.durable import (
    DurableStateBackend,
    NextRound,
    Note,
    RunStatus,
)
from cascade.testing.conformance.durable_parts import (
    LABEL,
    DurableParts,
    record,
    round_of,
    run_check,
)
from cascade.testing.conformance.sample_keys import (
    VALUES,
    different_keys,
    node_at,
    path_of,
    round_at,
    round_of_run,
)
from cascade.testing.conformance.sample_tasks import give, show


class DurableFacts(DurableParts):
    """What was committed is there when the run is opened again, and is equal."""

    def test_a_new_run_has_no_record(self) -> None:
        """Who opens a run that was never begun gets no record and no facts."""

        async def check() -> None:
            backend = await self._opened_new()
            assert not backend.has_result(node_at())
            assert not backend.holds(round_of_run())
            assert backend.get_target(None) is None
            await backend.close()

        run_check(check)

    def test_a_record_is_given_back(self) -> None:
        """The record that a run was begun with is there when it is opened again, equal in every field."""

        async def check() -> None:
            await self._begun()
            await (await self._opened(record())).close()

        run_check(check)

    def test_a_record_is_replaced(self) -> None:
        """`put_record` replaces the record and keeps the facts."""

        async def check() -> None:
            await self._begun(lambda backend: backend.keep_result(node_at(), 1, LABEL))
            await self._changed(lambda backend: backend.put_record(record("another")))
            backend = await self._opened(record("another"))
            assert backend.get_result(node_at()) == 1
            await backend.close()

        run_check(check)

    def test_kept_values_are_given_back(self) -> None:
        """What was kept and committed is there, equal and of its type, `None` and other falsy values like any other."""

        def keep(backend: DurableStateBackend) -> None:
            for number, value in enumerate(VALUES):
                backend.keep_result(node_at(number), value, LABEL)

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            for number, value in enumerate(VALUES):
                assert backend.has_result(node_at(number))
                assert backend.get_result(node_at(number)) == value
                assert type(backend.get_result(node_at(number))) is type(value)
                assert backend.get_skip_reason(node_at(number)) is None
            await backend.close()

        run_check(check)

    def test_a_kept_value_is_there_at_once(self) -> None:
        """What was kept can be read before it is committed, and is the very object."""

        async def check() -> None:
            value = [1]
            backend = await self._opened_new()
            backend.begin(record())
            backend.keep_result(node_at(), value, LABEL)
            assert backend.get_result(node_at()) is value
            await backend.commit()
            assert backend.get_result(node_at()) is value
            await backend.close()

        run_check(check)

    def test_a_later_kept_value_replaces_an_earlier_one(self) -> None:
        """A key has one value: the last one kept, also if the first one is committed."""

        async def check() -> None:
            await self._begun(lambda backend: backend.keep_result(node_at(), "first", LABEL))
            await self._changed(lambda backend: backend.keep_result(node_at(), None, LABEL))
            backend = await self._opened()
            assert backend.get_result(node_at()) is None
            await backend.close()

        run_check(check)

    def test_kept_skips_are_given_back(self) -> None:
        """A skip that was kept is there with its reason, and is no value."""

        async def check() -> None:
            await self._begun(lambda backend: backend.keep_skip(node_at(), "ConditionFalse", LABEL))
            backend = await self._opened()
            assert backend.get_skip_reason(node_at()) == "ConditionFalse"
            assert not backend.has_result(node_at())
            await backend.close()

        run_check(check)

    def test_facts_of_one_node_stand_together(self) -> None:
        """A node may have a value, a skip, both kinds of notes and a target, each for itself."""

        def keep(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(), "value", LABEL)
            backend.keep_skip(node_at(), "ConditionFalse", LABEL)
            backend.put_note(node_at(), Note.ROUTES, (-1, 2), LABEL)
            backend.put_note(node_at(), Note.SIZE, (7,), LABEL)
            backend.put_target(node_at(), NextRound(3, give(4)), LABEL)

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            assert backend.get_result(node_at()) == "value"
            assert backend.get_skip_reason(node_at()) == "ConditionFalse"
            assert backend.get_note(node_at(), Note.ROUTES) == (-1, 2)
            assert backend.get_note(node_at(), Note.SIZE) == (7,)
            pending = backend.get_target(node_at())
            assert pending is not None
            assert pending.round == 3
            await backend.close()

        run_check(check)

    def test_notes_are_given_back(self) -> None:
        """The last numbers noted of each kind are there, before and after the commit; there is none unless noted."""

        async def check() -> None:
            backend = await self._opened_new()
            backend.begin(record())
            assert backend.get_note(node_at(), Note.ROUTES) is None
            for numbers in ((0,), (), (-1, 2**40)):
                backend.put_note(node_at(), Note.ROUTES, numbers, LABEL)
                assert backend.get_note(node_at(), Note.ROUTES) == numbers
            await backend.commit()
            await backend.close()
            backend = await self._opened()
            assert backend.get_note(node_at(), Note.ROUTES) == (-1, 2**40)
            assert backend.get_note(node_at(), Note.SIZE) is None
            assert backend.get_note(node_at(1), Note.ROUTES) is None
            await backend.close()

        run_check(check)

    def test_targets_are_given_back(self) -> None:
        """The last target of the run's own loop, and of one in the place of a node, are there with their rounds."""

        def keep(backend: DurableStateBackend) -> None:
            for number in (1, 2):
                backend.put_target(None, NextRound(number, give(number)), LABEL)
            backend.put_target(
                NodeKey(round_of_run(2), path_of(0)), NextRound(5, show(1, [2], x=None)), LABEL
            )

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            own = backend.get_target(None)
            assert own is not None
            assert (own.round, own.target.task, own.target.args) == (2, give, (2,))
            inner = backend.get_target(NodeKey(round_of_run(2), path_of(0)))
            assert inner is not None
            assert (inner.round, inner.target.task) == (5, show)
            assert (inner.target.args, inner.target.kwargs) == ((1, [2]), {"x": None})
            assert backend.get_target(NodeKey(round_of_run(2), path_of(1))) is None
            await backend.close()

        run_check(check)

    def test_kept_places_are_told_apart(self) -> None:
        """Nodes at different places of a tree, and at one place in different frames, keep facts of their own."""

        def keep(backend: DurableStateBackend) -> None:
            for number, key in enumerate(keys):
                backend.keep_result(key, number, LABEL)

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            again = [key for key in different_keys() if round_of(key.frame) == 0]
            assert [backend.get_result(key) for key in again] == list(range(len(keys)))
            await backend.close()

        keys = [key for key in different_keys() if round_of(key.frame) == 0]
        run_check(check)

    def test_a_run_that_is_opened_again_goes_on(self) -> None:
        """What is kept after the run was opened again stands beside what was kept before, as often as that happens."""

        async def check() -> None:
            await self._begun()
            for number in range(5):
                backend = await self._opened()
                backend.keep_result(node_at(number), number, LABEL)
                await backend.commit()
                await backend.close()
            backend = await self._opened()
            assert [backend.get_result(node_at(number)) for number in range(5)] == list(range(5))
            await backend.close()

        run_check(check)

    def test_a_finished_run_can_be_read(self) -> None:
        """A run that has ended, however, is opened with its record and facts."""

        def keep(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(), 1, LABEL)
            backend.finish(RunStatus.FAILED, "ValueError")

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            assert backend.get_result(node_at()) == 1
            await backend.close()

        run_check(check)

    def test_only_frames_that_were_loaded_are_held(self) -> None:
        """`holds` tells of facts that were loaded, not of those that were put since, and not of what was cleared."""

        async def check() -> None:
            inner = round_at(node_at())
            await self._begun(lambda backend: backend.keep_result(NodeKey(inner, ROOT), 1, LABEL))
            backend = await self._opened()
            backend.keep_result(node_at(), 1, LABEL)
            assert backend.holds(round_at(node_at()))
            assert not backend.holds(round_of_run())
            assert not backend.holds(round_at(node_at(), 1))
            backend.clear(inner)
            assert not backend.holds(inner)
            await backend.close()

        run_check(check)
