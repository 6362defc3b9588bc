"""Claims about every policy, by its row in the table of policies: what nobody may forget when a policy is added.

A new policy needs a sample here; the rest follows from its row.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.codec import DataCodec
from cascade.adapters.codec.trees import decode_target, encode_target
from cascade.graph import NodePolicies, build_graph, from_json, structure_digest, to_json, with_tail_calls
from cascade.graph.build import read_tree
from cascade.graph.structure_keys import structure_key
from cascade.spec import MISSING, DataVersionError, Mode
from cascade.spec.constraint import Constraints
from cascade.spec.lazy_types import ConfiguredLazyResult, Lazy
from cascade.spec.policies.chaining import TakesPolicies
from cascade.spec.policies.declared import (
    ALWAYS_WRITTEN,
    NO_POLICIES,
    POLICIES,
    Policies,
    PolicyKeywords,
    PolicyRow,
)
from cascade.spec.policies.generated import policy_key

DOCS = Path(__file__).parents[1] / "docs" / "reference"

calls: list[object] = []


@cs.task
def f(value: object = None) -> object:
    calls.append(value)
    return value


@cs.task
def truth() -> bool:
    return True


SAMPLES: dict[str, tuple[Any, Any]] = {
    "retry": (cs.RetryPolicy(1), cs.RetryPolicy(2)),
    "timeout": (50.0, 60.0),
    "cache": (cs.ByInputs(), cs.ByInputs(version="2")),
    "mode": (Mode.INLINE, Mode.THREAD),
    "constraints": (Constraints((("gpu", 1),)), Constraints((("cpu", 1),))),
    "conditions": ((truth(),), (truth(), truth())),
    "otherwise": (0, MISSING),
    "after": ((truth(),), (truth(), truth())),
}
"""Two values of each policy that make two structures."""

EQUAL_SAMPLES: list[tuple[str, Any, Any]] = [
    ("retry", cs.RetryPolicy(1, delay=0), cs.RetryPolicy(1, delay=0.0)),
    ("retry", cs.RetryPolicy(1, delay=2.5, backoff=2), cs.RetryPolicy(1, delay=2.5, backoff=2.0)),
    ("retry", cs.RetryPolicy(1, jitter=1), cs.RetryPolicy(1, jitter=1.0)),
    ("retry", cs.RetryPolicy(1, max_delay=60), cs.RetryPolicy(1, max_delay=60.0)),
    ("timeout", 50, 50.0),
    ("cache", cs.ByInputs(ttl=60), cs.ByInputs(ttl=60.0)),
]
"""Values of a policy that are equal, and whose digests differ: numbers of several types."""

LAZY_SAMPLES = {"constraints": [Constraints((("gpu", truth()), ("memory", 1)))]}
"""More values, with lazy results inside."""

NOT_IN_NODE_POLICIES = {"mode", "conditions", "after"}
"""A node has its mode itself, and the others are edges."""

each_policy = pytest.mark.parametrize("row", POLICIES, ids=lambda row: row.name)


def with_policy(name: str, value: object) -> Lazy:
    """Return a call with this policy and no other."""
    given: dict[str, Any] = {name: value}
    return ConfiguredLazyResult(f, (7,), {}, NO_POLICIES._replace(**given))


def values_of(row: PolicyRow) -> tuple[Any, Any, Any]:
    assert row.name in SAMPLES, f"SAMPLES in this file has no values for the policy '{row.name}'"
    return (row.default, *SAMPLES[row.name])


def trees_of(row: PolicyRow) -> list[Lazy]:
    return [with_policy(row.name, value) for value in dict.fromkeys(values_of(row))]


def key_of(lazy: Lazy) -> object:
    return structure_key(read_tree(lazy))


@each_policy
def test_a_policy_is_structure(row: PolicyRow) -> None:
    """Trees whose calls differ in a policy have different structure keys and digests; equal ones have equal ones."""
    trees = trees_of(row)
    assert len({key_of(tree) for tree in trees}) == len(trees)
    assert len({structure_digest(tree) for tree in trees}) == len(trees)
    for tree, again in zip(trees, trees_of(row), strict=True):
        assert key_of(tree) == key_of(again)
        assert structure_digest(tree) == structure_digest(again)


@pytest.mark.parametrize(("name", "one", "other"), EQUAL_SAMPLES)
def test_equal_policies_with_other_digests_are_told_apart(name: str, one: object, other: object) -> None:
    """What is known of a structure has its digest, so a tree with another digest is never taken for it."""
    assert one == other
    trees = [with_policy(name, value) for value in (one, other)]
    assert structure_digest(trees[0]) != structure_digest(trees[1])
    assert key_of(trees[0]) != key_of(trees[1])


@each_policy
def test_lazy_results_in_a_policy_are_nodes(row: PolicyRow) -> None:
    """Each lazy result that a policy holds is a node of the graph, and so is run and recorded."""
    for value in (*SAMPLES[row.name], *LAZY_SAMPLES.get(row.name, ())):
        held = [*row.form.lazies(value)]
        nodes = read_tree(with_policy(row.name, value)).lazies
        assert all(any(lazy is node for node in nodes) for lazy in held)
        assert len(nodes) == 1 + len(held)


@each_policy
def test_a_matcher_tells_values_as_the_key_does(row: PolicyRow) -> None:
    """The written check of a policy is true for exactly those values that have the same structure key."""
    equal = [value for name, *values in EQUAL_SAMPLES if name == row.name for value in values]
    samples = [*values_of(row), *equal]
    for known in samples:
        constants: list[object] = []

        def constant(value: object, constants: list[object] = constants) -> str:
            constants.append(value)
            return f"k[{len(constants) - 1}]"

        check = row.match("value", known, constant)
        for value in samples:
            fits = eval(check, {"k": constants, "value": value})
            same = policy_key(with_policy(row.name, value).policies) == policy_key(
                with_policy(row.name, known).policies
            )
            assert bool(fits) is same, f"{check} for {value!r}"


@each_policy
def test_a_policy_comes_back_from_a_record(row: PolicyRow) -> None:
    """A recorded tree has the policies that it was recorded with."""
    for tree in trees_of(row):
        back = decode_target(encode_target(tree, DataCodec(), key=b"k"), DataCodec(), key=b"k")
        assert key_of(back) == key_of(tree)
        if not row.form.is_edge:
            assert getattr(back.policies, row.name) == getattr(tree.policies, row.name)


@each_policy
def test_a_picture_shows_a_policy(row: PolicyRow) -> None:
    """A node's picture tells a call with the policy from one without, and comes back from JSON."""
    plain, first, second = (build_graph(with_policy(row.name, value)).picture() for value in values_of(row))
    assert plain != first
    assert first != second or row.name == "cache"  # of which a picture has the class alone
    for graph in (plain, first, second):
        assert from_json(to_json(graph)) == graph
    shown = {field.name for field in fields(NodePolicies)} - {"max_concurrency"}
    assert (row.name in shown) is (row.name not in NOT_IN_NODE_POLICIES)


