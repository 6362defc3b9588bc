"""Dataclasses whose methods are made late: they mean what Python's own mean."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from cascade.spec import late_dataclasses

Decorator = Callable[..., Any]


def _point(decorator: Decorator, field: Decorator, **flags: bool) -> Any:
    @decorator(**flags)
    class Point:
        x: int
        y: int = 2
        notes: list[int] = field(default_factory=list, compare=False)
        hidden: str = field(default="h", repr=False)
        total: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "total", self.x + self.y)

    return Point


def _solid(decorator: Decorator, field: Decorator, **flags: bool) -> Any:
    @decorator(**flags)
    class Solid(_point(decorator, field, **flags)):  # type: ignore[misc]
        z: float = 0.5

    return Solid


FLAGS = [{"frozen": True, "slots": True}, {"frozen": True}, {"slots": True}, {}, {"eq": False}]


@pytest.fixture(params=FLAGS, ids=str)
def flags(request: pytest.FixtureRequest) -> dict[str, bool]:
    flags: dict[str, bool] = request.param
    return flags


@pytest.fixture(params=[_point, _solid])
def both(request: pytest.FixtureRequest, flags: dict[str, bool]) -> tuple[Any, Any]:
    """The same class, made late and by Python."""
    late = request.param(late_dataclasses.dataclass, late_dataclasses.field, **flags)
    return late, request.param(dataclasses.dataclass, dataclasses.field, **flags)


def _outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except (AttributeError, TypeError) as error:
        return type(error)


@pytest.mark.parametrize(
    "act",
    [
        lambda cls: repr(cls(1)).partition("(")[2],
        lambda cls: cls(1) == cls(1),
        lambda cls: cls(1) == cls(2),
        lambda cls: cls(1) == cls(1, notes=[3]),
        lambda cls: cls(1) == 1,
        lambda cls: len({cls(1), cls(1)}),
        lambda cls: (cls.__hash__ is None, "__eq__" in vars(cls)),
        lambda cls: setattr(cls(1), "x", 3),
        lambda cls: delattr(cls(1), "x"),
        lambda cls: cls(),
        lambda cls: cls(1, z=3, other=4),
        lambda cls: cls.__match_args__,
        lambda cls: getattr(cls, "__slots__", None),
        lambda cls: cls(1).notes is cls(1).notes,
        lambda cls: dataclasses.asdict(cls(1, 5)),
        lambda cls: dataclasses.astuple(dataclasses.replace(cls(1), x=7)),
        lambda cls: [(each.name, each.init, each.repr, each.compare) for each in dataclasses.fields(cls)],
        lambda cls: (dataclasses.is_dataclass(cls), cls.__dataclass_params__.frozen),
        lambda cls: [(each.name, each.kind) for each in inspect.signature(cls).parameters.values()],
        lambda cls: dataclasses.astuple(copy.deepcopy(cls(1, notes=[2]))),
        lambda cls: hasattr(cls, "hidden"),
        lambda cls: hasattr(cls, "total"),
        lambda cls: type("Sub", (cls,), {})(1) == cls(1),
        lambda cls: setattr(type("Sub", (cls,), {})(1), "x", 3),
    ],
)
def test_a_late_dataclass_means_what_pythons_own_means(
    both: tuple[Any, Any], act: Callable[[Any], object]
) -> None:
    """Whatever is done with a class and its instances, the outcome is the same, errors included."""
    late, python = both
    assert _outcome(lambda: act(late)) == _outcome(lambda: act(python))


def test_a_subclass_has_attributes_of_its_own() -> None:
    """What stands in no field may be set on an instance of a subclass; Python 3.11 raises where there are slots."""

    class Sub(Kept):
        pass

    kept = Sub("a")
    kept.other = 3  # type: ignore[attr-defined]
    assert kept.other == 3  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.name = "b"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Kept("a").other = 3  # type: ignore[attr-defined]


@late_dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A class that pickle finds by its name."""

    name: str
    size: int = 1


def test_a_frozen_instance_survives_pickling() -> None:
    """The state in a pickle is that of Python's own, the values in order: data of either one loads with the other."""
    kept = Kept("a")
    assert pickle.loads(pickle.dumps(kept)) == kept
    assert kept.__getstate__() == ["a", 1]


def test_methods_that_a_class_writes_itself_stay() -> None:
    """A class keeps what it defines: `__init__`, `__repr__`, `__eq__` and `__hash__`."""

    @late_dataclasses.dataclass(frozen=True, slots=True)
    class Own:
        x: int

        def __init__(self) -> None:
            object.__setattr__(self, "x", 3)

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (repr(Own()), Own().x, hash(Own()), Own() == 1) == ("own", 3, 7, True)


def test_pythons_own_may_be_made_of_a_late_one() -> None:
    """A dataclass of a user's may have one of ours as its base: it takes the fields over."""

    @dataclasses.dataclass(frozen=True)
    class Named(Kept):
        label: str = "l"

    assert Named("a", label="b") == Named("a", 1, "b")
    assert dataclasses.astuple(Named("a")) == ("a", 1, "l")


def test_a_super_call_finds_the_init_of_the_base() -> None:
    """An `__init__` that is made late is found by `super()` before anything made an instance of the base."""

    @late_dataclasses.dataclass(eq=False)
    class Base:
        x: int

    class Derived(Base):
        def __init__(self) -> None:
            super().__init__(x=5)

    assert Derived().x == 5
