"""The part of the suite of durable state backends about provisional facts: they are kept apart until they are final."""

from __future__ import annotations

from collections.abc import Callable

from cascade.adapters.state.keys import NodeKey
from cascade.graph.path import ROOT
from cascade.spec.durable import DurableStateBackend, NextRound, Note, RunStatus
from cascade.spec.errors import CodecError
from cascade.testing.conformance.durable_parts import LABEL, DurableParts, frames_below, record, run_check
from cascade.testing.conformance.sample_keys import item_of, node_at, path_of, round_of_run
from cascade.testing.conformance.sample_tasks import give

Step = Callable[[DurableStateBackend], None]


def _put_all(backend: DurableStateBackend) -> None:
    """Put a fact of each kind, none of them final."""
    backend.keep_result(node_at(0), "value", LABEL, provisional=True)
    backend.keep_skip(node_at(1), "ConditionFalse", LABEL, provisional=True)
    backend.put_note(node_at(2), Note.SIZE, (3,), LABEL, provisional=True)
    backend.put_note(node_at(2), Note.ROUTES, (1, -1), LABEL, provisional=True)
    backend.put_target(node_at(3), NextRound(2, give(1)), LABEL, provisional=True)


def _check_all(backend: DurableStateBackend) -> None:
    assert backend.get_result(node_at(0)) == "value"
    assert backend.get_skip_reason(node_at(1)) == "ConditionFalse"
    assert backend.get_note(node_at(2), Note.SIZE) == (3,)
    assert backend.get_note(node_at(2), Note.ROUTES) == (1, -1)
    pending = backend.get_target(node_at(3))
    assert pending is not None
    assert (pending.round, pending.target.args) == (2, (1,))


def _check_nothing(backend: DurableStateBackend) -> None:
    for number in range(4):
        key = node_at(number)
        assert not backend.has_result(key)
        assert backend.get_skip_reason(key) is None
        assert [backend.get_note(key, note) for note in Note] == [None, None]
        assert backend.get_target(key) is None


