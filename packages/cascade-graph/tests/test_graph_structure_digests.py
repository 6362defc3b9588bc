"""Claims about structure digests: equal structures agree everywhere, different ones never."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.graph import structure_digest
from cascade.spec import NotLazyError

Lazy = cs.LazyResult[Any]


@cs.task
def f(*args: object, **kwargs: object) -> object:
    return args


@cs.task
def g(*args: object, **kwargs: object) -> object:
    return args


@cs.task
def query(sql: str, conn: object = cs.inject("db")) -> object:
    return sql


def make(x: int) -> Lazy:
    return f(x)


def make_other(x: int) -> Lazy:
    return g(x)


@dataclass(frozen=True)
class Policy:
    """A cache policy of a user's own."""

    size: int = 1
    function: Callable[..., object] = make
    thing: object = None

    ttl = None

    def key(self, call: object) -> None: ...

    def known(self, call: object) -> None: ...


@dataclass(frozen=True)
class OtherPolicy(Policy):
    pass


def router(*keys: object, selector: Lazy | None = None) -> cs.Router:
    return cs.Router(selector=f() if selector is None else selector, routes={key: f() for key in keys})


def shared(build: Callable[[Lazy], Lazy]) -> Lazy:
    return build(f())


DIFFERENT: dict[str, Callable[[], object]] = {
    "a call": lambda: f(),
    "another task": lambda: g(),
    "one argument": lambda: f(1),
    "two arguments": lambda: f(1, 2),
    "a named argument": lambda: f(x=1),
    "another name": lambda: f(y=1),
    "two names": lambda: f(x=1, y=1),
    "a map": lambda: f.map([1]),
    "a map by name": lambda: f.map(x=[1]),
    "a map, partly fixed": lambda: f.partial(1).map([1]),
    "a bounded map": lambda: f.map([1], max_concurrency=2),
    "a lazy argument": lambda: f(f()),
    "a lazy named argument": lambda: f(x=f()),
    "in a list": lambda: f([f()]),
    "in a tuple": lambda: f((f(),)),
    "in a dict": lambda: f({"k": f()}),
    "second in a list": lambda: f([1, f()]),
    "deeper": lambda: f([[f()]]),
    "two lazies": lambda: f(f(), f()),
    "one lazy, shared": lambda: shared(lambda a: f(a, a)),
    "shared deeper": lambda: shared(lambda a: f(f(a), f(a))),
    "not shared deeper": lambda: f(f(f()), f(f())),
    "a retry": lambda: f().with_retry(1),
    "more retries": lambda: f().with_retry(2),
    "a delay": lambda: f().with_retry(1, delay=1),
    "a back-off": lambda: f().with_retry(1, backoff=2),
    "jitter": lambda: f().with_retry(1, jitter=0.5),
    "a bounded delay": lambda: f().with_retry(1, max_delay=1),
    "a retry on one": lambda: f().with_retry(1, on=OSError),
    "a retry on two": lambda: f().with_retry(1, on=(OSError, KeyError)),
    "a timeout": lambda: f().with_timeout(1),
    "another timeout": lambda: f().with_timeout(2),
    "a cache": lambda: f().with_cache(cs.ByInputs()),
    "a cache for a time": lambda: f().with_cache(cs.ByInputs(ttl=1)),
    "a cache by version": lambda: f().with_cache(cs.ByInputs(version="2")),
    "a cache in a file": lambda: f().with_cache(cs.FileExists("a")),
    "a cache in another file": lambda: f().with_cache(cs.FileExists("b")),
    "a cache at a path": lambda: f().with_cache(cs.FileExists(Path("b"))),
    "a policy of their own": lambda: f().with_cache(Policy()),
    "another size": lambda: f().with_cache(Policy(2)),
    "another function": lambda: f().with_cache(Policy(function=make_other)),
    "another class": lambda: f().with_cache(OtherPolicy()),
    "what can't be encoded": lambda: f().with_cache(Policy(thing=object())),
    "a mode": lambda: with_mode("thread"),
    "another mode": lambda: with_mode("process"),
    "a constraint": lambda: f().with_constraints(gpu=1),
    "another constraint": lambda: f().with_constraints(cpu=1),
    "two constraints": lambda: f().with_constraints(cpu=1, gpu=1),
    "a lazy amount": lambda: f().with_constraints(gpu=f()),
    "a condition": lambda: f().run_if(f()),
    "two conditions": lambda: f().run_if(f()).run_if(f()),
    "otherwise": lambda: f().run_if(f(), otherwise=1),
    "after one": lambda: f().after(f()),
    "after two": lambda: f().after(f(), f()),
    "a sequence": lambda: cs.sequence([f(), f(), f()]),
    "a chain of after": lambda: f().after(f().after(f())),
    "a router": lambda: f(router("a")),
    "another key": lambda: f(router("b")),
    "a key of another type": lambda: f(router(1)),
    "a key that is true": lambda: f(router(True)),
    "two keys": lambda: f(router("a", "b")),
    "two keys, other order": lambda: f(router("b", "a")),
    "a key in a tuple": lambda: f(router(("a", 1))),
    "a key that is a class": lambda: f(router(ValueError)),
    "a shared selector": lambda: shared(lambda a: f(router("a", selector=a), a)),
    "an injected resource": lambda: f(cs.inject("db")),
    "another resource": lambda: f(cs.inject("cache")),
    "an injected default": lambda: query("x"),
    "no injected default": lambda: query("x", "y"),
    "a parameter": lambda: cs.Param("p"),
    "another parameter": lambda: cs.Param("q"),
    "a parameter of another type": lambda: cs.Param("p", type=int),
    "a parameter of a generic type": lambda: cs.Param("p", type=list[int]),
    "a parameter with a default": lambda: cs.Param("p", default="x"),
    "a secret": lambda: cs.Secret("p"),
    "a variable": lambda: cs.Env("p"),
    "a mapped factory": lambda: cs.map(make, [1]),
    "another factory": lambda: cs.map(make_other, [1]),
    "gathered in a list": lambda: [f()],
    "gathered in a dict": lambda: {"x": f()},
}


