"""Readiness: a stretch of inline calls may be made if a request for what each of them takes would be granted now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cascade.runtime.sharing.capacity import CONCURRENCY, Amount, Capacity, Lease, Name, Needs
from cascade.runtime.sharing.readiness import Readiness, Ready, StretchNeeds

TOTALS: Needs = {"gpu": 3, "memory": 4}

amounts = st.dictionaries(st.sampled_from(sorted(map(str, TOTALS))), st.integers(0, 3), min_size=1)


class Line:
    """A capacity, the leases that were granted, and those who wait."""

    def __init__(self, lender_has: dict[Name, Amount]) -> None:
        self.capacity = Capacity(TOTALS)
        self.granted: list[Lease] = []
        self.lender = self.capacity.take_now(lender_has, None)

    def ask(self, needs: dict[Name, Amount], borrows: bool) -> bool:
        """Ask for amounts; return True if they were granted at once."""
        before = len(self.granted)
        self.capacity.request(needs, self.lender if borrows else None, self.granted.append)
        return len(self.granted) > before


@given(
    amounts,
    st.lists(st.tuples(st.sampled_from(("ask", "borrow", "release")), amounts), max_size=12),
    amounts,
    st.booleans(),
)
def test_what_is_free_is_granted_at_once_and_nothing_else(
    lent: dict[Name, Amount],
    steps: list[tuple[str, dict[Name, Amount]]],
    needs: dict[Name, Amount],
    borrows: bool,
) -> None:
    """Whoever waits and whatever is held: `is_free` is what a request that is made now would find."""
    line = Line(lent)
    for what, wanted in steps:
        if what == "release":
            if line.granted:
                line.granted.pop(0).release()
        else:
            line.ask(wanted, what == "borrow")
    free = line.capacity.is_free(needs, line.lender if borrows else None)
    assert free == line.ask(needs, borrows)


def readiness(capacity: Capacity, resumed: list[object], lender: Lease | None = None) -> Readiness:
    """Return the readiness of a run in which the resource `db` is open."""
    return Readiness(capacity, lender, lambda names: set(names) <= {"db"}, resumed.append)


def test_a_stretch_needs_what_its_calls_declare_and_a_slot() -> None:
    """Where an engine bounds its calls, each of them takes a slot as well."""
    assert readiness(Capacity({}), []).needs_of({}, ["db"]) == StretchNeeds({}, ("db",))
    bound = readiness(Capacity({CONCURRENCY: 2, "gpu": 1}), [])
    assert bound.needs_of({"gpu": 1}, ()) == StretchNeeds({"gpu": 1, CONCURRENCY: 1}, ())


def test_a_stretch_that_finds_all_free_takes_nothing() -> None:
    """Inline calls hold what they take only while they run: nobody sees less of it afterwards."""
    capacity, resumed = Capacity(TOTALS), list[object]()
    ready = readiness(capacity, resumed)
    needs = StretchNeeds({"gpu": 3}, ("db",))
    assert ready.ask("a", needs) is Ready.NOW
    ready.end("a")
    assert capacity.is_free(TOTALS, None)


def test_a_stretch_waits_behind_those_who_came_before() -> None:
    """What is free may be wanted by somebody who waits for more of it: that one comes first."""
    capacity, resumed = Capacity(TOTALS), list[object]()
    held = capacity.take_now({"gpu": 2}, None)
    before: list[Lease] = []
    capacity.request({"gpu": 3}, None, before.append)
    ready = readiness(capacity, resumed)
    needs = StretchNeeds({"gpu": 1})
    assert ready.ask("a", needs) is Ready.CAPACITY
    assert ready.ask("a", needs) is Ready.CAPACITY  # asked for once
    assert ready.is_awaited
    held.release()
    assert before
    assert not resumed
    before[0].release()
    assert resumed == ["a"]
    assert not ready.is_awaited
    assert not capacity.is_free({"gpu": 3}, None)  # kept until the stretch has been made
    assert ready.ask("a", needs) is Ready.NOW
    ready.end("a")
    assert capacity.is_free({"gpu": 3}, None)


def test_a_call_that_goes_on_holds_what_the_stretch_was_granted() -> None:
    """A call that returned an awaitable has a lease, and the stretch asks again for its next calls."""
    capacity, resumed = Capacity(TOTALS), list[object]()
    ready = readiness(capacity, resumed)
    needs = StretchNeeds({"gpu": 2})
    assert ready.ask("a", needs) is Ready.NOW
    lease = ready.hold("a", needs)
    assert lease is not None
    assert ready.ask("a", needs) is Ready.CAPACITY
    lease.release()
    assert resumed == ["a"]
    again = ready.hold("a", needs)
    assert again is not None
    assert not capacity.is_free({"gpu": 2}, None)
    again.release()
    assert capacity.is_free(TOTALS, None)
    assert ready.hold("a", StretchNeeds()) is None


def test_resources_are_asked_for_after_capacity() -> None:
    """Only a stretch that may be made now opens what it takes."""
    capacity, resumed = Capacity(TOTALS), list[object]()
    ready = readiness(capacity, resumed)
    assert ready.ask("a", StretchNeeds({"gpu": 1}, ("db", "queue"))) is Ready.RESOURCES
    held = capacity.take_now({"gpu": 3}, None)
    assert ready.ask("a", StretchNeeds({"gpu": 1}, ("db", "queue"))) is Ready.CAPACITY
    held.release()
    assert ready.ask("a", StretchNeeds({"gpu": 1}, ("db", "queue"))) is Ready.RESOURCES


def test_a_run_that_ends_waits_for_nothing_and_holds_nothing() -> None:
    """Requests are withdrawn, and what a stretch was granted and did not use is given back."""
    capacity, resumed = Capacity(TOTALS), list[object]()
    held = capacity.take_now({"gpu": 3}, None)
    ready = readiness(capacity, resumed)
    ready.ask("a", StretchNeeds({"gpu": 3}))
    ready.ask("b", StretchNeeds({"gpu": 1}))
    held.release()
    assert resumed == ["a"]
    ready.close()
    assert resumed == ["a"]
    assert not ready.is_awaited
    assert capacity.is_free(TOTALS, None)