class DurableProvisional(DurableParts):
    """Provisional facts are there for this process. When the run is opened again, only final ones are there."""

    def _after(self, *steps: Step, first: Step = lambda _: None) -> None:
        """Begin a run, commit after each step, and check with the last one what is there when it is opened again."""

        async def check() -> None:
            await self._begun(first)
            backend = await self._opened()
            for step in steps[:-1]:
                step(backend)
                await backend.commit()
            await backend.close()
            backend = await self._opened()
            steps[-1](backend)
            await backend.close()

        run_check(check)

    def test_what_is_provisional_can_be_read_at_once(self) -> None:
        """Facts of each kind are there for the process that put them, also after commits."""

        async def check() -> None:
            backend = await self._opened_new()
            backend.begin(record())
            _put_all(backend)
            _check_all(backend)
            await backend.commit()
            _check_all(backend)
            await backend.close()

        run_check(check)

    def test_what_is_provisional_is_not_committed(self) -> None:
        """However many commits there were, and however the run ended: who opens it again finds no fact of it."""

        def finish(backend: DurableStateBackend) -> None:
            backend.finish(RunStatus.FAILED, "ValueError")

        self._after(_put_all, finish, _check_nothing)

    def test_what_was_made_final_is_committed(self) -> None:
        """Facts of each kind are committed as one when they have been made final, with all that was final before."""

        def both(backend: DurableStateBackend) -> None:
            _check_all(backend)
            assert backend.get_result(node_at(9)) == "final"

        def final(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(9), "final", LABEL)

        self._after(_put_all, final, lambda backend: backend.keep_provisional(), both)

    def test_what_is_final_is_committed_meanwhile(self) -> None:
        """Final facts are committed as they come, beside those that are not."""

        def put(backend: DurableStateBackend) -> None:
            _put_all(backend)
            backend.keep_result(node_at(9), "final", LABEL)

        def verify(backend: DurableStateBackend) -> None:
            _check_nothing(backend)
            assert backend.get_result(node_at(9)) == "final"

        self._after(put, verify)

    def test_what_came_after_is_provisional_again(self) -> None:
        """Making final what is there says nothing of what is put later."""

        def put(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(9), "earlier", LABEL, provisional=True)
            backend.keep_provisional()
            _put_all(backend)

        def verify(backend: DurableStateBackend) -> None:
            _check_nothing(backend)
            assert backend.get_result(node_at(9)) == "earlier"

        self._after(put, verify)

    def test_a_provisional_value_is_kept_as_it_was(self) -> None:
        """What becomes of a value after it was put does not count; what can't be kept fails at once."""
        value = ["as it was"]

        def put(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), value, LABEL, provisional=True)
            value.append("later")
            try:
                backend.keep_result(node_at(1), object(), LABEL, provisional=True)
            except CodecError:
                pass
            else:
                raise AssertionError("a value that can't be kept was put; it must raise CodecError")
            backend.keep_provisional()

        def verify(backend: DurableStateBackend) -> None:
            assert backend.get_result(node_at(0)) == ["as it was"]
            assert not backend.has_result(node_at(1))

        self._after(put, verify)

    def test_the_later_fact_counts(self) -> None:
        """In one place the last fact counts, whichever of them is provisional."""

        def put(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), "provisional", LABEL, provisional=True)
            backend.keep_result(node_at(0), "final", LABEL)
            backend.keep_result(node_at(1), "final", LABEL)
            backend.keep_result(node_at(1), "provisional", LABEL, provisional=True)
            assert backend.get_result(node_at(0)) == "final"
            assert backend.get_result(node_at(1)) == "provisional"

        def not_final(backend: DurableStateBackend) -> None:
            assert [backend.get_result(node_at(number)) for number in (0, 1)] == ["final", "final"]

        def final(backend: DurableStateBackend) -> None:
            assert [backend.get_result(node_at(number)) for number in (0, 1)] == ["final", "provisional"]

        self._after(put, not_final)
        self._after_anew(put, lambda backend: backend.keep_provisional(), final)

    def _after_anew(self, *steps: Step) -> None:
        """Do as `_after`, with a run that is begun anew."""

        def begin(backend: DurableStateBackend) -> None:
            backend.begin(record())

        async def check() -> None:
            backend = await self._opened()
            for step in (begin, *steps[:-1]):
                step(backend)
                await backend.commit()
            await backend.close()
            backend = await self._opened()
            steps[-1](backend)
            await backend.close()

        run_check(check)

    def test_what_is_cleared_provisionally_stays_stored_until_that_is_final(self) -> None:
        """Frames that are forgotten for this process alone are there for who opens the run again, and then are not."""
        node = node_at(0)
        inner = [NodeKey(frame, ROOT) for frame in frames_below(node)]

        def keep(backend: DurableStateBackend) -> None:
            for number, key in enumerate((node, *inner)):
                backend.keep_result(key, number, LABEL)

        def clear(backend: DurableStateBackend) -> None:
            backend.keep_result(inner[1], "provisional", LABEL, provisional=True)
            backend.clear(inner[0].frame, provisional=True)
            assert [backend.has_result(key) for key in (node, *inner)] == [True, False, False, False]

        def make_final(backend: DurableStateBackend) -> None:
            clear(backend)
            backend.keep_provisional()

        def both(backend: DurableStateBackend) -> None:
            keep(backend)
            make_final(backend)

        def stays(backend: DurableStateBackend) -> None:
            assert [backend.get_result(key) for key in (node, *inner)] == [0, 1, 2, 3]

        def gone(backend: DurableStateBackend) -> None:
            assert [backend.has_result(key) for key in (node, *inner)] == [True, False, False, False]

        self._after(clear, stays, first=keep)
        self._after_anew(keep, make_final, gone)
        self._after_anew(both, gone)

    def test_what_is_forgotten_is_not_made_final(self) -> None:
        """Provisional facts of a frame that is cleared, or of a node that is discarded, do not come back."""

        def put(backend: DurableStateBackend) -> None:
            for number in range(4):
                backend.keep_result(
                    NodeKey(item_of(round_of_run(), number), ROOT), number, LABEL, provisional=True
                )
                backend.keep_result(node_at(number), number, LABEL, provisional=True)
            backend.clear(item_of(round_of_run(), 0))
            backend.clear(item_of(round_of_run(), 1), provisional=True)
            backend.discard(node_at(3))
            backend.keep_provisional()

        def verify(backend: DurableStateBackend) -> None:
            items = [NodeKey(item_of(round_of_run(), number), ROOT) for number in range(4)]
            assert [backend.has_result(key) for key in items] == [False, False, True, True]
            assert [backend.has_result(node_at(number)) for number in range(4)] == [True, True, True, False]

        self._after(put, verify)

    def test_a_run_that_begins_anew_has_nothing_provisional(self) -> None:
        """`begin` forgets what was provisional with all else."""

        def put(backend: DurableStateBackend) -> None:
            _put_all(backend)
            backend.begin(record())
            backend.keep_provisional()

        self._after(put, _check_nothing)

    def test_the_round_of_the_run_is_the_last_final_one(self) -> None:
        """A provisional next target leaves the run in its round, with the facts of that, until it is made final."""

        def go_on(backend: DurableStateBackend) -> None:
            backend.keep_result(node_at(0), "of round 0", LABEL)
            backend.put_target(None, NextRound(1, give(1)), LABEL, provisional=True)
            backend.clear(round_of_run(), provisional=True)
            backend.keep_result(NodeKey(round_of_run(1), path_of(0)), "of round 1", LABEL, provisional=True)
            pending = backend.get_target(None)
            assert pending is not None
            assert pending.round == 1

        def first(backend: DurableStateBackend) -> None:
            assert backend.get_target(None) is None
            assert backend.get_result(node_at(0)) == "of round 0"
            assert not backend.has_result(NodeKey(round_of_run(1), path_of(0)))

        def second(backend: DurableStateBackend) -> None:
            pending = backend.get_target(None)
            assert pending is not None
            assert (pending.round, pending.target.args) == (1, (1,))
            assert not backend.has_result(node_at(0))
            assert backend.get_result(NodeKey(round_of_run(1), path_of(0))) == "of round 1"

        self._after(go_on, first)
        self._after_anew(go_on, lambda backend: backend.keep_provisional(), second)
