"""Checks dict keys and set members: Python itself must hash them, so that loading runs no code of the user's."""

from __future__ import annotations

from collections.abc import Container, Iterable
from enum import Enum

from cascade.adapters.codec.decoding_steps import DEEPEST_KEY
from cascade.adapters.codec.leaves import LEAVES, PLAIN
from cascade.adapters.codec.library_types.registry import library_type_of
from cascade.adapters.codec.shapes.class_shapes import DataclassShape, Shapes, hash_is_pythons_own
from cascade.adapters.codec.shapes.models import StructShape
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign

Parts = list[tuple[str, object]]
"""What is hashed with a value, and how each part is reached from the value `{}`: `{}[0]`, `list({})[0]`."""


def check_hashed(values: Iterable[object], shapes: Shapes, registered: Container[type]) -> None:
    """Check that hashing these values runs no code of a class that is not registered.

    Raises:
        UnsupportedError: If it does, or if one is nested too deeply to be hashed safely; it has the culprit.
    """
    level = list(values)
    for _ in range(DEEPEST_KEY):
        below: list[object] = []
        for value in level:
            kind = type(value)
            if kind not in PLAIN and kind not in LEAVES and kind not in registered:
                below.extend(part for _, part in _hashed_with(value, kind, shapes))
        if not below:
            return
        level = list({id(value): value for value in below}.values())
    raise UnsupportedError(f"use a dict key or set member of less than {DEEPEST_KEY} levels")


def path_to(culprit: object, parts: Parts, shapes: Shapes) -> str | None:
    """Return how a value that `check_hashed` has refused is reached from the value that has these parts."""
    level = parts
    for _ in range(DEEPEST_KEY):
        below: Parts = []
        for template, value in level:
            if value is culprit:
                return template
            kind = type(value)
            if kind in PLAIN or kind in LEAVES:
                continue
            try:
                below += [
                    (step.replace("{}", template), part) for step, part in _hashed_with(value, kind, shapes)
                ]
            except UnsupportedError:
                continue
        level = below
    return None


def numbered(values: Iterable[object]) -> Parts:
    """Return the keys of a dict or the members of a set as parts of it."""
    return [(f"list({{}})[{number}]", value) for number, value in enumerate(values)]


def _hashed_with(value: Foreign, kind: type, shapes: Shapes) -> Parts:
    """Return the parts that are hashed with a value."""
    if kind is tuple:
        return [(f"{{}}[{number}]", part) for number, part in enumerate(value)]
    if kind is frozenset:
        return numbered(value)
    known = library_type_of(kind)
    if known is not None and known.is_key:
        return []
    if known is not None or not hash_is_pythons_own(kind):
        raise UnsupportedError(
            "as a dict key or set member it would run its own __hash__ or __eq__ when it is loaded: "
            "use plain data there, or register the type with DataType",
            value,
        )
    if issubclass(kind, Enum):
        return []
    if issubclass(kind, tuple):
        return [(f"{{}}[{number}]", part) for number, part in enumerate(tuple.__iter__(value))]
    try:
        shape = shapes.of(kind)[2]
    except UnsupportedError as problem:
        raise UnsupportedError(problem.remedy, value) from None
    if not isinstance(shape, DataclassShape | StructShape):
        return []
    return [(f"{{}}.{name}", part) for name, part in shape.read(value).items()]
