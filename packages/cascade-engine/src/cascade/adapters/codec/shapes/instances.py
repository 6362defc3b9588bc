"""Where the values of an instance are, and how to read and set them without running code of its class."""

from __future__ import annotations

import functools
from types import GetSetDescriptorType, MemberDescriptorType

from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.spec.calls.missing import MISSING
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.source.references import class_attribute, class_order, own_attributes

_SET_BY_TYPING = (
    "__orig_class__"  # what `Box[int](...)` leaves in an instance; it says nothing about the value
)

CACHED_HASH = "_attrs_cached_hash"
"""Where instances of an attrs class with `cache_hash=True` keep their hash, which is another in each process."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the instances of a class have their values.

    `slots` are those of the fields. `dictionary` is Python's descriptor of the instance's `__dict__`, or `None`.
    `derived` are names whose values are computed from the fields: they are not stored.
    """

    slots: dict[str, MemberDescriptorType]
    other_slots: dict[str, MemberDescriptorType]
    dictionary: GetSetDescriptorType | None
    derived: frozenset[str]

    def held(self, value: object) -> dict[str, object]:
        """Return the instance's dictionary."""
        return {} if self.dictionary is None else self.dictionary.__get__(value)

    def read(self, value: object, names: tuple[str, ...]) -> dict[str, object]:
        """Return the values of the fields that are set.

        Raises:
            UnsupportedError: If the instance holds more than its fields.
        """
        held = self.held(value)
        more = held.keys() - self.derived - set(names)
        for name, slot in self.other_slots.items():
            if name not in self.derived and read_slot(slot, value) is not MISSING:
                more.add(name)
        if more:
            extra = ", ".join(map(repr, sorted(more)))
            raise UnsupportedError(f"declare {extra} as fields, or register the type with DataType")
        found = {}
        for name in names:
            part = read_slot(self.slots[name], value) if name in self.slots else held.get(name, MISSING)
            if part is not MISSING:
                found[name] = part
        return found

    def fill(self, made: object, values: dict[str, object]) -> None:
        """Put values into the fields of an instance that has none yet."""
        held = None if self.dictionary is None else self.dictionary.__get__(made)
        for name, value in values.items():
            slot = self.slots.get(name)
            if slot is not None:
                slot.__set__(made, value)
            elif held is None:
                raise ValueError(f"no room for the field {name!r}")
            else:
                held[name] = value


def layout_of(cls: type, names: tuple[str, ...]) -> Layout:
    """Return where the instances of a class have these fields."""
    all_slots: dict[str, MemberDescriptorType] = {}
    derived = {_SET_BY_TYPING, CACHED_HASH}
    for each in reversed(class_order(cls)):
        attributes = own_attributes(each)
        by_attrs = "__attrs_attrs__" in attributes  # which gives each cached property a slot
        for name, value in attributes.items():
            if type(value) is MemberDescriptorType:
                all_slots[name] = value
                if by_attrs and name not in names:
                    derived.add(name)
            elif isinstance(value, functools.cached_property):
                derived.add(name)
    slots = {name: slot for name in names if type(slot := class_attribute(cls, name)) is MemberDescriptorType}
    others = {name: slot for name, slot in all_slots.items() if slot is not slots.get(name)}
    return Layout(slots, others, dictionary_of(cls), frozenset(derived))


def dictionary_of(cls: type) -> GetSetDescriptorType | None:
    """Return Python's own descriptor of the instance's dictionary; `None` if instances have none."""
    found = class_attribute(cls, "__dict__")
    if found is MISSING:
        return None
    if type(found) is not GetSetDescriptorType:
        raise UnsupportedError("register the type with DataType: it has a __dict__ of its own")
    return found


def read_slot(slot: MemberDescriptorType, value: object) -> object:
    """Return what is in a slot; `MISSING` if nothing is."""
    try:
        return slot.__get__(value)
    except AttributeError:
        return MISSING


def make_bare(cls: type) -> object:
    """Return an empty instance, made by Python itself.

    Raises:
        UnsupportedError: If Python does not make such instances alone.
    """
    try:
        return object.__new__(cls)
    except TypeError:
        raise UnsupportedError(
            "register the type with DataType: it is more than its fields, being built on another type"
        ) from None
