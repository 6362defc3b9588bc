"""The part of the suite of durable state backends about facts that are not kept, or are forgotten."""

from __future__ import annotations

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.durable import (
    DurableStateBackend,
    NextRound,
    Note,
)
from cascade.spec.errors import CodecError
from cascade.testing.conformance.durable_parts import (
    LABEL,
    DurableParts,
    frames_below,
    record,
    run_check,
)
from cascade.testing.conformance.sample_keys import (
    item_of,
    node_at,
    path_of,
    round_at,
    round_of_run,
)
from cascade.testing.conformance.sample_tasks import give


class DurableForgetting(DurableParts):
    """What was not committed, or was forgotten, is not there when the run is opened again."""

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
