"""Dataclasses that cost little until they are used: `dataclass` and `field`, with the meaning that they have in Python.

Python's own decorator writes and compiles the source of about six methods for each class. That was most of the time
that an import of Cascade took, and most classes, such as errors, are never used in a process. Here the methods are
closures, and two things are made at the first look at them: `__init__`, which is compiled because it has to be fast,
and what `dataclasses.fields`, `replace` and `asdict` read. Type checkers see Python's own decorator.

A frozen object with slots is made in half the time that Python's own takes: each slot is filled by its own setter,
where Python's looks it up by its name. Watched by observatory/benchmarks/bench_events.py and bench_imports.py.

Not supported, as nobody here needs it: `ClassVar`, `InitVar`, `KW_ONLY` and ordering.
"""

from __future__ import annotations

from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field

__all__ = ["SOURCE", "Late", "dataclass", "field"]


class Late:
    """An attribute of a class that is made at the first look at it, and takes the place of this."""

    __slots__ = ("_home", "_make", "_name")

    def __init__(self, home: type, name: str, make: Callable[[type], object]) -> None:
        self._home = home
        self._name = name
        self._make = make

    def __get__(self, instance: object, owner: type | None = None) -> object:
        value: Any = self.made()
        return value.__get__(instance, owner) if hasattr(value, "__get__") else value

    def made(self) -> object:
        """Make what takes the place of this, and put it there. Two threads may both do so: either one's is right."""
        value = self._make(self._home)
        setattr(self._home, self._name, value)
        return value


_REQUIRED: Any = object()
"""Stands for a default, or the maker of one, that a field does not have."""


