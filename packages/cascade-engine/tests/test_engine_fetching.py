"""Claims about the search for handles in arguments: each container is looked into once, however it is built."""

from __future__ import annotations

from typing import Any

from cascade.adapters.executors.fetching import as_arguments, fetched
from cascade.adapters.executors.handles import Handle


class Seven(Handle):
    """A handle of 7."""

    async def fetch(self) -> object:
        return 7


def seven() -> Seven:
    return Seven(object(), "seven", "root")


async def test_a_value_may_hold_itself() -> None:
    """It stays what it is, also beside a handle."""
    ring: list[Any] = [1]
    ring.append(ring)
    assert as_arguments(ring) is ring
    both = await fetched([ring, {"a": (seven(), ring)}])
    assert both[0] is ring
    assert both[1]["a"][0] == 7
    assert both[1]["a"][1] is ring


async def test_a_value_in_several_places_is_looked_into_once() -> None:
    """A value of few objects with very many ways through them would take for ever otherwise."""
    woven: Any = seven()
    for _ in range(200):
        woven = [woven, woven]
    value = await fetched(woven)
    for _ in range(200):
        assert value[0] is value[1]
        value = value[0]
    assert value == 7
