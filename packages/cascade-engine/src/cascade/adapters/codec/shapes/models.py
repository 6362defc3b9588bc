"""Models of pydantic and structs of msgspec as data.

The values of a model were checked when it was made, and are set as they are: no validator, no `__init__` and no
`model_post_init` runs. Pydantic is taken from the modules that are loaded.
"""

from __future__ import annotations

from types import MemberDescriptorType

import msgspec

from cascade.adapters.codec.shapes.instances import Layout, layout_of, make_bare, read_slot
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.calls.missing import MISSING
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.source.references import class_attribute, class_order, find_loaded, own_attribute

_GIVEN, _EXTRA, _PRIVATE = "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"
_META: Foreign = type(msgspec.Struct)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model of pydantic: its fields, which of them were given, its extra values and private attributes."""

    cls: type
    names: tuple[str, ...]
    layout: Layout
    own: dict[str, MemberDescriptorType]

    KIND = "pydantic model"

    def read(self, value: object) -> dict[str, object]:
        """Return the values of the fields.

        Raises:
            UnsupportedError: If the instance holds more than a model does.
        """
        return self.layout.read(value, self.names)

    def given(self, value: object) -> list[str]:
        """Return the names of the fields that were given when the model was made, in the order of the class."""
        given: Foreign = read_slot(self.own[_GIVEN], value)
        return [] if given is MISSING else sorted(map(str, given))

    def read_more(self, value: object) -> dict[str, object]:
        """Return what was given beside the fields, and the private attributes; `None` where there are none."""
        found = {
            "model_extra": read_slot(self.own[_EXTRA], value),
            _PRIVATE: read_slot(self.own[_PRIVATE], value),
        }
        return {name: None if each is MISSING else each for name, each in found.items()}

    def build(self, values: dict[str, object], given: list[str], extra: object, private: object) -> object:
        """Return a model with these values."""
        if type(extra) not in (dict, type(None)) or type(private) not in (dict, type(None)):
            raise ValueError("no dict")
        if not all(type(name) is str for name in given):
            raise ValueError("a name that is none")
        made = make_bare(self.cls)
        self.layout.fill(made, values)
        for name, each in ((_GIVEN, set(given)), (_EXTRA, extra), (_PRIVATE, private)):
            self.own[name].__set__(made, each)
        return made


def model_shape(cls: type) -> ModelShape | None:
    """Return the shape of a model of pydantic; `None` of another class."""
    base = find_loaded("pydantic.main", "BaseModel")
    if base is MISSING or base not in class_order(cls):
        return None
    fields = own_attribute(cls, "__pydantic_fields__")
    if type(fields) is not dict:
        raise UnsupportedError(
            "register the type with DataType: it is not a model that pydantic has completed"
        )
    names = tuple(fields)
    own = {name: own_attribute(base, name) for name in (_GIVEN, _EXTRA, _PRIVATE)}
    make_bare(cls)
    layout = layout_of(cls, names)
    others = {name: slot for name, slot in layout.other_slots.items() if name not in own}
    return ModelShape(cls, names, Layout(layout.slots, others, layout.dictionary, layout.derived), own)


@dataclass(frozen=True, slots=True)
class StructShape:
    """A struct of msgspec: its fields."""

    cls: type
    names: tuple[str, ...]
    layout: Layout

    KIND = "msgspec struct"

    def read(self, value: object) -> dict[str, object]:
        """Return the values of the fields.

        Raises:
            UnsupportedError: If one is not set, or the instance holds more than its fields.
        """
        found = self.layout.read(value, self.names)
        if len(found) != len(self.names):
            raise UnsupportedError("set all its fields")
        return found

    def build(self, values: dict[str, object]) -> object:
        """Return a struct with these values; with each of them given, msgspec runs no code of the class's."""
        return _META.__call__(self.cls, **values)


def struct_shape(cls: type) -> StructShape | None:
    """Return the shape of a struct of msgspec; `None` of another class."""
    if msgspec.Struct not in class_order(cls):
        return None
    if type(cls) is not _META or class_attribute(cls, "__post_init__") is not MISSING:
        raise UnsupportedError("register the type with DataType: making it again would run its __post_init__")
    names: tuple[str, ...] = _META.__dict__["__struct_fields__"].__get__(cls)
    return StructShape(cls, names, layout_of(cls, names))
