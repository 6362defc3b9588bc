"""Codecs: what the bytes of a value cost, beside bare msgpack and bare pickle."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cascade as cs
from cascade.adapters.codec import DataCodec, PickleCodec
from cascade.adapters.codec.trees import decode_target, encode_target


@dataclass(frozen=True)
class Row:
    number: int
    name: str


@cs.task
def step(number: int, rows: list[int]) -> int:
    return number + len(rows)


CODEC = DataCodec()
SIGNED = PickleCodec(key=bytes(32))
KEY = b"a run/root.args.0"
SMALL: dict[str, Any] = {
    "plain": {"a": 1, "b": [1, 2, 3], "c": "text"},
    "tuple": (1, 2, 3),
    "dataclass": Row(1, "one"),
    "datetime": datetime(2024, 1, 1, tzinfo=UTC),
}
LARGE: dict[str, Any] = {
    "plain": [{"number": number, "name": "row"} for number in range(10_000)],
    "dataclasses": [Row(number, "row") for number in range(10_000)],
}
VALUES = {
    **{f"small {name}": value for name, value in SMALL.items()},
    **{f"large {k}": v for k, v in LARGE.items()},
}
each_value = pytest.mark.parametrize("name", VALUES)


@each_value
@pytest.mark.benchmark(group="encode")
def test_encode(benchmark: BenchmarkFixture, name: str) -> None:
    data = benchmark(lambda: CODEC.encode(VALUES[name], key=KEY))
    assert CODEC.decode(data, key=KEY) == VALUES[name]


@each_value
@pytest.mark.benchmark(group="decode")
def test_decode(benchmark: BenchmarkFixture, name: str) -> None:
    data = CODEC.encode(VALUES[name], key=KEY)
    assert benchmark(lambda: CODEC.decode(data, key=KEY)) == VALUES[name]


@pytest.mark.parametrize("name", [name for name in VALUES if "plain" in name])
@pytest.mark.benchmark(group="encode")
def test_encode_bare_msgpack(benchmark: BenchmarkFixture, name: str) -> None:
    assert msgspec.msgpack.decode(benchmark(lambda: msgspec.msgpack.encode(VALUES[name]))) == VALUES[name]


@each_value
@pytest.mark.benchmark(group="encode")
def test_encode_bare_pickle(benchmark: BenchmarkFixture, name: str) -> None:
    assert pickle.loads(benchmark(lambda: pickle.dumps(VALUES[name], protocol=5))) == VALUES[name]


@each_value
@pytest.mark.benchmark(group="encode")
def test_encode_signed_pickle(benchmark: BenchmarkFixture, name: str) -> None:
    data = benchmark(lambda: SIGNED.encode(VALUES[name], key=KEY))
    assert SIGNED.decode(data, key=KEY) == VALUES[name]


@pytest.mark.benchmark(group="one recorded call")
def test_record_a_call(benchmark: BenchmarkFixture) -> None:
    target = step(1, [1, 2, 3])
    data = benchmark(lambda: encode_target(target, CODEC, key=KEY))
    assert decode_target(data, CODEC, key=KEY).args == (1, [1, 2, 3])


@pytest.mark.benchmark(group="one recorded call")
def test_read_a_call(benchmark: BenchmarkFixture) -> None:
    data = encode_target(step(1, [1, 2, 3]), CODEC, key=KEY)
    assert benchmark(lambda: decode_target(data, CODEC, key=KEY)).task is step
