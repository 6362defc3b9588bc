"""Claims about what loading may do: with any bytes, `DataCodec` imports nothing and runs nothing of the user's."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import textwrap
from collections import OrderedDict, UserDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import Enum, EnumMeta, Flag, IntFlag
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest

import cascade as cs
from cascade.adapters.codec import DataCodec, DataType, PickleCodec
from cascade.adapters.codec.envelope import seal
from cascade.spec import (
    CodecError,
    DamagedDataError,
    DataVersionError,
    SecretValue,
    SpecError,
    StoredReferenceError,
)

CODEC = DataCodec()
RAN: list[str] = []
"""What has run of the classes below."""


def note(what: str) -> None:
    RAN.append(what)


@pytest.fixture(autouse=True)
def nothing_has_run() -> Iterator[None]:
    RAN.clear()
    yield
    RAN.clear()


class Noisy(type):
    """A metaclass that notes whatever is asked of its classes."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        note("metaclass call")
        return super().__call__(*args, **kwargs)

    def __getattribute__(cls, name: str) -> Any:
        note(f"metaclass {name}")
        return super().__getattribute__(name)

    def __instancecheck__(cls, instance: object) -> bool:
        note("instance check")
        return super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        note("subclass check")
        return super().__subclasscheck__(subclass)


@dataclass
class Trap(metaclass=Noisy):
    """A dataclass that notes whatever is done to it."""

    x: int
    y: list[int] = field(default_factory=list)

    def __new__(cls, *args: Any) -> Any:
        note("new")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        note("post_init")

    def __setattr__(self, name: str, value: object) -> None:
        note("setattr")
        super().__setattr__(name, value)

    def __getattribute__(self, name: str) -> Any:
        note(f"get {name}")
        return super().__getattribute__(name)

    def __reduce__(self) -> Any:
        note("reduce")
        return super().__reduce__()

    def __setstate__(self, state: object) -> None:
        note("setstate")


class TrapTuple(NamedTuple("TrapTuple", [("x", int)])):
    __slots__ = ()

    def __new__(cls, x: int) -> Any:
        note("new")
        return super().__new__(cls, x)

    def __iter__(self) -> Iterator[int]:
        note("iter")
        return super().__iter__()


class NoisyEnum(EnumMeta):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        note("enum call")
        return super().__call__(*args, **kwargs)

    def __getitem__(cls, name: str) -> Any:
        note("enum item")
        return super().__getitem__(name)


class TrapEnum(Enum, metaclass=NoisyEnum):
    A = 1

    def __init__(self, value: int) -> None:
        note("enum init")

    @classmethod
    def _missing_(cls, value: object) -> Any:
        note("missing")
        return cls.A


