"""Target loading: finds the workflow that `FILE_OR_MODULE[:NAME]` on a command line names."""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType

from cascade.spec import CascadeError, ParamLazyResult, Resource
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.source.references import file_name

_DEFAULT_NAME = "workflow"

_SHOWN = 8
"""The most file names that an error lists."""


@dataclass(eq=False)
class TargetNotFoundError(CascadeError, LookupError):
    """The command line names a workflow, `target`, that is not there. `problem` says what there is instead."""

    target: str
    problem: str

    def __str__(self) -> str:
        return f"{self.target}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A workflow, which is a function or a target of `cs.run`, and the resources beside it in its module."""

    workflow: object
    resources: tuple[Resource, ...]


def load(target: str) -> Loaded:
    """Import a file or module and find the workflow in it.

    Without a name that is what is called `workflow`, or else the only lazy result or function without arguments.

    Raises:
        TargetNotFoundError: If there is no such file, module or name, or it is not clear which is meant.
    """
    where, name = _split(target)
    module = _load(where, target)
    return Loaded(_find(module, name, where), _resources(module))


def load_resources(where: str) -> tuple[Resource, ...]:
    """Import a file or module, so that what is in it can be found by its name; return the resources in it.

    Raises:
        TargetNotFoundError: If there is no such file or module.
    """
    return _resources(_load(where, where))


def _load(where: str, target: str) -> ModuleType:
    return _import_file(Path(where), target) if _is_file(where) else _import_module(where, target)


def _resources(module: ModuleType) -> tuple[Resource, ...]:
    found = {id(value): value for value in vars(module).values() if isinstance(value, Resource)}
    return tuple(found.values())


def _split(target: str) -> tuple[str, str]:
    """Split a target into where and name, at the last colon; that may also belong to the path of a file."""
    where, colon, name = target.rpartition(":")
    if not colon or Path(target).is_file() or os.sep in name:
        return target, ""
    return where, name


def _is_file(where: str) -> bool:
    """Tell whether a file is meant, which need not be there, and not a module."""
    return where.endswith(".py") or os.sep in where or Path(where).is_file()


def _import_file(path: Path, target: str) -> ModuleType:
    """Import a file as `python FILE` would, but under its own name: what its `__main__` guard protects does not run."""
    if not path.is_file():
        raise TargetNotFoundError(target, f"there is no file {path}{_files_beside(path)}")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    name = file_name(str(path))
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # a loader is given
    module = module_from_spec(spec)
    sys.modules[name] = module  # pickle and worker processes find tasks by module and name
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str, target: str) -> ModuleType:
    """Import a module as `python -m` would, with the current folder first on the path."""
    if name.startswith("-"):  # `cascade run` leaves options that it does not know to the workflow
        problem = (
            "before the target there is no such option; `cascade run -h` shows those that may stand there"
        )
        raise TargetNotFoundError(target, problem)
    missing = TargetNotFoundError(target, f"there is no file or module {name!r}{_files_beside(Path(name))}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise missing
    sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # What the module itself fails to import is its own fault.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise missing from None


def _files_beside(path: Path) -> str:
    """Return the end of an error that lists the Python files in the same folder; empty if there are none."""
    found = sorted(each.name for each in path.parent.glob("*.py")) if path.parent.is_dir() else []
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"; {path.parent} has {', '.join(found[:_SHOWN])}{more}"


def _find(module: ModuleType, name: str, where: str) -> object:
    """Return the workflow of this name in a module, or the one that is meant without a name."""
    candidates = {each: value for each, value in vars(module).items() if _is_candidate(each, value, module)}
    told = f"; it has {', '.join(candidates)}" if candidates else ", and nothing that could be run"
    if name:
        if not hasattr(module, name):
            raise TargetNotFoundError(where, f"has no {name!r}{told}")
        found = getattr(module, name)
        if not (isinstance(found, (StandsForValue, list, tuple, dict)) or callable(found)):
            raise TargetNotFoundError(where, f"{name!r} is not a workflow but {type(found).__name__}{told}")
        return found
    if hasattr(module, _DEFAULT_NAME):
        return getattr(module, _DEFAULT_NAME)
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if not candidates:
        raise TargetNotFoundError(
            where, "has no workflow: neither a function without arguments nor a lazy result"
        )
    choices = " or ".join(f"{where}:{each}" for each in candidates)
    raise TargetNotFoundError(where, f"has no {_DEFAULT_NAME!r} but several candidates; write {choices}")


def _is_candidate(name: str, value: object, module: ModuleType) -> bool:
    """Tell whether a value may be the workflow that is meant: a lazy result, or the module's own function."""
    if name.startswith("_"):
        return False
    if isinstance(value, FunctionType):
        return value.__module__ == module.__name__ and not inspect.signature(value).parameters
    return isinstance(value, StandsForValue) and not isinstance(value, ParamLazyResult)
