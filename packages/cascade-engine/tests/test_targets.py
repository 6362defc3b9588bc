"""Claims about recorded targets: a lazy tree becomes bytes, and the bytes a tree that does the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

import cascade as cs
from cascade.adapters.codec import DataCodec, PickleCodec
from cascade.adapters.codec.trees import decode_target, encode_target
from cascade.graph import CycleError
from cascade.graph.build import read_tree
from cascade.graph.structure_keys import structure_key
from cascade.spec import (
    Codec,
    CodecError,
    DamagedDataError,
    DataVersionError,
    LazyResult,
    Router,
    StoredReferenceError,
    TaskReferenceError,
)
from cascade.spec.cache_keys import make_key
from cascade.spec.protocols import CacheKey

Lazy = LazyResult[Any]
CODECS: list[Codec] = [DataCodec(), PickleCodec(key=b"0123456789abcdef")]
each_codec = pytest.mark.parametrize("codec", CODECS, ids=["data", "pickle"])


class Colour(Enum):
    RED = "red"


class RetryableError(Exception):
    pass


@dataclass(frozen=True)
class Forever:
    """A cache policy of the user's own."""

    version: int = 1

    @property
    def ttl(self) -> None:
        return None

    def key(self, call: Any) -> CacheKey:
        return make_key(call.task, {"args": call.args})

    def known(self, call: Any) -> None:
        return None


@cs.task
def add(*numbers: Any, plus: int = 0) -> Any:
    return sum(numbers) + plus


@cs.task
def total(values: Any) -> Any:
    return sum(values)


@cs.task
def told(values: Any) -> Any:
    return values


@cs.task(retry=2)
def careful(x: Any) -> Any:
    return x


@cs.task(mode="thread")
def elsewhere(x: Any) -> Any:
    return x


@cs.task
def with_db(x: Any, db: Any = cs.inject("db")) -> Any:
    return x


@cs.task
def apply(work: Any, x: Any) -> Any:
    return work(x)


def make(x: Any) -> Lazy:
    return add(x, 1)


class Group:
    @cs.task
    def inner(x: Any) -> Any:  # noqa: N805 - a task in a class
        return x


def again(target: Lazy, codec: Any = CODECS[0]) -> Lazy:
    return decode_target(encode_target(target, codec, key=b"round 7"), codec, key=b"round 7")


def key(target: Lazy) -> Hashable:
    return structure_key(read_tree(target))


def shared() -> Lazy:
    a = add(1)
    return add(a, a, plus=a)


def unshared() -> Lazy:
    return add(add(1), add(1))


def routed() -> Lazy:
    chosen = told(Colour.RED)
    return told([Router(selector=chosen, routes={Colour.RED: add(1), "x": add(2), (1, None): shared()}), 3])


def ordered() -> Lazy:
    a, b = add(1), add(2)
    return cs.sequence([a, b, add(b)])


def in_order_inside() -> Lazy:
    return total([cs.sequence([add(1), add(2)]), 5])


def configured() -> Lazy:
    amount = add(1)
    return (
        elsewhere(3)
        .with_retry(4, delay=0.5, backoff=2.0, jitter=0.1, max_delay=9.0, on=(ValueError, RetryableError))
        .with_timeout(2.5)
        .with_cache(cs.ByInputs(ttl=60, version="2"))
        .with_constraints(gpu=amount, memory=Fraction(1, 3))
        .run_if(add(1), otherwise={"none": (1, 2)})
        .run_if(add(0, amount, plus=-1))
        .after(add(7), cs.sequence([add(8), add(9)]))
    )