class TrapFlag(Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        note("missing")
        return super()._missing_(value)


class Plain(IntFlag):
    A = 1
    B = 2


def test_loading_runs_nothing_of_a_class() -> None:
    """No constructor, attribute hook, property, metaclass or pickle method runs when a value is loaded."""
    value = [Trap(1, [2]), TrapTuple(3), TrapEnum.A, TrapFlag.A]
    data = CODEC.encode(value, key=b"")
    RAN.clear()
    read: Any = DataCodec().decode(data, key=b"")
    assert RAN == []
    assert (read[0].x, read[0].y, read[1][0]) == (1, [2], 3)
    assert [type(each) for each in read] == [type(each) for each in value]
    assert read[2] is value[2]


def test_a_combination_of_flags_with_a_maker_of_its_own_is_refused() -> None:
    """A combination that only the class's own `_missing_` makes is refused when it is stored."""
    with pytest.raises(CodecError, match=r"TrapFlag.*store its value"):
        CODEC.encode(TrapFlag.A | TrapFlag.B, key=b"")


@dataclass(frozen=True)
class Loud:
    x: int

    def __hash__(self) -> int:
        note("hash")
        return self.x


@dataclass(frozen=True)
class Quiet:
    x: object


@pytest.mark.parametrize("value", [{Loud(1): 2}, {Loud(1)}, {(0, Loud(1))}, {"k": [{Quiet(Loud(1)): 1}]}])
def test_a_key_that_hashes_itself_is_refused(value: object) -> None:
    """A dict key or set member with a `__hash__` of its own, at any depth, is refused: loading would run it."""
    with pytest.raises(CodecError, match=r"Loud.*__hash__"):
        CODEC.encode(value, key=b"")


def test_a_key_without_bottom_is_refused() -> None:
    """A dict key of thousands of levels, which hashing would overflow the C stack with, is refused."""
    key: object = ()
    for _ in range(200):
        key = (key,)
    with pytest.raises(CodecError, match="100 levels"):
        CODEC.encode({key: 1}, key=b"")


class Finalised:
    pass


@dataclass
class WithEnd:
    path: str

    def __del__(self) -> None:
        pass


@dataclass
class Undeclared:
    x: int

    def __post_init__(self) -> None:
        self.hidden = 1


class Text(str):
    __slots__ = ()


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


@dataclass
class MoreThanData(dict):  # type: ignore[type-arg]  # the form under test
    x: int


def inside() -> object:
    @dataclass
    class Local:
        x: int

    return Local(1)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"parts": [1, {"a": object()}]}, r"value\['parts'\]\[1\]\['a'\] is of type object"),
        ([Finalised()], r"value\[0\] is of type .*Finalised, .*register the type"),
        ([WithEnd("/tmp")], r"WithEnd.*__del__"),
        (Quiet([0, Text("a")]), r"value\.x\[1\] is of type .*Text"),
        (Undeclared(1), "declare 'hidden' as fields"),
        ((1, UserDict(a=1)), r"value\[1\] is of type collections.UserDict"),
        (lambda: 1, "value is of type function"),
        ([int], r"value\[0\] is of type type"),
        ([inside()], "at the top of a module"),
        ([datetime(2024, 1, 1, tzinfo=Zone())], r"time zone of value\[0\] is of type .*Zone"),
        (MoreThanData(1), "it is more than its fields"),
        (
            {"token": SecretValue("hunter2")},
            r"value\['token'\] is of type .*SecretValue.* secrets are never stored",
        ),
        ([cs.inject("db")], "Inject"),
        ([cs.gather()], "LazyResult.*return it by itself"),
        ({(1, 2): object()}, r"value\[entry 0\] is of type object"),
    ],
)
def test_an_unknown_type_is_named(value: object, told: str) -> None:
    """What is no data is refused by an error that names the type, the place inside the value, and the remedy."""
    with pytest.raises(CodecError, match=told) as caught:
        CODEC.encode(value, key=b"")
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, cs.CascadeError)
    assert isinstance(caught.value, TypeError)


def test_a_value_that_contains_itself_is_refused() -> None:
    """A circle is refused, through whatever it goes."""
    circle: list[Any] = [1]
    circle.append({"k": (circle,)})
    with pytest.raises(CodecError, match="contains itself"):
        CODEC.encode(circle, key=b"")


def test_errors_of_a_registered_type_come_out() -> None:
    """What the functions of a registered type raise is not taken for damage."""
    broken = DataType(Finalised, "finalised", encode=lambda _: 1, decode=lambda data: [][data])
    codec = DataCodec(types=[broken])
    with pytest.raises(IndexError):
        codec.decode(codec.encode([Finalised()], key=b""), key=b"")
    with pytest.raises(StoredReferenceError, match=r"'finalised'.*give the codec a DataType"):
        CODEC.decode(codec.encode([Finalised()], key=b""), key=b"")


# Classes that are gone or have changed

SHAPES = """
    from dataclasses import dataclass
    from enum import Enum, Flag
    from typing import NamedTuple

    @dataclass
    class Record: x: int; y: int
    class Colour(Enum): RED = 1; BLUE = 2
    class Right(Flag): A = 1; B = 2
    class Pair(NamedTuple): a: int; b: int
"""


def module_of(source: str) -> ModuleType:
    module = ModuleType("shapes_of_today")
    sys.modules[module.__name__] = module
    exec(textwrap.dedent(source), vars(module))
    return module


@pytest.fixture
def stored() -> Iterator[list[bytes]]:
    module = module_of(SHAPES)
    values = [
        module.Record(1, 2),
        module.Colour.BLUE,
        module.Right.A | module.Right.B,
        module.Pair(1, 2),
    ]
    yield [CODEC.encode([value], key=b"") for value in values]
    sys.modules.pop("shapes_of_today", None)


@pytest.mark.parametrize(
    ("old", "new", "which", "told"),
    [
        ("x: int; y: int", "x: int; z: int", 0, "its fields were x, y and are x, z"),
        ("a: int; b: int", "a: int", 3, "its fields were a, b and are a"),
        ("; BLUE = 2", "", 1, "no member BLUE"),
        ("; B = 2", "", 2, r"no member A \| B"),
        ("class Record:", "class Other:", 0, "no such name"),
        ("@dataclass\n", "\n", 0, "it is no longer a class whose values are data"),
        ("class Colour(Enum)", "class Colour", 1, "it is no longer a class whose values are data"),
        ("class Pair(NamedTuple)", "class Pair(Enum)", 3, ""),
    ],
)
def test_a_class_that_changed_is_named(
    stored: list[bytes], old: str, new: str, which: int, told: str
) -> None:
    """Data of a class that has other fields or members, or is of another kind, is refused with what changed."""
    assert old in SHAPES
    module_of(
        SHAPES.replace(old, new).replace("a: int; b: int", "a = 1") if not told else SHAPES.replace(old, new)
    )
    with pytest.raises(StoredReferenceError, match=f"shapes_of_today.*{told}"):
        CODEC.decode(stored[which], key=b"")