@each_policy
def test_only_policies_that_answer_change_what_a_kept_value_stands_for(
    row: PolicyRow, tmp_path: Path
) -> None:
    """A compatible run makes a call again if a policy that decides what it gives has changed; else not."""
    settings: dict[str, Any] = {
        "state": f"sqlite:///{tmp_path}/runs.db",
        "executor": "threads:1",
        "system_resources": {"gpu": 1, "cpu": 1},
        "durability": "async",
    }
    for run_id, value in enumerate(dict.fromkeys(values_of(row))):
        calls.clear()
        cs.run([with_policy(row.name, row.default)], run_id=f"{run_id}", **settings)
        assert calls == [7]
        cs.run([with_policy(row.name, value)], run_id=f"{run_id}", resume="compatible", **settings)
        changed = value != row.default and row.answers
        assert calls == ([7, 7] if changed else [7])


INLINE = [row for row in POLICIES if row.name != "timeout"]
"""A time limit is refused on an inline call, where it could never end one."""


@pytest.mark.parametrize("row", INLINE, ids=lambda row: row.name)
async def test_a_call_has_an_asyncio_task_of_its_own_only_where_a_policy_needs_one(row: PolicyRow) -> None:
    """An inline call is made by the run itself, as one without policies, if what its policies need is there.

    A cache in memory answers at once.
    """

    @cs.task
    def where() -> object:
        task = asyncio.current_task()
        return None if task is None else id(task.get_coro())

    async def run() -> tuple[object, object]:
        value = Mode.INLINE if row.name == "mode" else SAMPLES[row.name][0]
        given: dict[str, Any] = {row.name: value}
        lazy: Lazy = ConfiguredLazyResult(where, (), {}, NO_POLICIES._replace(**given))
        async with cs.Engine(system_resources={"gpu": 1}) as engine:
            plain, own = await engine.run([where().run_if(truth()), lazy])
            return plain, own

    plain, own = await run()
    assert (plain == own) is (row.just_called or row.in_stretches or row.name == "cache")


def test_the_table_has_the_fields_of_policies() -> None:
    """There is one row for each field, in their order, and the default of each is that of the field."""
    assert tuple(row.name for row in POLICIES) == Policies._fields
    assert Policies() == NO_POLICIES == tuple(row.default for row in POLICIES)


def test_digests_and_records_begin_with_the_first_policies() -> None:
    """The order of the first eight policies never changes: what was written long ago has it."""
    first = ["retry", "timeout", "cache", "mode", "constraints", "conditions", "otherwise", "after"]
    assert [row.name for row in POLICIES[:ALWAYS_WRITTEN]] == first


WORKFLOW = """
import cascade as cs
@cs.task
def f(value: object = None) -> object: return value
@cs.task
def truth() -> bool: return True
"""


