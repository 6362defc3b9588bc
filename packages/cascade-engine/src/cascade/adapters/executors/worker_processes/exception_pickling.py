"""Exceptions as bytes: they are unpickled as they were, without a second call of their `__init__`.

Python itself pickles `args` and calls the class with them. That fails for a class whose `__init__` takes other
arguments, and changes the message of one whose arguments only seem to fit. Here the `__new__` and the `__init__` of the
builtin base class make the object, and then it gets its own state back.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

_HEAP_TYPE = 1 << 9
"""The flag of classes that are made by a `class` statement: `Py_TPFLAGS_HEAPTYPE`."""


class _Pickler(pickle.Pickler):
    """Pickles exceptions in our way, unless their class has a way of its own; all else in Python's way."""

    def reducer_override(self, value: object) -> Any:
        return reduce_exception(value)


def reduce_exception(value: object) -> Any:
    """Return how an exception is pickled, as the `reducer_override` of a pickler; `NotImplemented` for all else."""
    cls = type(value)
    if not issubclass(cls, BaseException):
        return NotImplemented
    native = _native(cls)
    is_plain = (
        cls.__reduce__ is native.__reduce__
        and cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__setstate__ is BaseException.__setstate__
    )
    if not is_plain:
        return NotImplemented
    _, args, *state = native.__reduce__(value)
    return _rebuild, (cls, args, state[0] if state else None, _slots_of(value))


def encode_exception(error: BaseException) -> bytes:
    """Return an exception as bytes, with those inside it.

    Raises:
        Exception: Whatever its parts raise; among them that they can't be pickled.
    """
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(error)
    return file.getvalue()


def _native(cls: type[BaseException]) -> Any:
    """Return the builtin base class that decides the memory layout of a class's objects."""
    native: Any = cls
    while native.__flags__ & _HEAP_TYPE:
        native = native.__base__
    return native


def _slots_of(error: object) -> dict[str, object]:
    """Return what an exception keeps in slots of its class; `BaseException` forgets them."""
    names = [
        name
        for cls in type(error).__mro__
        if cls.__flags__ & _HEAP_TYPE
        for slots in [vars(cls).get("__slots__", ())]
        for name in ((slots,) if isinstance(slots, str) else slots)
        if name not in ("__dict__", "__weakref__")
    ]
    missing = object()
    found = {name: getattr(error, name, missing) for name in names}
    return {name: value for name, value in found.items() if value is not missing}


def _rebuild(
    cls: type[BaseException],
    args: tuple[object, ...],
    state: Mapping[str, object] | None,
    slots: Mapping[str, object],
) -> BaseException:
    native = _native(cls)
    error: BaseException = native.__new__(cls, *args)
    native.__init__(error, *args)
    if state and cls.__setattr__ is native.__setattr__:
        error.__setstate__(dict(state))
    elif state:
        vars(error).update(state)  # a frozen exception refuses to have its attributes set
    for name, value in slots.items():
        object.__setattr__(error, name, value)
    return error