def test_a_class_of_a_module_that_is_not_imported_is_named(stored: list[bytes]) -> None:
    """The error names the class and says to import its module first; it is a lookup error."""
    del sys.modules["shapes_of_today"]
    with pytest.raises(
        LookupError, match=r"shapes_of_today\.Record.*is not imported; import shapes_of_today first"
    ):
        CODEC.decode(stored[0], key=b"")


def test_the_getattr_of_a_module_is_not_asked(stored: list[bytes]) -> None:
    """A module whose `__getattr__` would import or make the class is not asked."""
    module = module_of("def __getattr__(name): raise SystemExit(name)")
    with pytest.raises(StoredReferenceError, match="no such name"):
        CODEC.decode(stored[0], key=b"")
    assert module is sys.modules["shapes_of_today"]


def test_loading_imports_nothing(tmp_path: Path) -> None:
    """In a fresh process, loading adds no module, though those that the bytes name could be imported."""
    (tmp_path / "things.py").write_text(textwrap.dedent(SHAPES))
    (tmp_path / "sent.py").write_text("import things; SENT = [things.Record(1, 2), things.Colour.RED]")
    program = """
        import sys, datetime, decimal, pathlib, uuid, zoneinfo
        from cascade.adapters.codec import DataCodec
        from cascade.spec import StoredReferenceError
        codec = DataCodec()
        value = [{1, 2}, (1j, 2**99), datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
                 decimal.Decimal(1), pathlib.Path("a"), uuid.UUID(int=1), bytearray(b"x"), range(3), frozenset()]
        data = codec.encode(value, key=b"k")
        before = set(sys.modules)
        assert codec.decode(data, key=b"k") == value
        try:
            codec.decode(bytes.fromhex(sys.argv[1]), key=b"k")
        except StoredReferenceError as error:
            print(error)
        print(sorted(set(sys.modules) - before))
    """
    path = os.pathsep.join([str(tmp_path), *sys.path])
    writing = "import sent; from cascade.adapters.codec import *; print(DataCodec().encode(sent.SENT, key=b'k').hex())"
    written = python(writing, path)
    assert python(textwrap.dedent(program), path, written).splitlines() == [
        "stored data names things.Record, but the module things is not imported; import things first",
        "[]",
    ]


