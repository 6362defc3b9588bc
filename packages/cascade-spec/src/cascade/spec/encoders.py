"""What stands for arrays and frames in cache keys: plain values that tell all of their data.

NumPy and pandas are looked up among the modules already imported and never imported: who has an array, has NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cascade.spec.errors import UncacheableError


def find(kind: type) -> Callable[[Any], object] | None:
    """Return what encodes a type of another package, if that is known here."""
    package = kind.__module__.partition(".")[0]
    encode = _BY_NAME.get((package, kind.__qualname__))
    if encode is not None and getattr(sys.modules.get(package), kind.__qualname__, None) is kind:
        return encode
    if package == "pandas" and kind in (type(sys.modules["pandas"].NA), type(sys.modules["pandas"].NaT)):
        return str
    if package == "numpy" and issubclass(kind, sys.modules["numpy"].generic):
        return _array
    return None


def _array(value: Any) -> object:
    """Return type, shape and bytes of an array or a NumPy number; elements one by one where these are objects."""
    kind = value.dtype
    if kind.kind in "biufcmMSU":
        return kind.str, tuple(value.shape), value.tobytes()
    if kind.kind in "OT":
        return str(kind), tuple(value.shape), value.ravel().tolist()
    if kind.kind == "V" and not kind.hasobject:
        return repr(kind), tuple(value.shape), value.tobytes()
    raise UncacheableError(f"{type(value).__name__} of {kind}")


def _frame(value: Any) -> object:
    columns = [_extension(value.iloc[:, number].array) for number in range(value.shape[1])]
    return _attributes(value), _stand_in(value.columns), _stand_in(value.index), columns


def _series(value: Any) -> object:
    return _attributes(value), value.name, _stand_in(value.index), _extension(value.array)


def _attributes(value: Any) -> object:
    return dict(value.attrs)


def _stand_in(index: Any) -> object:
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


def _plain(codes: Any) -> Any:
    return sys.modules["numpy"].asarray(codes)


def _extension(array: Any) -> object:
    """Return what stands for one column: its type, and its values as NumPy holds them or one by one."""
    kind = array.dtype
    if hasattr(kind, "categories"):
        return "category", bool(kind.ordered), _stand_in(array.categories), _array(_plain(array.codes))
    if hasattr(array, "asi8"):  # times, spans and periods: counts of the unit that the type names
        return str(kind), _array(array.asi8)
    if isinstance(kind, sys.modules["numpy"].dtype):
        return str(kind), _array(array.to_numpy())
    return str(kind), array.tolist()


def _timestamp(value: Any) -> object:
    return value.isoformat(), value.value, value.unit, value.fold, str(value.tzinfo)


_BY_NAME: dict[tuple[str, str], Callable[[Any], object]] = {
    ("numpy", "ndarray"): _array,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _series,
    ("pandas", "Timestamp"): _timestamp,
    ("pandas", "Timedelta"): lambda value: (value.value, value.unit),
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
        )
    },
}
