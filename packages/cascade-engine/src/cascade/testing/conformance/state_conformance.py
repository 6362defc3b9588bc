"""The conformance suite of state backends: the facts of one run, by node and frame."""

from __future__ import annotations

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.protocols import StateBackend
from cascade.testing.conformance.sample_keys import (
    VALUES,
    different_keys,
    item_of,
    node_at,
    path_of,
    round_at,
    round_of_run,
)


class StateBackendConformance:
    """Tests for a `StateBackend`. Subclass it and say in `make_backend` how to make an empty one.

    The keys are made as the engine makes them. Each use has a key object of its own, so a backend must compare keys by
    equality. The values are plain data, and are compared by equality too.
    """

    def make_backend(self) -> StateBackend:
        """Return a backend for a new run, which shares no facts with those made before."""
        raise NotImplementedError("say in make_backend how to make a backend")

    def test_a_new_backend_holds_nothing(self) -> None:
        """A run begins without facts."""
        backend = self.make_backend()
        assert not backend.has_result(node_at())
        assert backend.get_skip_reason(node_at()) is None
        _check_missing(backend, node_at())

    def test_values_are_given_back(self) -> None:
        """What was put is there and equal, `None` and other falsy values like any other."""
        backend = self.make_backend()
        for number, value in enumerate(VALUES):
            backend.put_result(node_at(number), value)
        for number, value in enumerate(VALUES):
            assert backend.has_result(node_at(number))
            assert backend.get_result(node_at(number)) == value
            assert type(backend.get_result(node_at(number))) is type(value)

    def test_a_later_value_replaces_an_earlier_one(self) -> None:
        """A key has one value: the last one put."""
        backend = self.make_backend()
        backend.put_result(node_at(), "first")
        backend.put_result(node_at(), None)
        assert backend.get_result(node_at()) is None

    def test_a_skip_is_no_value(self) -> None:
        """A node that was skipped has a reason and no value."""
        backend = self.make_backend()
        backend.mark_skipped(node_at(), "ConditionFalse")
        assert backend.get_skip_reason(node_at()) == "ConditionFalse"
        assert not backend.has_result(node_at())
        _check_missing(backend, node_at())

    def test_a_value_is_no_skip(self) -> None:
        """A node that has a value was not skipped by that."""
        backend = self.make_backend()
        backend.put_result(node_at(), False)
        assert backend.get_skip_reason(node_at()) is None

    def test_a_skip_and_a_value_stand_together(self) -> None:
        """A node that was skipped with `otherwise` has both, in whichever order they came."""
        backend = self.make_backend()
        backend.mark_skipped(node_at(0), "ConditionFalse")
        backend.put_result(node_at(0), "otherwise")
        backend.put_result(node_at(1), "otherwise")
        backend.mark_skipped(node_at(1), "ConditionFalse")
        for number in (0, 1):
            assert backend.get_result(node_at(number)) == "otherwise"
            assert backend.get_skip_reason(node_at(number)) == "ConditionFalse"

    def test_places_are_told_apart(self) -> None:
        """Nodes at different places of a tree, and at one place in different frames, have facts of their own."""
        keys = different_keys()
        assert len(set(keys)) == len(keys)
        backend = self.make_backend()
        for number, key in enumerate(keys):
            assert not backend.has_result(key)
            backend.put_result(key, number)
        assert [backend.get_result(key) for key in different_keys()] == list(range(len(keys)))

    def test_clearing_a_frame_forgets_it_and_what_lies_below(self) -> None:
        """`clear(frame)` forgets the facts of a frame and of all frames below it, however deep, and no other."""
        backend = self.make_backend()
        first, second = round_at(node_at(0)), round_at(node_at(1))
        for frame in (
            round_of_run(),
            first,
            second,
            item_of(first),
            round_at(NodeKey(item_of(first), ROOT)),
            item_of(second),
        ):
            backend.put_result(NodeKey(frame, ROOT), "value")
            backend.mark_skipped(NodeKey(frame, path_of(7)), "NotNeeded")
        backend.clear(round_at(node_at(0)))
        for frame in (first, item_of(first), round_at(NodeKey(item_of(first), ROOT))):
            assert not backend.has_result(NodeKey(frame, ROOT))
            assert backend.get_skip_reason(NodeKey(frame, path_of(7))) is None
        for frame in (round_of_run(), second, item_of(second)):
            assert backend.get_result(NodeKey(frame, ROOT)) == "value"
            assert backend.get_skip_reason(NodeKey(frame, path_of(7))) == "NotNeeded"

    def test_a_cleared_frame_can_be_filled_again(self) -> None:
        """After `clear(frame)` new facts can be put there, and cleared again."""
        backend = self.make_backend()
        frame = item_of(round_at(node_at()))
        for value in ("first", "second"):
            backend.put_result(NodeKey(frame, ROOT), value)
            assert backend.get_result(NodeKey(frame, ROOT)) == value
            backend.clear(round_at(node_at()))
            assert not backend.has_result(NodeKey(frame, ROOT))

    def test_clearing_what_is_not_there_is_no_error(self) -> None:
        """A frame without facts can be cleared, and so can one whose parents have none."""
        backend = self.make_backend()
        backend.put_result(node_at(), 1)
        backend.clear(item_of(round_at(node_at(3))))
        assert backend.get_result(node_at()) == 1

    def test_clearing_all_forgets_all(self) -> None:
        """`clear()` forgets every fact of the run."""
        backend = self.make_backend()
        for key in different_keys():
            backend.put_result(key, 1)
            backend.mark_skipped(key, "NotNeeded")
        backend.clear()
        for key in different_keys():
            assert not backend.has_result(key)
            assert backend.get_skip_reason(key) is None

    def test_frames_may_be_nested_deeply(self) -> None:
        """A thousand frames inside each other are kept and cleared without recursion."""
        backend = self.make_backend()
        frames = [round_of_run()]
        for _ in range(1000):
            frames.append(round_at(NodeKey(frames[-1], path_of(0))))
            backend.put_result(NodeKey(frames[-1], ROOT), len(frames))
        assert backend.get_result(NodeKey(frames[-1], ROOT)) == len(frames)
        backend.clear(frames[1])
        assert not any(backend.has_result(NodeKey(frame, ROOT)) for frame in frames)

    def test_runs_share_nothing(self) -> None:
        """Two backends know nothing of each other's facts."""
        first, second = self.make_backend(), self.make_backend()
        first.put_result(node_at(), 1)
        second.mark_skipped(node_at(), "NotNeeded")
        assert not second.has_result(node_at())
        assert first.get_skip_reason(node_at()) is None
        second.clear()
        assert first.get_result(node_at()) == 1


def _check_missing(backend: StateBackend, key: NodeKey) -> None:
    try:
        value = backend.get_result(key)
    except KeyError:
        return
    raise AssertionError(f"get_result gave {value!r} for a key without a value; it must raise KeyError")