def with_mode(mode: Any) -> Lazy:
    moded: cs.Task[Any] = cs.task(mode=mode)(f.func)
    return moded()


def test_different_structures_have_different_digests() -> None:
    """Task, arity, names, places, policies, order, routes, resources, inputs and sharing each change the digest."""
    digests = {name: structure_digest(build()) for name, build in DIFFERENT.items()}
    assert [pair for pair in combinations(digests, 2) if digests[pair[0]] == digests[pair[1]]] == []


@pytest.mark.parametrize("name", DIFFERENT)
def test_equal_structures_have_equal_digests(name: str) -> None:
    """A tree written twice has one digest, a sha256 in hex."""
    digest = structure_digest(DIFFERENT[name]())
    assert digest == structure_digest(DIFFERENT[name]())
    assert len(bytes.fromhex(digest)) == 32


SAME: list[tuple[object, object]] = [
    (f(1, x="a"), f([2, 3], x=None)),
    (f([1, 2, 3]), f({"k": object()})),
    (f.map([1]), f.map([1, 2, 3])),
    (f({"k": f(), "l": 1}), f({"m": f(), "n": 2})),
    (f().with_constraints(gpu=1), f().with_constraints(gpu=2.5)),
    (f().run_if(f(), otherwise=1), f().run_if(f(), otherwise=None)),
    (cs.Param("p", default=1), cs.Param("p", default=2, description="other")),
    (f().with_cache(Policy(thing=object())), f().with_cache(Policy(thing=object()))),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_values_are_no_structure(first: object, second: object) -> None:
    """Literals, items, dict keys, amounts, `otherwise` values and defaults leave the digest as it is."""
    assert structure_digest(first) == structure_digest(second)


def test_a_task_is_told_by_its_reference() -> None:
    """Two task objects of one function have one digest: it holds in another process, where objects differ."""
    again: cs.Task[Any] = cs.task(f.func)
    assert structure_digest(again(1)) == structure_digest(f(1))


def test_a_target_that_is_not_lazy_has_no_digest() -> None:
    """What is no lazy tree is refused as by `build_graph`."""
    with pytest.raises(NotLazyError):
        structure_digest(3)


SCRIPT = """
import cascade as cs
from cascade.graph import structure_digest

@cs.task(retry=cs.RetryPolicy(2, on=(OSError, KeyError)), cache=cs.ByInputs(ttl=3))
def f(*args, **kwargs): ...

router = cs.Router(selector=f(), routes={"a": f(), None: f(), frozenset({"x", "y", "z"}): f()})
tree = f(router, [1, {"k": f.map([1])}], x=cs.Param("p", type=list[int])).run_if(f(), otherwise={1, "a"})
print(structure_digest(cs.sequence([f(), tree.with_constraints(gpu=1, cpu=f()).after(f())])))
"""


def test_digests_are_the_same_in_every_interpreter() -> None:
    """A digest does not depend on the process, its hash seed or the version of Python."""
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1", "2")
    }
    assert found == {"2bc7d8020c1c615d9e4c5d62eb7e462777515cc5a9951122bc0e344d27da5252"}