def python(program: str, path: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


# Damage

VALUES: list[object] = [
    {"a": [1, 2.5, "text", None, True], "b": {"c": b"bytes"}},
    (Quiet((1, 2)), {1, 2}, timedelta(3), Plain.A | Plain.B, 2**80),
]


@pytest.mark.parametrize("codec", [CODEC, PickleCodec(key=b"0123456789abcdef")], ids=["data", "pickle"])
@pytest.mark.parametrize("value", VALUES)
def test_damage_is_never_another_value(codec: DataCodec | PickleCodec, value: object) -> None:
    """Each of 1,000 flipped bits, each cut, an added byte and another key is a `DamagedDataError`."""
    data = codec.encode(value, key=b"key")
    assert codec.decode(data, key=b"key") == value
    draw = random.Random(20)
    damaged = []
    for _ in range(1000):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        damaged.append(bytes(changed))
    damaged += [data[:length] for length in range(len(data))]
    damaged += [data + b"\0", b"\0" + data, codec.encode(value, key=b"kez"), codec.encode(value, key=b"")]
    for each in damaged:
        with pytest.raises(DamagedDataError):
            codec.decode(each, key=b"key")


def test_a_key_and_its_value_do_not_run_together() -> None:
    """Bytes under key `ab` are none under `a`, whatever follows."""
    data = CODEC.encode(b"c", key=b"ab")
    with pytest.raises(DamagedDataError):
        CODEC.decode(data, key=b"a")


@pytest.mark.parametrize("codec", [CODEC, PickleCodec(key=b"0123456789abcdef")], ids=["data", "pickle"])
def test_bytes_of_another_codec_are_refused(codec: DataCodec | PickleCodec) -> None:
    """A codec takes no bytes of another one, and no pickle or text."""
    others = [
        PickleCodec(key=b"another key, as long"),
        DataCodec() if codec is not CODEC else PickleCodec(key=b"x" * 16),
    ]
    foreign = [
        *(other.encode([1], key=b"k") for other in others),
        pickle.dumps([1]),
        b"",
        b"\x01",
        b"[1]" * 20,
    ]
    for data in foreign:
        with pytest.raises(DamagedDataError):
            codec.decode(data, key=b"k")


# Pickle


class Bomb:
    """A value whose pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_no_bomb_goes_off(tmp_path: Path) -> None:
    """A pickle that is unsigned, signed with another key, cut, or moved to another place is not loaded."""
    path = tmp_path / "boom"
    key = b"a key of enough bytes"
    codec = PickleCodec(key=key)
    bomb = pickle.dumps(Bomb(path))
    signed = codec.encode(Bomb(path), key=b"here")
    bombs = [
        bomb,
        b"\x01" + bytes(32) + bomb,
        signed[:33][:1] + bytes(32) + signed[33:],
        PickleCodec(key=b"some other key, long").encode(Bomb(path), key=b"here"),
        signed[:-1],
        signed + b".",
        CODEC.encode(bomb, key=b"here"),
    ]
    for data in bombs:
        with pytest.raises(DamagedDataError):
            codec.decode(data, key=b"here")
        with pytest.raises(DamagedDataError):
            CODEC.decode(data, key=b"elsewhere")
    with pytest.raises(DamagedDataError):
        codec.decode(signed, key=b"there")
    assert not path.exists()
    codec.decode(signed, key=b"here")
    assert path.exists()


def test_pickle_takes_what_data_does_not() -> None:
    """A signed pickle brings back a value that is no data."""
    codec = PickleCodec(key=b"0123456789abcdef")
    assert codec.decode(codec.encode([OrderedDict(a=1), Text("a")], key=b"k"), key=b"k") == [
        OrderedDict(a=1),
        "a",
    ]


def test_what_pickle_cannot_take_is_named() -> None:
    """What pickle refuses is a `CodecError` with the part at fault, its type, and pickle's own words."""
    codec = PickleCodec(key=b"0123456789abcdef")
    with pytest.raises(CodecError, match=r"value\[1\] is of type function.*pickle can't take it"):
        codec.encode([1, lambda: 1], key=b"k")
    with pytest.raises(CodecError, match=r"value\['a'\]\.x\[0\] is of type function"):
        codec.encode({"a": Quiet([lambda: 1])}, key=b"k")
    with pytest.raises(CodecError, match=r"list\(value\)\[0\] is of type function"):
        codec.encode({lambda: 1}, key=b"k")


def test_pickle_stores_no_secret() -> None:
    """A secret is refused by the signed pickle too, wherever it is in a value."""
    with pytest.raises(CodecError, match="secrets are never stored") as caught:
        PickleCodec(key=b"0123456789abcdef").encode({"a": [Finalised(), SecretValue("hunter2")]}, key=b"k")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", [b"", b"fifteen bytes..", "sixteen letters.", None])
def test_a_weak_key_is_refused(key: Any) -> None:
    """A key that is empty, short or no bytes is refused at once, and is never shown."""
    with pytest.raises(SpecError, match="16 bytes or more") as caught:
        PickleCodec(key=key)
    assert "letters" not in str(caught.value)
    assert "0123" not in repr(PickleCodec(key=b"0123456789abcdef"))


def test_a_later_format_is_told_by_its_number() -> None:
    """Intact bytes of a later format are refused by its number, as `DataVersionError`."""
    with pytest.raises(DataVersionError, match="format 9, this release knows up to 2"):
        CODEC.decode(seal(9, b"whatever", b"k"), key=b"k")


@pytest.mark.parametrize("seed", range(20))
def test_forged_programs_are_damage(seed: int) -> None:
    """Bytes with a checksum that fits but no program inside are a typed error, whatever they are."""
    draw = random.Random(seed)
    atoms: list[Any] = [0, 1, -1, 2**63, "int", "datetime", b"x", None, 1.5, [], {}, True]
    for _ in range(300):
        steps: list[Any] = []
        for _ in range(draw.randrange(8)):
            operand = draw.choice([*atoms, [draw.choice(atoms) for _ in range(draw.randrange(5))]])
            steps += [draw.randrange(16), operand]
        data = seal(1, b"\x01" + msgspec.msgpack.encode(steps), b"k")
        with suppress(DamagedDataError, StoredReferenceError):
            CODEC.decode(data, key=b"k")
