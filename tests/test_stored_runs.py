"""Claims about records of runs: what earlier code wrote by these rules still counts, and plain trees have no others.

Digests of a plain tree are made from its columns. They are those that are made node by node.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from plain_trees import PlainTree, plain_trees
from stores_of_rules_2 import workflow

import cascade as cs
from cascade.graph.build import read_tree
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.structure_digests import structure_digest
from cascade.graph.tree import Structure, Tree
from cascade.runtime.exceptions import RunChangedError
from cascade.runtime.recording.places import places_of
from cascade.runtime.recording.run_record import make_record
from cascade.runtime.sharing.time_slice import in_slices

OLD = Path(workflow.__file__).parent


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a copy of the stored runs."""
    shutil.copy(OLD / "runs.db", tmp_path / "runs.db")
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.mark.parametrize("name", workflow.targets())
def test_a_stored_run_goes_on(name: str, url: str) -> None:
    """What earlier code recorded by the same rules is found: only the call that failed is made again."""
    workflow.MADE.clear()
    value = cs.run(workflow.target(name), state=url, run_id=name)
    assert workflow.MADE == ["last"]
    assert value == cs.run(workflow.targets()[name])


def test_a_change_in_a_stored_run_is_told(url: str) -> None:
    """An argument that differs from the recorded one is named with its task and place."""
    rows: list[Any] = [workflow.one(number) for number in range(40)]
    rows[17] = workflow.one(-1)
    with pytest.raises(RunChangedError) as caught:
        cs.run(workflow.last(workflow.open_ended(rows)), state=url, run_id="fan")
    assert caught.value.changes == ("task 'one' at root.args.0.args.0[17] has other arguments",)


def general(tree: Tree) -> Tree:
    """Return the tree without what its structure knows of being plain."""
    structure = tree.structure
    return Tree(tree.lazies, Structure(list(structure.calls), list(structure.paths), {}, structure.target))


def check_columns(target: Any) -> None:
    """Check that the columns of a plain tree have what is found node by node."""
    tree = read_tree(target)
    assert isinstance(tree.structure, PlainStructure)
    other = general(tree)
    salt = b"salt"
    assert asyncio.run(in_slices(make_record(tree, {}, salt))) == asyncio.run(
        in_slices(make_record(other, {}, salt))
    )
    assert structure_digest(tree) == structure_digest(other)
    places, others = places_of(tree.structure), places_of(other.structure)
    nodes = range(len(tree.lazies))
    assert places.digests == others.digests
    assert [places.text(node) for node in nodes] == [others.text(node) for node in nodes]


@given(plain_trees())
def test_columns_are_what_is_found_node_by_node(tree: PlainTree) -> None:
    """Records, digests and places of random plain trees are those of the same trees read as any others."""
    check_columns(tree.build())


def test_columns_of_many_nodes() -> None:
    """The same holds for more nodes, slots and arguments than one stretch has, and for odd names and literals."""
    one, add, named = workflow.one, workflow.add, workflow.open_ended

    def local(number: int) -> cs.Task[Any]:
        @cs.task
        def inner(x: Any, y: Any = None) -> Any:
            return number, x, y

        return inner

    check_columns(
        named([one(number) for number in range(3000)], [one({"k": 5}), 5, *[one() for _ in range(600)]])
    )
    check_columns(
        named(
            *[add(one(number), 3) for number in range(600)], **{f"%d {n}\ud800": one(n) for n in range(600)}
        )
    )
    chain = one(0)
    for number in range(1500):
        chain = add(chain) if number % 3 else add(a=chain, b=[chain])
    check_columns(chain)
    check_columns(named(local(1)(one(1)), local(2)(one(repr), y=[one({1, 2})]), named({"%s": one(object())})))
