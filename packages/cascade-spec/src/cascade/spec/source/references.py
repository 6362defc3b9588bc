"""References: finding what a module and a qualified name stand for, without importing or running anything.

A file that is run by itself is the module `__main__`. What it holds is known by the name under which others would
import the file, so that `python trip.py` and a command that imports `trip.py` mean the same tasks.

Only the dictionaries of imported modules, and of classes in them, are read. So no `__getattr__` of a module, no lazy
module, no descriptor and no metaclass runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, TypeAlias

from cascade.spec.calls.missing import MISSING

Descriptor: TypeAlias = Any
"""A descriptor of a module or a class, which is asked with `__get__`."""

_DICT_OF_MODULE: Descriptor = vars(ModuleType)["__dict__"]
_DICT_OF_CLASS: Descriptor = vars(type)["__dict__"]
_ORDER_OF_CLASS: Descriptor = vars(type)["__mro__"]
_MODULE_OF_CLASS: Descriptor = vars(type)["__module__"]
_QUALNAME_OF_CLASS: Descriptor = vars(type)["__qualname__"]


def main_name() -> str:
    """Return the name under which others would import what is run: `trip` for `python trip.py`.

    What was not read from a file, as in a notebook or with `python -c`, has no other name than `__main__`.
    """
    global _main, _main_name
    main = sys.modules.get(_MAIN)
    if main is not _main or main is None:
        _main, _main_name = main, _name_of_main(main)
    return _main_name


_MAIN = "__main__"
_main: object = None
_main_name = _MAIN


def _name_of_main(main: object) -> str:
    names = _DICT_OF_MODULE.__get__(main) if issubclass(type(main), ModuleType) else {}
    name = getattr(names.get("__spec__"), "name", None)
    if isinstance(name, str) and name not in _MAINS:  # python -m package.module
        return name
    file = names.get("__file__")
    return file_name(file) if isinstance(file, str) and not file.startswith("<") else _MAIN


def file_name(path: str) -> str:
    """Return the name that a file has as a module when it is run or imported by its path."""
    stem = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 - pathlib would be loaded for this alone
    if stem in _MAINS:
        return _MAIN
    stem = stem.replace(
        ".", "_"
    )  # with a dot it would be a module of a package, which is not there to be imported
    known = sys.modules.get(stem)
    is_other = known is not None and not _is_file(getattr(known, "__file__", None), path)
    return f"{stem}_file" if is_other or stem in sys.stdlib_module_names else stem


def _is_file(known: object, path: str) -> bool:
    return isinstance(known, str) and os.path.realpath(known) == os.path.realpath(path)


_MAINS = (_MAIN, "__mp_main__")
"""The names of the module that is run: in the first process, and in worker processes that load it again."""


def known_as(module: str) -> str:
    """Return the name that a module is known by in keys and records."""
    return main_name() if module in _MAINS else _STORED_NAMES.get(module, module)


def module_of(value: object) -> str:
    """Return the name that the module of a function, a class or a task is known by."""
    return known_as(str(getattr(value, "__module__", None) or ""))


def find_loaded(module: str, qualname: str) -> object:
    """Return what stands under that name in a module that is imported; `MISSING` if nothing does.

    What is run is found under both of its names, and a class of Cascade under the name that records have.
    """
    if module == main_name() and (found := _find(sys.modules.get(_MAIN, MISSING), qualname)) is not MISSING:
        return found
    found = _find(sys.modules.get(module, MISSING), qualname)
    if found is MISSING:
        for now in _MOVED.get(module, ()):
            found = _find(sys.modules.get(now, MISSING), qualname)
            if found is not MISSING:
                break
    return found


_STORED_NAMES = {
    "cascade.spec.caching.by_inputs": "cascade.spec.caching",
    "cascade.spec.caching.file_exists": "cascade.spec.caching",
    "cascade.spec.policies.declared": "cascade.spec.policies",
    "cascade.spec.policies.mode": "cascade.spec.policies",
    "cascade.spec.policies.retry": "cascade.spec.policies",
    "cascade.spec.calls.injection": "cascade.spec.resource",
    "cascade.spec.inputs.files": "cascade.spec.files",
}
"""The names of Cascade's modules in records and digests: they stay as they are wherever a class moves to."""

_MOVED = {
    stored: [now for now, each in _STORED_NAMES.items() if each == stored]
    for stored in _STORED_NAMES.values()
}
"""The modules that the classes of a stored module are in now."""


def _find(found: object, qualname: str) -> object:
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
    found = sys.modules.get(_MAIN if module == main_name() else module)
    names: dict[str, object] = _DICT_OF_MODULE.__get__(found) if issubclass(type(found), ModuleType) else {}
    return names


def reference_of(cls: object) -> tuple[str, str]:
    """Return the module and the qualified name of a class, without asking its metaclass."""
    return known_as(str(_MODULE_OF_CLASS.__get__(cls))), str(_QUALNAME_OF_CLASS.__get__(cls))


def name_of(cls: object) -> str:
    """Return how a class is written in an error."""
    module, qualname = reference_of(cls)
    return qualname if module == "builtins" else f"{module}.{qualname}"


def is_class(value: object) -> bool:
    """Return whether `value` is a class, without asking it."""
    return issubclass(type(value), type)


def class_order(cls: object) -> tuple[type, ...]:
    """Return a class and its bases in the order of attribute lookup, without asking its metaclass."""
    order: tuple[type, ...] = _ORDER_OF_CLASS.__get__(cls)
    return order


def own_attributes(cls: object) -> Mapping[str, object]:
    """Return the members of a class's own body, without calling descriptors."""
    attributes: Mapping[str, object] = _DICT_OF_CLASS.__get__(cls)
    return attributes


def own_attribute(cls: object, name: str) -> Any:
    """Return a member of a class's own body, without calling a descriptor; `MISSING` if there is none."""
    return _DICT_OF_CLASS.__get__(cls).get(name, MISSING)


def class_attribute(cls: object, name: str) -> Any:
    """Return a member of a class or of the first base that has it, as `own_attribute`; `MISSING` if none has."""
    for each in class_order(cls):
        found = own_attribute(each, name)
        if found is not MISSING:
            return found
    return MISSING
