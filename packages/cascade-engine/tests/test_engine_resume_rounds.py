"""Claims about what a store holds: no more for more rounds, and nothing that was given in confidence."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import pytest
from support.resuming import add, count, count_with_parts, give, noted, play, stopped
from support.stores import PAGE, bytes_of, recorded, rows_of, size_of

import cascade as cs
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec import PolicyError

pytestmark = pytest.mark.usefixtures("story")

VALUES = ("hunter2-param", "hunter2-env", "hunter2-secret", "hunter2-default", "hunter2-variable")


@cs.task
def use(*values: Any) -> int:
    noted("use")
    return len(values)


def size_without_timeline(url: str) -> int:
    """Return how many bytes a store takes but for the timeline of its run, whose size has a bound of its own."""
    with closing(catalog_from_url(url)) as catalog:
        return size_of(url) - sum(len(part.data) for part in catalog.timeline("r"))


async def test_a_store_does_not_grow_with_the_rounds(url: str) -> None:
    """After thousands of rounds the store and its facts are what they were after a few, but for the timeline."""
    assert (await play(url, count(20))).value == 7
    size, rows = size_without_timeline(url), rows_of(url)
    assert (await play(url, count(3_000), restart=True)).value == 7
    assert rows_of(url) == rows
    assert size_without_timeline(url) <= size + 4 * PAGE


@cs.task
def tree_of(size: int) -> Any:
    noted("tree")
    return add("tree's sum", *(give(f"part {number}", 1) for number in range(size)))


async def test_a_store_does_not_grow_with_the_trees_that_calls_have_returned(url: str) -> None:
    """Once the tree in the place of a call has its value, that alone is kept, and nothing of its parts."""
    rows = []
    for size in (1, 20):
        await stopped(url, add("sum", tree_of(size)), "sum", restart=True)
        rows.append(rows_of(url))
        again = await play(url, add("sum", tree_of(size)))
        assert (again.value, again.calls) == (size, ["sum"])
    assert rows[0] == rows[1]


@pytest.mark.soak
@pytest.mark.parametrize("loop", ["own", "inner"])
async def test_a_store_does_not_grow_with_very_many_rounds(url: str, loop: str) -> None:
    """After 10,000 rounds the file and its rows are what they were after a few, whatever the loop stands for."""

    def target(rounds: int) -> Any:
        made = count_with_parts(rounds, "loop")
        return made if loop == "own" else add("sum", made)

    assert (await play(url, target(20))).value == 7
    size, rows = size_without_timeline(url), rows_of(url)
    assert (await play(url, target(10_000), restart=True)).value == 7
    assert rows_of(url) == rows
    assert size_without_timeline(url) <= size + 32 * PAGE


async def test_a_loop_in_the_place_of_a_call_leaves_nothing_behind(url: str) -> None:
    """Of a loop that has ended, in a call or an item, there is its value: as many rows for more rounds."""

    def target(rounds: int) -> Any:
        return add("sum", count_with_parts(rounds, "a"), give("b", 1)), count_with_parts.map(
            left=[rounds, rounds], name=["c", "d"]
        )

    await play(url, list(target(3)))
    rows = rows_of(url)
    await play(url, list(target(40)), restart=True)
    assert rows_of(url) == rows


@pytest.mark.parametrize("keep", [1, 3])
async def test_the_last_rounds_are_kept(url: str, keep: int) -> None:
    """`keep_rounds` says of how many rounds the facts stay, the current one among them; so does a run that goes on."""
    target = count_with_parts(20, "loop")
    make = recorded(url, keep_rounds=keep)
    await stopped(url, target, "loop 5", make=make)
    assert rows_of(url) == keep
    assert (await play(url, target, make=make)).value == 7
    assert rows_of(url) == keep + 1


@pytest.mark.parametrize("keep", [0, True, 1.5])
def test_the_number_of_rounds_kept_is_checked(keep: Any) -> None:
    """`keep_rounds` is a whole number, 1 or more."""
    with pytest.raises(PolicyError):
        cs.run(give("a"), state="sqlite:///never.db", keep_rounds=keep)


async def test_values_from_outside_are_not_stored(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Params, variables and secrets are in no byte of the store, in no encoding, neither midway nor at the end."""
    monkeypatch.setenv("TOKEN", VALUES[1])
    monkeypatch.setenv("HIDDEN", VALUES[4])
    target = add(
        "sum",
        use(
            cs.Param("given"),
            cs.Env("TOKEN"),
            cs.Env("HIDDEN", secret=True),
            cs.Secret("secret"),
            cs.Secret("other", default=VALUES[3]),
        ),
        count(3, "loop"),
    )
    params = {"given": VALUES[0], "secret": VALUES[2]}
    for fails in ("use", "loop 2", "sum"):
        await stopped(url, target, fails, params=params)
        check_confidence(url)
    assert (await play(url, target, params=params)).value == 12
    check_confidence(url)


def check_confidence(url: str) -> None:
    stored = bytes_of(url)
    assert b"loop" in stored or b"use" in stored
    for value in VALUES:
        for form in (
            value.encode(),
            value.encode("utf-16-le"),
            value.encode("utf-16-be"),
            repr(value)[1:-1].encode(),
        ):
            assert form not in stored
        assert value.encode().hex().encode() not in stored
    assert os.environ["TOKEN"].encode() not in stored


async def test_errors_are_stored_without_their_texts(url: str) -> None:
    """Of an error there is its kind: its text may tell what is nobody's business."""
    first = await stopped(url, give("hunter2"), "hunter2")
    assert "hunter2" in str(first.error)
    assert b"ValueError" in bytes_of(url)
    assert b"ValueError: hunter2" not in bytes_of(url)