class _Field:
    """What is said of one field; the words are those of `dataclasses.field`."""

    __slots__ = ("compare", "default", "default_factory", "init", "repr")

    def __init__(
        self,
        *,
        default: object = _REQUIRED,
        default_factory: Callable[[], object] = _REQUIRED,
        init: bool = True,
        repr: bool = True,
        compare: bool = True,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare


SOURCE = _Field.__init__.__code__.co_filename
"""Where methods that are made here say that they come from."""


if not TYPE_CHECKING:
    field = _Field

    def dataclass(cls=None, *, frozen=False, slots=False, eq=True):
        """Make `cls` a dataclass, as `dataclasses.dataclass` does."""
        if cls is None:
            return lambda cls: _dataclass(cls, frozen=frozen, slots=slots, eq=eq)
        return _dataclass(cls, frozen=frozen, slots=slots, eq=eq)


def _dataclass(cls: type, *, frozen: bool, slots: bool, eq: bool) -> type:
    written = dict(cls.__dict__)
    own = tuple(written.get("__annotations__", ()))
    inherited: dict[str, _Field] = getattr(cls, "__late_fields__", {})
    fields = {**inherited, **{name: _field(written.get(name, _REQUIRED)) for name in own}}
    if slots:
        # Slots can't be added to a class that exists, and a default can't share its name with a slot.
        kept = {
            name: value for name, value in written.items() if name not in {*own, "__dict__", "__weakref__"}
        }
        kept["__slots__"] = tuple(name for name in own if name not in inherited)
        cls = type(cls)(cls.__name__, cls.__bases__, kept)
    members: dict[str, object] = {
        "__late_fields__": fields,
        "__late_flags__": {"frozen": frozen, "eq": eq},
        "__match_args__": tuple([name for name, each in fields.items() if each.init]),
        "__dataclass_fields__": Late(cls, "__dataclass_fields__", _fields),
        "__dataclass_params__": Late(cls, "__dataclass_params__", _params),
        "__init__": Late(cls, "__init__", _initialiser),
        "__repr__": _represent,
        "__replace__": _replace,
    }
    if eq:
        members.update(_comparison([name for name, each in fields.items() if each.compare], frozen=frozen))
    if frozen:
        members.update(_refusals(cls, frozenset(fields)))
        if slots:
            members.update(__getstate__=_state, __setstate__=_set_state)
    for name in own:
        if isinstance(cls.__dict__.get(name), _Field):
            if fields[name].default is _REQUIRED:
                delattr(cls, name)
            else:
                setattr(cls, name, fields[name].default)
    for name, value in members.items():
        # Python sets `__hash__` to None where a class has an `__eq__` of its own: nobody wrote that.
        if written.get(name) is None:
            setattr(cls, name, value)
    return cls


def _field(written: object) -> _Field:
    return written if isinstance(written, _Field) else _Field(default=written)


def _comparison(names: list[str], *, frozen: bool) -> dict[str, object]:
    values: Callable[[object], tuple[object, ...]]
    values = (
        attrgetter(*names) if len(names) > 1 else lambda self: tuple([getattr(self, name) for name in names])
    )

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - becomes a method
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


def _refusals(home: Any, names: frozenset[str]) -> dict[str, object]:
    def refuse(self: object, name: str, action: str) -> None:
        if type(self) is home or name in names:
            from dataclasses import FrozenInstanceError  # noqa: PLC0415 - would double the time of an import

            raise FrozenInstanceError(f"cannot {action} field {name!r}")

    def __setattr__(self: object, name: str, value: object) -> None:  # noqa: N807
        refuse(self, name, "assign to")
        super(home, self).__setattr__(name, value)

    def __delattr__(self: object, name: str) -> None:  # noqa: N807
        refuse(self, name, "delete")
        super(home, self).__delattr__(name)

    return {"__setattr__": __setattr__, "__delattr__": __delattr__}


@recursive_repr()
def _represent(self: Any) -> str:
    facts = ", ".join(
        [f"{name}={getattr(self, name)!r}" for name, each in self.__late_fields__.items() if each.repr]
    )
    return f"{type(self).__qualname__}({facts})"


def _replace(self: Any, /, **changes: object) -> object:
    from dataclasses import replace  # noqa: PLC0415

    return replace(self, **changes)


def _state(self: Any) -> list[object]:
    return [getattr(self, name) for name in self.__late_fields__]


def _set_state(self: Any, state: Iterable[object]) -> None:
    for name, value in zip(self.__late_fields__, state, strict=True):
        object.__setattr__(self, name, value)


def _initialiser(cls: Any) -> Callable[..., None]:
    names: dict[str, Any] = {"set_field": object.__setattr__}
    parameters, lines = ["self"], []
    for name, each in cls.__late_fields__.items():
        if not each.init:
            continue
        if each.default_factory is not _REQUIRED:
            names[f"default_{name}"], names[f"make_{name}"] = _REQUIRED, each.default_factory
            lines.append(f"if {name} is default_{name}: {name} = make_{name}()")
        elif each.default is not _REQUIRED:
            names[f"default_{name}"] = each.default
        parameters.append(f"{name}=default_{name}" if f"default_{name}" in names else name)
        slot: Any = getattr(cls, name, None)
        if not cls.__late_flags__["frozen"]:
            lines.append(f"self.{name} = {name}")
        elif hasattr(slot, "__set__"):
            names[f"set_{name}"] = slot.__set__
            lines.append(f"set_{name}(self, {name})")
        else:
            lines.append(f"set_field(self, {name!r}, {name})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n    ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n    {body}", names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = {**_annotations(cls), "return": "None"}
    return made


def _annotations(cls: Any) -> dict[str, object]:
    written: dict[str, object] = {}
    for each in reversed(cls.__mro__):
        written.update(vars(each).get("__annotations__", {}))
    return {name: written[name] for name in cls.__late_fields__}


def _fields(cls: type) -> object:
    return _described(cls).__dataclass_fields__


def _params(cls: type) -> object:
    return _described(cls).__dataclass_params__


def _described(cls: Any) -> Any:
    """A dataclass of Python's own with the fields of `cls`: it has the descriptions of these."""
    from dataclasses import MISSING, field, make_dataclass  # noqa: PLC0415

    described: list[tuple[str, Any, Any]] = []
    for name, annotation in _annotations(cls).items():
        said = {key: getattr(cls.__late_fields__[name], key) for key in _Field.__slots__}
        said = {key: MISSING if value is _REQUIRED else value for key, value in said.items()}
        described.append((name, annotation, field(**said)))
    return make_dataclass(cls.__name__, described, **cls.__late_flags__)
