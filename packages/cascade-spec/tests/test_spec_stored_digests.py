"""Claims about bytes that stores hold: digests of values and keys of calls are what earlier releases made them.

A digest that changes loses every cached value and every recorded run. If one has to change, raise `DIGEST_RULES`.
"""

from __future__ import annotations

import collections
import datetime
import decimal
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.spec import ByInputs, CachedCall
from cascade.spec.cache_keys import bound_arguments, make_key
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.encoding.canonical import digest

DIGESTS: list[tuple[object, str]] = [
    (None, "83984f8c40f840a3e7c348e420b88394b861874e3c3be4d08c56b3571cf42559"),
    (True, "4ce7609e3bdeeeca7fbb5b0937e0b5ab6d1b3f7f4d88001570a18c0bdaea5db4"),
    (False, "d8af6490efd1b19475263fd2ad727f701b3ba710969c4c297f3dda477a6a79af"),
    (0, "00cabff066133ae508b379f4be8dde452ca59814c6b6d2ecd54ca529e907e330"),
    (1, "e6c9ffc07c20e70c7afe3913ce920b0eb19e592922a47780adefc87686dfdd8b"),
    (-1, "79bbe7aff38a9f621bd230e222ff61d3b5a4ba5d204a4fcd42a36878b8e94141"),
    (127, "941c35bfe8b181e84a137228694b0677d9430759a82941c53ff0503b0bc9498d"),
    (128, "35d180869dd7ae5dd92fc0bca91a4d84acdd31accc8ce1933e86a2e15ef41cff"),
    (-128, "f81b29ff7c857e2d6594c0d47f442dc2fd7f05b56dd45c3309a502a3073c0acb"),
    (-129, "2fd55ed5d669cf96a317d10b7130fd8108c6f9ece9312cdb4862dcce9ecac42f"),
    (255, "02a56ea76173d67d97c77f7870e5a5448ba392a3778d7a3225fd72618a33ec3d"),
    (256, "6d33c0fa5ccfd2d445e7c1dba31247e8ae2542131da3efb94448d6719aa236d6"),
    (2**63, "5561a3e9189e0df3fa5f6d51c794c5b18e059c8c9a7d400b8d248e3333ffe1b4"),
    (2**64, "b9ef530b04edcd6491241b84a5f36e2538581266bc961c88876fece226612c3c"),
    (-(2**64), "95258535395a62a5420a21bfb45f74c735cdf23ad85f0a330e8bd9f19cf2824e"),
    (2**1000, "378c129a71a3b4533b4253b2ad94f8c4458a3df1dd07f644183e48124ec45203"),
    (1.0, "6699c5d10f1dc7de1dc08ec610bdd85993c608480d143b536ac97d193c69f645"),
    (-0.0, "1a284b4f8bb422cce9d7e36826c40536c43e5f010392f4f89aef65af79e54158"),
    (float("nan"), "cd0e0c9bae76beff99418399adf0ce3ab43d65704c24bf7d26d3767c585b232a"),
    (float("inf"), "4cae6a4fef0746280f36470fccdc9b59fec95087fcaed883854b92d7fcdb3b37"),
    (1 + 2j, "71e7dfe111f75632d4632f915cd95433098266a86ff3b51320d9ec2dbbfefca4"),
    ("", "8ac499450950c3897dbf8d7e6569c69fa11a0509e27a8ae16c035ad56328152f"),
    ("a", "00aeafff93b3abd243f243fa1dcc390fb32f14a3e3d57ee085b0842e79ec2ac1"),
    ("\xe9\u20ac", "6cd4cb546a374668c50d763f9482da71aaf058287b0a6878baf9762f26b0e499"),
    ("\ud800", "42694836834c46b73ba7028f383a895e1da2a54dc2fe0e0978f8e11bf5d522e5"),
    ("x" * 1000, "234172881e24c3693db7a2eb4ab25f92f385f632cbd3921c644a3236078ab2eb"),
    (b"", "658bd23379a57504c416f62bc0ad10ffa7f440f8e68e53c08b23c6aff03056df"),
    (b"a", "33e3e1368ebd74a910c0e5b3a996e0eba1597d0b0b87be61446865a3f98b57de"),
    (bytearray(b"a"), "215337500792658466a353f65ca5fb04d3834bcaae5b586de1f892cc615ab9d9"),
    (decimal.Decimal("1.50"), "1555da5e02ed9b7af052615b2b0ed60b55981cbb501d60a4ee870ab28e5c1e4f"),
    (datetime.date(2020, 1, 2), "a90ab603eb6d44c4ccf6ddc2cb4966ca6dc55d702205b33d3a1b7b62d8f7bf23"),
    (
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
        "261d46493ad67d27cbc5080777a9e35d7f417eb12d905af7d667bc3587d40794",
    ),
    (datetime.timedelta(1), "4dcbd9b4711cbf077f1c0f3a5975eb5cd825540fe9fd89bc4739eb3839ffd7b8"),
    (range(3), "a50ab9608cda462a206d17af3fc73d135b6512ff91e3a4650931dd23e5df5950"),
    ([], "ffb662ec406db5edb40cd80d4eb8457142fc15f6c89e93071717b82e4d6ee0b3"),
    ((), "d0c7b9cd54a8abbff8cd786a984c60f44b44cea609303ef7e02880c21d38ca9d"),
    ({}, "bfea2d9869f7bc1707c8c666907982038b2e2d60cdebc6841887d2bfb1687f60"),
    (set(), "b279d2184ac3ecd722012ff1ea048944735c698f17b10853e63a7e3eed207e56"),
    ([1, 2, 3], "f0610f99f575a9f196f6815aa49a89335b08d1f8daecee1339414f93e8485c03"),
    ((1, "a", None), "07fbe372a8fa68f25921c406df01dce9dbdee65443ac7dc3ed73c8892ca4d0f2"),
    ([1.5, True, b"x"], "abe00f934617845ee9286ee66bd94a6e8f195b1219f9ce3d5a892fddf372a775"),
    ({"a": 1, "b": [2]}, "889c8cccb2116c82efc6de59fb1b93e8bc0eee150953bbaf30bddc9fc1d08d39"),
    ({"b": [2], "a": 1}, "ddebf66cecaacc71ccd44b7cf4bf3ced4b49fa8ac9e14189ea636b5b65c3929d"),
    ({1: 2}, "058a978d4241a8a76c281ccb3fc4af872ed152229b483848cbb098576496396d"),
    ({3, 1, 2}, "7256fa1a1c9fe542eea69f7eed77e0b566462f497c66ab5d5ba30f604162304b"),
    (frozenset({"x"}), "61bb36c4e74c311becab8707303b5cd953cde13edee1499096010330dc47cd15"),
    ([[]], "1b5c2a4214c05f11a58b5304ce20815c8139cf7af7fdb8383d065001970d5a6a"),
    ([[1, 2], (3,)], "70d7f95561e4a49e1f39217da446dff99c1460f15ce9b8037299b1e74999fa07"),
    ([(), {}, set()], "21d0cc42a7359a545054d08a8ae71966e1523173b02c301d5729239140cadc08"),
    (collections.OrderedDict(a=1), "e9f1daacd71ca8266f9fb600a0e8c2f95dac9da6603d32a328e65d13694a2a19"),
]