TARGETS: list[tuple[Callable[[], Lazy], object]] = [
    (lambda: add(1, 2, plus=3), 6),
    (shared, 3),
    (unshared, 2),
    (
        lambda: told({"a": [add(1), (add(2), {"k": add(3)})], "b": {1, 2}}),
        {"a": [1, (2, {"k": 3})], "b": {1, 2}},
    ),
    (lambda: told((add(1), [add(2)], (1, 2), "text", None)), (1, [2], (1, 2), "text", None)),
    (routed, [1, 3]),
    (ordered, 2),
    (in_order_inside, 7),
    (lambda: careful(1), 1),
    (lambda: elsewhere(1).with_timeout(5).with_retry(on=OSError), 1),
    (configured, {"none": (1, 2)}),
    (lambda: add(1).with_cache(Forever(2)), 1),
    (lambda: add(1).with_cache(cs.FileExists(Path("a"))), 1),
    (lambda: add.partial(plus=add(10)).map([1, add(2), 3], max_concurrency=2), [11, 12, 13]),
    (lambda: careful.map(told([1, 2])).run_if(add(1)), [1, 2]),
    (lambda: cs.map(make, x=[1, 2]), [2, 3]),
    (lambda: cs.map(add.partial(5), [1, 2]), [6, 7]),
    (lambda: cs.map(add.partial(add(5)), [1, 2]), [6, 7]),
    (lambda: cs.gather(add(1), add(2)), [1, 2]),
    (lambda: apply(make, 2), 3),
    (lambda: apply(add, 2), 2),
    (lambda: with_db(1), 1),
    (lambda: with_db(1, cs.inject("db")), 1),
    (lambda: Group.inner(4), 4),
    (lambda: add(cs.Param("p", default=4), cs.Param("q", type=int)), 9),
    (
        lambda: told([cs.Param("c", default=Colour.RED), cs.Param("n", type=int | None, default=None)]),
        [Colour.RED, None],
    ),
    (lambda: told(cs.Param("l", default=[1], type=list[int])), [1]),
    (lambda: told(cs.Param("m", default="a", type=Literal["a", "b"])), "a"),
    (lambda: told(cs.Env("CASCADE_TEST_UNSET", default=Path("x"), type=Path)), Path("x")),
    (lambda: told(cs.Secret("s")).run_if(add(0)).run_if(add(1), otherwise=3), 3),
]


@cs.resource
def db() -> Any:
    yield "db"


@each_codec
@pytest.mark.parametrize(("make_target", "value"), TARGETS)
async def test_a_target_comes_back(make_target: Callable[[], Lazy], value: object, codec: Any) -> None:
    """The tree that comes back has the same structure key, the same bytes, and gives the same value."""
    target = make_target()
    read = again(target, codec)
    assert read is not target
    assert key(read) == key(target)
    assert encode_target(again(target), CODECS[0], key=b"") == encode_target(target, CODECS[0], key=b"")
    assert await value_of(read) == await value_of(target) == value


async def value_of(target: Lazy) -> object:
    """Run a target with what the targets above need."""
    inputs = {each.args[0].name for each in read_tree(target).lazies if each.task.name == "input"}
    params = {name: given for name, given in {"q": 5, "s": "x"}.items() if name in inputs}
    async with cs.Engine(system_resources={"gpu": 4, "memory": 1}) as engine:
        engine.register(db)
        return await engine.run(target, params=params)


def test_structures_are_told_apart() -> None:
    """Trees of different structure stay different: sharing above all."""
    keys = [key(again(make_target())) for make_target, _ in TARGETS]
    assert len(set(keys)) == len({key(make_target()) for make_target, _ in TARGETS})
    assert key(again(shared())) != key(again(unshared()))


def test_policies_come_back_by_value() -> None:
    """Retry with its classes, timeout, cache, mode, amounts, `otherwise` and whose policies they are come back."""
    policies = again(configured()).policies
    assert policies.mode == "thread"
    assert policies.retry == configured().policies.retry
    assert policies.cache == cs.ByInputs(ttl=60, version="2")
    assert policies.otherwise == {"none": (1, 2)}
    assert policies.constraints is not None
    assert [name for name, _ in policies.constraints.amounts] == ["gpu", "memory"]
    assert policies.constraints.amounts[1][1] == Fraction(1, 3)
    assert again(careful(1)).policies is careful.policies
    assert again(told.map([1])).policies is told.policies


