"""Ownership: which code is the user's own, and how code of libraries is named.

The top-level package of a task is its own code, wherever it is installed. So is what neither comes with Python nor is
installed. All else is a library. It is described by the names that the code uses.
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from cascade.spec.source.references import known_as, module_of
from cascade.spec.source.texts import is_installed


def is_own_module(name: str, package: str) -> bool:
    """Return whether a module is the user's own; `package` is the top-level package of the task."""
    top = name.partition(".")[0]
    if top == _CASCADE:
        return False
    if top == package:
        return True
    module = sys.modules.get(name) or sys.modules.get(top)
    if module is None:  # not loaded, so that only its name is known
        return False
    file = getattr(module, "__file__", None)
    if file is None:
        paths = list(getattr(module, "__path__", ()))  # a package without a file of its own
        return bool(paths) and not is_installed(paths[0])
    return top not in sys.builtin_module_names and not is_installed(file)


def is_own_function(function: FunctionType, package: str) -> bool:
    """Return whether the code of a function is the user's own, whatever module `functools.wraps` says it is of."""
    return _is_own(home_of(function), function.__code__.co_filename, package)


def home_of(function: FunctionType) -> str:
    """Return the module in which a function was written."""
    return known_as(str(function.__globals__.get("__name__") or ""))


def is_own_class(cls: type, package: str) -> bool:
    """Return whether a class is the user's own. Before Python 3.12, `make_dataclass` makes it one of `types`."""
    if cls.__module__ == "types" and "__dataclass_fields__" in vars(cls):
        return True
    return _is_own(module_of(cls), file_of_class(cls), package)


def _is_own(module: str, file: str, package: str) -> bool:
    top = module.partition(".")[0]
    if top == _CASCADE or file.startswith("<frozen"):
        return False
    if top == package:
        return True
    if file and not file.startswith("<"):
        return not is_installed(file)
    return top not in sys.modules or is_own_module(module, package) or module == "__main__"


def file_of_class(cls: type) -> str:
    """Return the file of the module that a class says it is of."""
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or "" if isinstance(module, ModuleType) else ""


def library_name(value: object, home: str | None = None) -> str:
    """Return the name of code of a library where no import says it, without private modules.

    `pathlib.Path` is `pathlib._local.Path` from Python 3.13 on, and `functools.partial` is made in `_functools`.
    """
    module = str(getattr(value, "__module__", None) or "") if home is None else home
    parts = module.split(".")
    first = _PUBLIC.get(parts[0], parts[0].lstrip("_"))
    public = [first, *(each for each in parts[1:] if not each.startswith("_"))]
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    return f"{'.'.join(public)}:{name}"


_PUBLIC = {"posix": "os", "nt": "os", "posixpath": "os.path", "ntpath": "os.path", "_io": "io"}
_CASCADE = __name__.partition(".")[0]
