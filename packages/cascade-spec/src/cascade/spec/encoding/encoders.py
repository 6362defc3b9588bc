"""Encoders: plain values that stand for values of libraries in cache keys, with all of their data.

Libraries are looked up among the imported modules and never imported: a program with an array has imported NumPy.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import UncacheableError
from cascade.spec.source.references import find_loaded

LibraryValue: TypeAlias = Any
"""A value of a library that is not imported here, so its type can't be written."""

Encoder: TypeAlias = Callable[[Any], object]
"""Returns what stands for a value of one type."""


def find(kind: type) -> Encoder | None:
    """Return the encoder for a type of another package; `None` if there is none."""
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind]
    package = kind.__module__.partition(".")[0]
    encode = _BY_NAME.get((package, kind.__qualname__))
    if encode is not None and getattr(sys.modules.get(package), kind.__qualname__, None) is kind:
        return encode
    if package == "pandas" and kind in (type(sys.modules["pandas"].NA), type(sys.modules["pandas"].NaT)):
        return str
    if package == "numpy" and issubclass(kind, sys.modules["numpy"].generic):
        return _array
    if package == "pandas" and find_loaded("pandas.arrays", kind.__qualname__) is kind:
        return _extension
    return None


def fields_of(value: LibraryValue) -> list[object] | None:
    """Return the names and values of the fields of an attrs, pydantic or msgspec object; `None` for any other.

    Raises:
        UncacheableError: If it holds more than its fields, or one is not set.
    """
    kind = type(value)
    described = vars(kind).get("__attrs_attrs__")
    if isinstance(described, tuple):
        names = [each.name for each in described]
        return _named(value, names, kind)
    if _is_a(value, "pydantic.main", "BaseModel"):
        names = list(kind.__pydantic_fields__)
        held = vars(value)
        _check_bare(kind, held.keys() - set(names))
        beside = (sorted(value.__pydantic_fields_set__), value.__pydantic_extra__, value.__pydantic_private__)
        return [*(part for name in names if name in held for part in (name, held[name])), *beside]
    if _is_a(value, "msgspec", "Struct"):
        return _named(value, list(kind.__struct_fields__), kind)
    return None


def _is_a(value: object, module: str, name: str) -> bool:
    base = find_loaded(module, name)
    return base is not MISSING and base in type(value).__mro__


def _named(value: object, names: list[str], kind: type) -> list[object]:
    _check_bare(kind, getattr(value, "__dict__", {}).keys() - set(names) - {"_attrs_cached_hash"})
    try:
        return [part for name in names for part in (name, getattr(value, name))]
    except AttributeError:
        raise UncacheableError(f"{_name(kind)} with a field that is not set") from None


def _check_bare(kind: type, others: Iterable[str]) -> None:
    """Check that an object holds nothing beside its fields but cached properties."""
    if not all(isinstance(getattr(kind, each, None), functools.cached_property) for each in others):
        raise UncacheableError(f"{_name(kind)} that holds more than its fields")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _bare(value: object) -> None:
    if getattr(value, "__dict__", None):
        raise UncacheableError(f"{_name(type(value))} that holds more than its content")


def _mapping(value: Mapping[object, object]) -> object:
    _bare(value)
    return dict(value)


def _default(value: defaultdict[object, object]) -> object:
    factory: LibraryValue = value.default_factory
    if factory is not None and getattr(factory, "__module__", "") not in ("builtins", "collections"):
        raise UncacheableError("collections.defaultdict with a factory of its own")
    return None if factory is None else factory.__qualname__, dict(value)


def _array(value: LibraryValue) -> object:
    """Return type, shape and bytes of an array or a NumPy number; an array of objects gives its elements."""
    kind = value.dtype
    if kind.kind in "biufcmMSU":
        return kind.str, tuple(value.shape), value.tobytes()
    if kind.kind in "OT":
        return str(kind), tuple(value.shape), value.ravel().tolist()
    if kind.kind == "V" and not kind.hasobject:
        return repr(kind), tuple(value.shape), value.tobytes()
    raise UncacheableError(f"{type(value).__name__} of {kind}")


def _frame(value: LibraryValue) -> object:
    columns = [_extension(value.iloc[:, number].array) for number in range(value.shape[1])]
    return _attributes(value), _stand_in(value.columns), _stand_in(value.index), columns


def _series(value: LibraryValue) -> object:
    return _attributes(value), value.name, _stand_in(value.index), _extension(value.array)


def _attributes(value: LibraryValue) -> object:
    return dict(value.attrs)


def _stand_in(index: LibraryValue) -> object:
    """Return what stands for an index, whatever its class."""
    names = list(index.names)
    pandas = sys.modules["pandas"]
    if isinstance(index, pandas.MultiIndex):
        return (
            names,
            [_stand_in(level) for level in index.levels],
            [_array(code) for code in map(_plain, index.codes)],
        )
    return names, type(index).__name__, _extension(index.array)


def _plain(codes: object) -> LibraryValue:
    return sys.modules["numpy"].asarray(codes)


def _extension(array: LibraryValue) -> object:
    """Return what stands for one column: its type, and its values as a NumPy array or as a list."""
    kind = array.dtype
    if hasattr(kind, "categories"):
        return "category", bool(kind.ordered), _stand_in(array.categories), _array(_plain(array.codes))
    if hasattr(array, "asi8"):  # times, spans and periods: counts of the unit that the type names
        return str(kind), _array(array.asi8)
    if isinstance(kind, sys.modules["numpy"].dtype):
        return str(kind), _array(array.to_numpy())
    return str(kind), array.tolist()


def _timestamp(value: LibraryValue) -> object:
    number = (
        value.to_datetime64().astype("int64").item()
    )  # `value.value` is in nanoseconds, and not for every year
    return value.isoformat(), number, value.unit, value.fold, str(value.tzinfo)


_COLLECTIONS: dict[type, Encoder] = {
    Counter: _mapping,
    OrderedDict: _mapping,
    defaultdict: _default,
    deque: lambda value: (value.maxlen, list(value)),
}

_BY_NAME: dict[tuple[str, str], Encoder] = {
    ("numpy", "ndarray"): _array,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _series,
    ("pandas", "Timestamp"): _timestamp,
    ("pandas", "Timedelta"): lambda value: (value.to_timedelta64().astype("int64").item(), value.unit),
    ("pandas", "Period"): lambda value: (value.ordinal, value.freqstr),
    ("pandas", "Interval"): lambda value: (value.left, value.right, value.closed),
    ("pandas", "Categorical"): lambda value: _extension(value),
    **{
        ("pandas", name): _stand_in
        for name in (
            "Index",
            "RangeIndex",
            "MultiIndex",
            "CategoricalIndex",
            "DatetimeIndex",
            "TimedeltaIndex",
            "PeriodIndex",
            "IntervalIndex",
        )
    },
}