def test_shared_literals_stay_shared() -> None:
    """A list that two calls get is one list in the tree that comes back, and none is the one that was recorded."""
    rows = [1, 2]
    read = again(told([told(rows), told(rows)]))
    one, other = read.args[0]
    assert one.args[0] is other.args[0]
    assert one.args[0] is not rows


@each_codec
def test_a_chain_of_100_000_costs_no_recursion(codec: Any) -> None:
    """A chain of 100,000 calls is recorded and read, each call once."""
    target = add(0)
    for _ in range(99_999):
        target = add(target)
    read = again(target, codec)
    assert len(read_tree(read).lazies) == 100_000


@each_codec
def test_a_task_inside_a_function_is_refused(codec: Any) -> None:
    """A task that no name leads to is refused when it is recorded, by its name and with the remedy."""

    @cs.task
    def local(x: Any) -> Any:
        return x

    with pytest.raises(TaskReferenceError, match=r"task 'local'.*<locals>.*at the top of a module"):
        encode_target(add(local(1)), codec, key=b"")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (lambda: add(1, total([{"k": object()}])), r"value\[0\]\['k'\] of argument 'values' of task 'total'"),
        (lambda: add(1, plus=object()), "value of argument 'plus' of task 'add' is of type object"),
        (
            lambda: cs.map(lambda x: add(x), [1]),
            "of task 'map' is of type function.*top of a module that has tasks",
        ),
        (lambda: add(1).run_if(add(1), otherwise=object()), "`otherwise` of task 'add'"),
        (lambda: add(cs.Secret("token", default="hunter2")), "the default of the secret 'token'"),
        (lambda: add(cs.Param("x", default=object(), type=object)), "the default of the input 'x'"),
        (
            lambda: told(Router(selector=add(1), routes={frozenset([int]): add(1)})),
            "a router's keys in task 'told'",
        ),
    ],
)
def test_a_literal_that_is_no_data_is_named(target: Callable[[], Lazy], words: str) -> None:
    """The error names the task, the argument, the type and the place inside, and shows no secret."""
    with pytest.raises(CodecError, match=words) as caught:
        encode_target(target(), DataCodec(), key=b"")
    assert "hunter2" not in str(caught.value)


def test_a_lazy_result_inside_itself_is_refused() -> None:
    """A tree that was tied into a circle is a `CycleError`."""
    values: list[Any] = []
    target = told(values)
    values.append(add(target))
    with pytest.raises(CycleError):
        encode_target(target, DataCodec(), key=b"")


# Reading elsewhere

SOURCE = """
import cascade as cs

class BoomError(Exception): ...

@cs.task
def step(x): return x

def factory(x): return step(x)
"""


def module_of(source: str) -> Any:
    module = ModuleType("steps_of_today")
    sys.modules[module.__name__] = module
    exec(source, vars(module))
    return module


@pytest.fixture
def steps() -> Any:
    yield module_of(SOURCE)
    sys.modules.pop("steps_of_today", None)


@pytest.mark.parametrize("name", ["step", "factory", "BoomError"])
def test_a_name_that_is_not_there_is_told(steps: Any, name: str) -> None:
    """A task, factory or exception whose module is not imported, or has it no more, is named with the remedy."""
    targets: dict[str, Lazy] = {
        "step": steps.step(1),
        "factory": cs.map(steps.factory, [1]),
        "BoomError": add(1).with_retry(on=steps.BoomError),
    }
    target = targets[name]
    data = encode_target(target, DataCodec(), key=b"")
    module_of(SOURCE.replace(name, "renamed"))
    with pytest.raises(StoredReferenceError, match=rf"steps_of_today\.{name}, but it is not there"):
        decode_target(data, DataCodec(), key=b"")
    module_of(SOURCE + f"\n{name} = 5")
    with pytest.raises(StoredReferenceError, match=rf"steps_of_today\.{name}, but it is not a"):
        decode_target(data, DataCodec(), key=b"")
    module_of("def __getattr__(name): raise SystemExit")
    with pytest.raises(StoredReferenceError, match=rf"steps_of_today\.{name}"):
        decode_target(data, DataCodec(), key=b"")
    del sys.modules["steps_of_today"]
    with pytest.raises(StoredReferenceError, match=rf"{name}.*not imported; import steps_of_today first"):
        decode_target(data, DataCodec(), key=b"")


