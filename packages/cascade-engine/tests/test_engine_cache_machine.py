"""Claims about the caches under random use: each agrees with a dict, step by step."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from support.examples import examples

from cascade.adapters.cache import InMemoryCacheBackend, RedisCacheBackend, SqliteCacheBackend
from cascade.spec import CacheBackend, CacheEntry, CacheKey, Hit, KeyPart, PartKind

Maker = Callable[[Path, Callable[[], float]], CacheBackend]

KEYS = st.builds(
    lambda digest, task: CacheKey(digest, task, (KeyPart(PartKind.ARGUMENT, "x", digest),)),
    st.sampled_from(["a", "b", "ä", "\x00"]),
    st.just("module.task"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def make(request: pytest.FixtureRequest) -> Maker:
    if request.param == "memory":
        return lambda folder, clock: InMemoryCacheBackend(clock=clock)
    if request.param == "sqlite":
        return lambda folder, clock: SqliteCacheBackend(folder / "cache.db", clock=clock)
    url = request.getfixturevalue("redis_server").url
    return lambda folder, clock: RedisCacheBackend(url, clock=clock, prefix=f"{folder}:")


def machine(make: Maker, forgets: bool) -> type[RuleBasedStateMachine]:
    class CacheMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory()
            self.now = 1000.0
            self.runner = asyncio.Runner()
            self.cache = self.open()
            self.kept: dict[CacheKey, tuple[object, float, float | None]] = {}

        def open(self) -> CacheBackend:
            return make(Path(self.folder.name), lambda: self.now)

        @rule(key=KEYS, value=VALUES, ttl=st.none() | st.sampled_from([0.5, 1.0, 10.0]))
        def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
            self.runner.run(self.cache.put(key, value, ttl))
            self.kept.pop(key, None)
            self.kept[key] = (value, self.now, None if ttl is None else self.now + ttl)

        @rule(key=KEYS)
        def get(self, key: CacheKey) -> None:
            value, _, until = self.kept.get(key, (None, 0.0, 0.0))
            expected = Hit(value) if until is None or self.now < until else None
            found = self.runner.run(self.cache.get(key))
            assert found == expected
            assert repr(found) == repr(expected)  # 1 and True and 1.0 are equal

        @rule()
        def list_entries(self) -> None:
            told = self.runner.run(self.cache.entries("module.task"))
            good = [entry for entry in told if entry.expires_at is None or self.now < entry.expires_at]
            expected = [
                CacheEntry(key, stored, until)
                for key, (_, stored, until) in self.kept.items()
                if until is None or self.now < until
            ]
            assert sorted(good, key=repr) == sorted(expected, key=repr)
            stored = [entry.stored_at for entry in told]
            assert stored == sorted(stored, reverse=True)

        @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 100.0]))
        def wait(self, seconds: float) -> None:
            self.now += seconds

        @rule()
        def open_again(self) -> None:
            self.runner.run(self.cache.close())
            self.cache = self.open()
            if forgets:
                self.kept.clear()

        def teardown(self) -> None:
            self.runner.run(self.cache.close())
            self.runner.close()
            self.folder.cleanup()

    return CacheMachine


def test_a_cache_agrees_with_a_dict(make: Maker, request: pytest.FixtureRequest) -> None:
    """Whatever is put, got, listed, waited for and opened again, a cache gives what a dict with times would."""
    kind: Any = request.node.callspec.params["make"]
    run_state_machine_as_test(
        machine(make, forgets=kind == "memory"),
        settings=settings(
            max_examples=examples(40),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
