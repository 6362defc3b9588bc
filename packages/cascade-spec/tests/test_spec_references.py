"""Claims about references: they are resolved among loaded modules, and nothing runs for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar

import pytest

import cascade as cs
from cascade.spec import MISSING
from cascade.spec.source.references import find_loaded, loaded_names, reference_of
from cascade.spec.task import TaskReference


class Reached(BaseException):
    pass


class Guarded(ModuleType):
    """A module like those that import themselves when an attribute is asked for."""

    def __getattribute__(self, name: str) -> Any:
        raise Reached


class GuardedClass(type):
    asked: ClassVar[list[str]] = []

    def __getattribute__(cls, name: str) -> Any:
        GuardedClass.asked.append(name)
        return super().__getattribute__(name)


class Holder(metaclass=GuardedClass):
    @cs.task
    def step(self) -> int:
        return 1


@pytest.fixture
def guarded() -> Iterator[str]:
    module = Guarded("guarded_module")
    vars(ModuleType)["__dict__"].__get__(module)["present"] = 5
    sys.modules["guarded_module"] = module
    yield "guarded_module"
    del sys.modules["guarded_module"]


def test_a_lazy_module_is_not_woken(guarded: str) -> None:
    """What is there is found, and what is not is missing, without asking the module."""
    assert find_loaded(guarded, "present") == 5
    assert find_loaded(guarded, "absent") is MISSING
    assert TaskReference(guarded, "absent").find() is MISSING
    assert loaded_names(guarded)["present"] == 5


def test_the_facade_loads_nothing_for_a_reference() -> None:
    """A name that `cascade` would load on first use is not there for a reference."""
    before = set(sys.modules)
    assert find_loaded("cascade", "something_else") is MISSING
    assert find_loaded("no_such_module", "x") is MISSING
    assert set(sys.modules) == before


def test_a_task_in_a_class_is_found_without_asking_the_class() -> None:
    """A task in a class body is found by its qualified name, through no metaclass."""
    GuardedClass.asked.clear()
    found = find_loaded(__name__, "Holder.step")
    assert GuardedClass.asked == []
    assert isinstance(found, cs.Task)
    assert found.reference == (__name__, "Holder.step")
    assert found.reference.find() is found


@pytest.mark.parametrize(
    "qualname", ["", "Holder.", "Holder.step.func", "Holder.step.<locals>.x", "nothing.below"]
)
def test_what_is_below_no_class_is_missing(qualname: str) -> None:
    """Only modules and classes are looked into."""
    assert find_loaded(__name__, qualname) is MISSING


@pytest.mark.parametrize(
    ("module", "cls"),
    [
        ("cascade.spec.caching", cs.ByInputs),
        ("cascade.spec.caching", cs.FileExists),
        ("cascade.spec.files", cs.File),
        ("cascade.spec.policies", cs.RetryPolicy),
    ],
)
def test_what_records_call_a_class_stays_when_its_module_moves(module: str, cls: type) -> None:
    """Data and digests that were made before a module of Cascade was moved lead to the same class, and are equal."""
    assert reference_of(cls) == (module, cls.__name__)
    assert find_loaded(module, cls.__name__) is cls