def test_what_was_written_long_ago_stays_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest and the record of a tree with all the first policies are those that earlier versions made."""
    module = ModuleType("test_policy_table")  # where the tasks stand is part of both
    exec(WORKFLOW, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    condition, call = module.truth(), module.f
    retry = cs.RetryPolicy(2, delay=1.5, on=(OSError, ValueError))
    task = cs.task(retry=retry, timeout=3, cache=cs.ByInputs(version="x"), mode="thread")(call.func)
    lazy = task(1).run_if(condition, otherwise=3).after(call(2), condition)
    lazy = lazy.with_constraints(gpu=1, cpu=call(3))
    tree: Lazy = ConfiguredLazyResult(call, (1,), {}, lazy.policies)
    record = encode_target(tree, DataCodec(), key=b"k")
    assert structure_digest(tree) == "5833deaa8c8e9edafd99985e10e156dae17183061803e306d57480781d858686"
    assert sha256(record).hexdigest() == "549e8702dbcc826fa142bfb28e671b3ce64aa35d565dde9007e2040e1479da1f"


def test_a_policy_of_a_later_version_is_told_so() -> None:
    """A record with a policy that this version does not know is refused as a later version's, and nothing is lost."""
    codec = DataCodec()
    record: Any = codec.decode(encode_target(with_policy("timeout", 5), codec, key=b"k"), key=b"k")
    record[-1][-1][-1].append(["a later policy", 1])
    with pytest.raises(DataVersionError):
        decode_target(codec.encode(record, key=b"k"), codec, key=b"k")


def public_methods() -> Iterator[str]:
    return (
        name for name, value in vars(TakesPolicies).items() if inspect.isfunction(value) and name[0] != "_"
    )


def test_each_method_that_chains_a_policy_has_a_row() -> None:
    """The methods of lazy results that chain policies are those of the table."""
    assert {*public_methods()} - {"as_lazy"} == {row.method for row in POLICIES if row.method is not None}


def test_each_keyword_of_a_task_has_a_row() -> None:
    """`@cs.task(...)` takes the keywords of the table, its help shows them, and each policy can be asked for."""
    keywords = {row.name for row in POLICIES if row.keyword is not None}
    assert set(PolicyKeywords.__annotations__) == keywords
    assert keywords <= set(inspect.signature(cs.task).parameters)
    assert all(row.method or row.keyword for row in POLICIES)


@pytest.mark.parametrize(
    "row", [row for row in POLICIES if row.keyword is not None], ids=lambda row: row.name
)
def test_a_keyword_of_a_task_gives_its_calls_the_policy(row: PolicyRow) -> None:
    """`@cs.task(name=value)` gives each call of the task that policy."""
    for value in SAMPLES[row.name]:
        keywords: dict[str, Any] = {row.name: value}
        lazy = cs.task(**keywords)(f.func)(7)
        assert getattr(lazy.policies, row.name) == value
        assert key_of(lazy).__class__ is key_of(f(7)).__class__


def test_a_task_refuses_what_is_no_keyword() -> None:
    """A keyword that is none is a `TypeError` as from any function."""
    unknown: dict[str, Any] = {"retries": 3}
    with pytest.raises(TypeError, match=re.escape("task() got an unexpected keyword argument 'retries'")):
        cs.task(**unknown)


@pytest.mark.parametrize("method", sorted({row.method for row in POLICIES if row.method is not None}))
def test_the_analysis_of_source_sees_through_each_method(method: str, tmp_path: Path) -> None:
    """`return other().method(...)` is a tail call of `other`, whatever is chained."""
    path = tmp_path / "chained.py"
    path.write_text(
        "import cascade as cs\n"
        "@cs.task\ndef last(): return 1\n"
        f"@cs.task\ndef first(): return last().{method}(3)\n"
    )
    names: dict[str, Any] = {"__name__": "chained"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    shown = with_tail_calls(build_graph(names["first"]()))
    assert [node.name for node in shown.nodes] == ["first", "last"]


@each_policy
def test_the_reference_names_a_policy(row: PolicyRow) -> None:
    """The reference has each policy: its field, its method, its keyword, and what a picture shows of it."""
    spec, graph = (DOCS / "spec.md").read_text(), (DOCS / "graph.md").read_text()
    (policies,) = re.findall(r"^\| `Policies` \|.*$", spec, re.MULTILINE)
    assert f"`{row.name}`" in policies
    if row.method is not None:
        assert f"### `LazyResult.{row.method}(" in spec
    if row.keyword is not None:
        (task,) = re.findall(r"^### `task\(.*$", spec, re.MULTILINE)
        assert f"{row.name}=None" in task
        assert re.search(rf"^\| `{row.name}` \|", spec, re.MULTILINE)
    if row.name not in NOT_IN_NODE_POLICIES:
        (node,) = re.findall(r"^### `NodePolicies\(.*$", graph, re.MULTILINE)
        assert f"{row.name}=" in node