CALL, MAP = "call", "map"


def forged(place: list[str], kind: str) -> bytes:
    """Return a record that somebody wrote by hand, with a checksum that fits."""
    fill = [0, [], "function", place]
    row = [CALL, 0, [None, "touch /tmp/boom"], {}, [fill]]
    if kind == MAP:
        row = [MAP, 0, [None, ["touch /tmp/boom"]], {}, [fill], "none", [1], None]
    return DataCodec().encode(["cascade target", 1, [[None, "map"]], [row]], key=b"")


@pytest.mark.parametrize("kind", [CALL, MAP])
@pytest.mark.parametrize(
    "place",
    [
        ["os", "system"],
        ["posix", "system"],
        ["subprocess", "run"],
        ["shutil", "rmtree"],
        ["builtins", "exec"],
    ],
)
def test_a_forged_record_leads_to_no_function_but_those_of_workflows(place: list[str], kind: str) -> None:
    """A record may name functions that stand beside tasks, and no others: not what happens to be loaded."""
    with pytest.raises(StoredReferenceError, match=r"in a module that defines tasks|not there"):
        decode_target(forged(place, kind), DataCodec(), key=b"")


def test_a_forged_environment_variable_calls_no_class() -> None:
    """The type of an environment variable, which is called with its text, is plain data or stands beside tasks."""
    subprocess_class = ["class", [subprocess.Popen.__module__, subprocess.Popen.__qualname__]]
    row = ["param", "none", ["env", "HOME", subprocess_class, [], ""]]
    data = DataCodec().encode(["cascade target", 1, [], [row]], key=b"")
    with pytest.raises(StoredReferenceError, match=r"subprocess\.Popen.*HOME"):
        decode_target(data, DataCodec(), key=b"")


@pytest.mark.parametrize(
    "record",
    [
        5,
        [],
        ["something else", 1, [], []],
        ["cascade target", 1, [], []],
        ["cascade target", 1, [["os"]], []],
        ["cascade target", 1, [], [["call", 0, [], {}, []]]],
        ["cascade target", 1, [[None, "gather"]], [["call", 0, [None], {}, [[0, [], "lazy", -1]]]]],
        ["cascade target", 1, [[None, "gather"]], [["call", 0, [None], {}, [[0, [], "magic", 0]]]]],
        [
            "cascade target",
            1,
            [[None, "gather"]],
            [["configured", 0, [], {}, [], [None, None, 5, *[None] * 5]]],
        ],
    ],
)
def test_what_is_no_target_is_refused(record: object) -> None:
    """Intact data that is no recorded target is a `DamagedDataError`."""
    data = DataCodec().encode(record, key=b"")
    with pytest.raises(DamagedDataError, match="not a recorded target"):
        decode_target(data, DataCodec(), key=b"")


def test_a_later_record_is_told_by_its_number() -> None:
    """A record of a later layout is refused by its number."""
    data = DataCodec().encode(["cascade target", 2, [], []], key=b"")
    with pytest.raises(DataVersionError, match="format 2"):
        decode_target(data, DataCodec(), key=b"")


def test_a_target_is_bound_to_its_key() -> None:
    """Bytes of a target under another key are refused."""
    data = encode_target(add(1), DataCodec(), key=b"round 1")
    with pytest.raises(DamagedDataError):
        decode_target(data, DataCodec(), key=b"round 2")
