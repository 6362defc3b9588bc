"""References: finding what a module and a qualified name stand for, without importing or running anything.

Only dictionaries are read: those of modules that are imported already and of classes in them. So no `__getattr__` of a
module, no lazy module, no descriptor and no metaclass has a say.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cascade.spec.missing import MISSING

_DICT_OF_MODULE: Any = vars(ModuleType)["__dict__"]
_DICT_OF_CLASS: Any = vars(type)["__dict__"]
_ORDER_OF_CLASS: Any = vars(type)["__mro__"]
_MODULE_OF_CLASS: Any = vars(type)["__module__"]
_QUALNAME_OF_CLASS: Any = vars(type)["__qualname__"]


def find_loaded(module: str, qualname: str) -> object:
    """Return what stands under that name in a module that is imported; `MISSING` if nothing does."""
    found: object = sys.modules.get(module, MISSING)
    for name in qualname.split("."):
        if issubclass(type(found), ModuleType):
            found = _DICT_OF_MODULE.__get__(found).get(name, MISSING)
        elif is_class(found):
            found = _DICT_OF_CLASS.__get__(found).get(name, MISSING)
        else:
            return MISSING
    return found


def loaded_names(module: str) -> dict[str, object]:
    """Return what stands at the top of a module that is imported; nothing for another."""
    found = sys.modules.get(module)
    names: dict[str, object] = _DICT_OF_MODULE.__get__(found) if issubclass(type(found), ModuleType) else {}
    return names


def reference_of(cls: object) -> tuple[str, str]:
    """Return the module and the qualified name of a class, without asking its metaclass."""
    return str(_MODULE_OF_CLASS.__get__(cls)), str(_QUALNAME_OF_CLASS.__get__(cls))


def name_of(cls: object) -> str:
    """Return how a class is written in an error."""
    module, qualname = reference_of(cls)
    return qualname if module == "builtins" else f"{module}.{qualname}"


def is_class(value: object) -> bool:
    """Tell whether `value` is a class, without asking it."""
    return issubclass(type(value), type)


def class_order(cls: object) -> tuple[type, ...]:
    """Return a class and its bases in the order of attribute lookup, without asking its metaclass."""
    order: tuple[type, ...] = _ORDER_OF_CLASS.__get__(cls)
    return order


def own_attributes(cls: object) -> Mapping[str, Any]:
    """Return what a class's own body holds, as it stands there."""
    attributes: Mapping[str, Any] = _DICT_OF_CLASS.__get__(cls)
    return attributes


def own_attribute(cls: object, name: str) -> Any:
    """Return what a class's own body holds under a name, as it stands there; `MISSING` if nothing."""
    return _DICT_OF_CLASS.__get__(cls).get(name, MISSING)


def class_attribute(cls: object, name: str) -> Any:
    """Return what a class or the first of its bases holds under a name, as it stands there; `MISSING` if nothing."""
    for each in class_order(cls):
        found = own_attribute(each, name)
        if found is not MISSING:
            return found
    return MISSING
