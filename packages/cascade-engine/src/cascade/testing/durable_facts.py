"""The part of the suite of durable state backends that is about facts: what is there again, and what is not."""

from __future__ import annotations

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.durable import (
    DurableStateBackend,
    NextRound,
    Note,
    RunStatus,
)
from cascade.spec.errors import CodecError
from cascade.testing.durable_parts import (
    LABEL,
    DurableParts,
    frames_below,
    record,
    round_of,
    run_check,
)
from cascade.testing.executor_conformance import give, show
from cascade.testing.sample_keys import (
    VALUES,
    different_keys,
    item_of,
    node_at,
    path_of,
    round_at,
    round_of_run,
)


class DurableFacts(DurableParts):
    """What is kept of a run, and what is forgotten."""

    # What is there when the run is opened again

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

    # What is not

    def test_what_is_put_is_for_this_process(self) -> None:
        """What `put_result` and `mark_skipped` note is not kept, and does not replace what is."""

        def put(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), "kept", LABEL)
            backend.put_result(node_at(0), "put")
            backend.put_result(node_at(1), "put")
            backend.mark_skipped(node_at(2), "NotNeeded")

        async def check() -> None:
            await self._begun(put)
            backend = await self._opened()
            assert backend.get_result(node_at(0)) == "kept"
            assert not backend.has_result(node_at(1))
            assert backend.get_skip_reason(node_at(2)) is None
            await backend.close()

        run_check(check)

    def test_what_is_not_committed_is_lost(self) -> None:
        """Facts, notes, targets and a record that were put after the last commit are not there again."""

        async def check() -> None:
            await self._begun(lambda backend: backend.keep_result(node_at(0), "old", LABEL))
            backend = await self._opened()
            backend.put_record(record("another"))
            backend.keep_result(node_at(0), "new", LABEL)
            backend.keep_skip(node_at(1), "NotNeeded", LABEL)
            backend.put_note(node_at(2), Note.SIZE, (1,), LABEL)
            backend.put_target(None, NextRound(1, give(1)), LABEL)
            await backend.close()
            backend = await self._opened()
            assert backend.get_result(node_at(0)) == "old"
            assert backend.get_skip_reason(node_at(1)) is None
            assert backend.get_note(node_at(2), Note.SIZE) is None
            assert backend.get_target(None) is None
            await backend.close()

        run_check(check)

    def test_a_value_that_can_not_be_kept_leaves_all_as_it_is(self) -> None:
        """A value that the codec refuses is an error where it is kept, and what is there stays as it is."""

        async def check() -> None:
            backend = await self._opened_new()
            backend.begin(record())
            backend.keep_result(node_at(), "good", LABEL)
            try:
                backend.keep_result(node_at(), object(), LABEL)
            except CodecError:
                pass
            else:
                raise AssertionError(
                    "keep_result took a value that can't be stored; it must raise CodecError"
                )
            assert backend.get_result(node_at()) == "good"
            await backend.commit()
            await backend.close()
            backend = await self._opened()
            assert backend.get_result(node_at()) == "good"
            await backend.close()

        run_check(check)

    def test_beginning_forgets_what_was(self) -> None:
        """`begin` forgets all facts of the run with its next commit, and not before."""

        def keep(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), 1, LABEL)
            backend.keep_result(NodeKey(item_of(round_of_run()), ROOT), 1, LABEL)
            backend.put_note(node_at(1), Note.SIZE, (1,), LABEL)
            backend.put_target(None, NextRound(0, give(1)), LABEL)

        async def check() -> None:
            await self._begun(keep)
            backend = await self._opened()
            backend.begin(record("another"))
            assert not backend.has_result(node_at(0))
            assert backend.get_target(None) is None
            await backend.close()
            backend = await self._opened()
            assert backend.get_result(node_at(0)) == 1
            backend.begin(record("another"))
            backend.keep_result(node_at(2), 2, LABEL)
            await backend.commit()
            await backend.close()
            backend = await self._opened(record("another"))
            assert not backend.has_result(node_at(0))
            assert not backend.has_result(NodeKey(item_of(round_of_run()), ROOT))
            assert backend.get_note(node_at(1), Note.SIZE) is None
            assert backend.get_target(None) is None
            assert backend.get_result(node_at(2)) == 2
            await backend.close()

        run_check(check)

    def test_a_cleared_run_is_new(self) -> None:
        """After `clear()` and a commit the run has neither record nor facts."""

        async def check() -> None:
            await self._begun(lambda backend: backend.keep_result(node_at(), 1, LABEL))
            await self._changed(lambda backend: backend.clear())
            backend = await self._opened_new()
            assert not backend.has_result(node_at())
            await backend.close()

        run_check(check)

    # Forgetting

    def test_a_discarded_node_is_forgotten(self) -> None:
        """`discard` forgets the facts of a node and of the frames in its place, stored ones too, and no others."""
        gone = [node_at(0), *(NodeKey(frame, path_of(1)) for frame in frames_below(node_at(0)))]
        stay = [node_at(1), *(NodeKey(frame, path_of(1)) for frame in frames_below(node_at(1)))]
        self._check_forgotten(gone, stay, lambda backend: backend.discard(node_at(0)))

    def test_a_cleared_frame_is_forgotten(self) -> None:
        """`clear(frame)` forgets what a frame and those below it hold, stored facts too, and no others."""
        first, second = round_at(node_at(0)), round_at(node_at(1))
        gone = [NodeKey(frame, path_of(1)) for frame in (first, *frames_below(NodeKey(first, ROOT)))]
        stay = [node_at(0), *(NodeKey(frame, path_of(1)) for frame in (second, *frames_below(node_at(2))))]
        self._check_forgotten(gone, stay, lambda backend: backend.clear(round_at(node_at(0))))

    def test_frames_below_a_frame_without_facts_are_forgotten(self) -> None:
        """A node is discarded with all that lies below it, also where frames between have no facts of their own."""
        deep = [NodeKey(frames_below(node_at(number))[-1], path_of(1)) for number in (0, 1)]
        self._check_forgotten(deep[:1], deep[1:], lambda backend: backend.discard(node_at(0)))

    def test_frames_below_a_cleared_frame_without_facts_are_forgotten(self) -> None:
        """A frame is cleared with all that lies below it, also if neither it nor those between have facts."""
        deep = [NodeKey(frames_below(node_at(number))[-1], path_of(1)) for number in (0, 1)]
        self._check_forgotten(deep[:1], deep[1:], lambda backend: backend.clear(round_at(node_at(0))))

    def test_what_is_forgotten_can_be_kept_again(self) -> None:
        """In one commit a node may be discarded, a frame cleared, and both be filled again."""
        inner = NodeKey(round_at(node_at(1)), ROOT)

        def keep(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), "old", LABEL)
            backend.keep_skip(node_at(0), "NotNeeded", LABEL)
            backend.keep_result(inner, "old", LABEL)

        def replace(backend: DurableStateBackend) -> None:
            backend.discard(node_at(0))
            backend.keep_result(node_at(0), "new", LABEL)
            backend.clear(inner.frame)
            backend.keep_result(inner, "new", LABEL)

        async def check() -> None:
            await self._begun(keep)
            await self._changed(replace)
            backend = await self._opened()
            assert backend.get_result(node_at(0)) == "new"
            assert backend.get_skip_reason(node_at(0)) is None
            assert backend.get_result(inner) == "new"
            await backend.close()

        run_check(check)

    def test_a_run_is_in_its_last_round(self) -> None:
        """When the run's own loop goes on, the facts of its last round are there again, and not earlier ones."""

        async def check() -> None:
            backend = await self._opened_new()
            backend.begin(record())
            for number in range(4):
                frame = round_of_run(number)
                backend.keep_result(NodeKey(frame, path_of(0)), number, LABEL)
                backend.keep_result(NodeKey(round_at(NodeKey(frame, ROOT)), ROOT), number, LABEL)
                await backend.commit()
                if number < 3:
                    backend.put_target(None, NextRound(number + 1, give(number + 1)), LABEL)
                    backend.clear(frame)
                    assert not backend.has_result(NodeKey(frame, path_of(0)))
            await backend.close()
            backend = await self._opened()
            assert backend.get_result(NodeKey(round_of_run(3), path_of(0))) == 3
            assert backend.get_result(NodeKey(round_at(NodeKey(round_of_run(3), ROOT)), ROOT)) == 3
            for number in range(3):
                assert not backend.holds(round_of_run(number))
                assert not backend.has_result(NodeKey(round_of_run(number), path_of(0)))
            await backend.close()

        run_check(check)
