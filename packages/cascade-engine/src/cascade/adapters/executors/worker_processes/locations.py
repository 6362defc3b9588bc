"""Locations: where another process finds the modules of this one.

Most are imported by name. A script is loaded from its file, as `__mp_main__`, so that its guard
`if __name__ == "__main__":` does not run. So is a module that was loaded from a file with another name than its own.
"""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from cascade.spec.errors import TaskReferenceError
from cascade.spec.task import AnyTask, TaskReference

MAIN = "__main__"


class Location(NamedTuple):
    """What a module is loaded from: a file, or the name that `python -m` was given."""

    file: str = ""
    name: str = ""


def reference_here(task: AnyTask) -> TaskReference:
    """Return the module and the name by which this process itself finds a task: `__main__` for a script's."""
    return task.reference._replace(module=task.__module__)


def check_reference(task: AnyTask) -> None:
    """Check that other processes on this machine can find a task by its module and name.

    Raises:
        TaskReferenceError: If not.
    """
    reference = reference_here(task)
    if reference.find() is not task:
        raise TaskReferenceError(task.name, str(reference))
    module = sys.modules.get(reference.module)
    if isinstance(module, ModuleType) and not _is_findable(module, reference.module):
        raise TaskReferenceError(
            task.name,
            str(reference),
            "this module is in no file (python -c, standard input, a notebook); "
            "define the task in a module of its own",
        )


def _is_findable(module: ModuleType, name: str) -> bool:
    if name in (MAIN, "__mp_main__"):
        return main_location() is not None
    return getattr(module, "__spec__", None) is not None or _file_of(module) != ""


def main_location() -> Location | None:
    """Return where the program's own module is loaded from; `None` if it is in no file."""
    module = sys.modules.get(MAIN)
    file = "" if module is None else _file_of(module)
    spec = getattr(module, "__spec__", None)
    name = "" if spec is None else str(spec.name)
    if name and name != MAIN:
        return Location(file, name)
    return Location(file) if file else None


def odd_locations() -> dict[str, Location]:
    """Return the modules of this process that were loaded from a file and can't be imported by name."""
    found = {}
    for name, module in [*sys.modules.items()]:
        if name in (MAIN, "__mp_main__") or type(module) is not ModuleType:
            continue
        file = vars(module).get("__file__")
        if isinstance(file, str) and not _fits(name, Path(file)) and Path(file).is_file():
            found[name] = Location(str(Path(file).absolute()))
    return found


def _fits(name: str, file: Path) -> bool:
    """Tell whether `import name` may lead to a file of this name."""
    if not file.name.endswith(_SUFFIXES):
        return False
    stem = file.name.partition(".")[0]
    return name.rpartition(".")[2] in (stem, file.parent.name if stem == "__init__" else stem)


def _file_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return str(Path(file).absolute()) if isinstance(file, str) and Path(file).is_file() else ""


_SUFFIXES = tuple(importlib.machinery.all_suffixes())