def stored(function: Callable[..., object]) -> cs.Task[object]:
    """Make a task of a module that is called the same however tests are found."""
    function.__module__ = "stored"
    return cs.task(function)


@stored
def plain(a: object, b: object = 2) -> object:
    return a, b


@stored
def ordered(z: object, a: object = "x", *, m: object = None) -> object:
    return z, a, m


@stored
def open_ended(a: object, *rest: object, **named: object) -> object:
    return a, rest, named


@stored
def nothing() -> int:
    return 1


CALLS: list[tuple[CachedCall, str, str]] = [
    (CachedCall(plain, (1,), {}), "", "3702b0eba5e5b2fea1a69d783627ecb0d7159ff5eb4de6e9fffc26e39ad2e7f1"),
    (CachedCall(plain, (1, 2), {}), "", "3702b0eba5e5b2fea1a69d783627ecb0d7159ff5eb4de6e9fffc26e39ad2e7f1"),
    (
        CachedCall(plain, (), {"b": "text", "a": 1.5}),
        "",
        "fe2e2ef607a0a4399292421c599fccea12b1a0ae0b805749283e21c19e781670",
    ),
    (
        CachedCall(plain, ([1, [2]],), {"b": {"k": b"v"}}),
        "1",
        "50f0059b54fdd6847cd4d9322ffe23cd3e7b17e713313a855195adbeb239181e",
    ),
    (CachedCall(ordered, (1,), {}), "", "7b8f34278dcf216612c3f6190c3aa5b6c1b2211d5d7875ca18fc1f9dfe8a4806"),
    (
        CachedCall(ordered, (1, "\ud800"), {"m": (1, 2)}),
        "é",
        "9b36acadf343a8814cdc7d4fb8dbd062b19a3a9867386b143e37bb65b904924b",
    ),
    (
        CachedCall(open_ended, (1,), {}),
        "",
        "d69ab572e524676fc73e82347fb642cdff4a74983065e82c842626c185a78f2b",
    ),
    (
        CachedCall(open_ended, (1, 2, 3), {"z": 1, "b": 2}),
        "",
        "23953a16ab5f441c96f79832696c6e22251611809bba7fbf9c6043909144be6c",
    ),
    (CachedCall(nothing, (), {}), "", "eb1de761b8ff8721c0334cab9eb30d859384d3da7ddabb2fe451f9ec5e5d1db5"),
    (CachedCall(nothing, (), {}), "2", "77fcaf077a59377147ab1861a1fd9fbaece10ac981d56d6b789df40723413151"),
]


@pytest.mark.parametrize(("value", "known"), DIGESTS, ids=repr)
def test_values_have_the_digests_that_they_had(value: object, known: str) -> None:
    """The digest of a value is the one that it had when stores of this version of the rules were first written."""
    assert DIGEST_RULES == 2
    assert digest(value).hex() == known


@pytest.mark.parametrize(("call", "version", "known"), CALLS)
def test_calls_have_the_keys_that_they_had(call: CachedCall, version: str, known: str) -> None:
    """The key of a call is the one under which its value may lie in a cache already, however often it is asked for."""
    found = [ByInputs(version=version).key(call) for _ in range(3)]
    assert [each and each.digest for each in found] == [known] * 3


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES, VALUES, st.text(max_size=3))
def test_every_way_to_pass_arguments_gives_the_key_of_the_parameters(
    one: object, two: object, version: str
) -> None:
    """A call has the key that `make_key` makes of its bound arguments, and that is the digest of its parts."""
    for task in (plain, ordered):
        first, second = task.positional[:2]
        calls = [
            CachedCall(task, (one, two), {}),
            CachedCall(task, (one,), {second: two}),
            CachedCall(task, (), {second: two, first: one}),
        ]
        keys = [ByInputs(version=version).key(call) for call in calls]
        expected = make_key(task, bound_arguments(task, (one, two), {}), version)
        assert keys == [expected] * 3
        assert [part.digest for part in expected.parts if part.name in (first, second)] == [
            digest(value).hex() for _, value in sorted([(first, one), (second, two)])
        ]
        listed = "".join(f"{kind} {len(name)} {name} {part}" for kind, name, part in expected.parts)
        reference = str(task.reference)
        assert expected.digest == digest(f"{DIGEST_RULES} {len(reference)} {reference} {listed}").hex()


def test_a_default_that_changes_counts_as_it_is_now() -> None:
    """A default that somebody changes between two calls is in the key as it is at the call."""
    held: list[int] = []

    @cs.task(version="1")
    def f(x: int, kept: list[int] = held) -> int:
        return x

    one = ByInputs().key(CachedCall(f, (1,), {}))
    held.append(2)
    two = ByInputs().key(CachedCall(f, (1,), {}))
    assert one is not None
    assert two is not None
    assert [old.name for old, new in zip(one.parts, two.parts, strict=True) if old != new] == ["kept"]
