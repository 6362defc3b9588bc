"""Cascade: plain Python functions become a lazy graph that runs in process. `import cascade as cs`.

This module is a facade: a name is looked up in its wheel on first use, so importing it loads nothing else. Four
wheels share the package, and other portions may join it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder

TYPE_CHECKING = (
    False  # what type checkers take for `typing.TYPE_CHECKING`, which costs as much as a bare interpreter
)

if TYPE_CHECKING:
    from typing import Any

    from cascade.adapters.call_logging import CallLogFilter as CallLogFilter
    from cascade.adapters.current_calls import current_call as current_call
    from cascade.cli import cli as cli
    from cascade.graph import Graph as Graph
    from cascade.graph import Picture as Picture
    from cascade.graph import build_graph as build_graph
    from cascade.graph import draw as draw
    from cascade.graph import plan as plan
    from cascade.graph import visualize as visualize
    from cascade.runtime import DependencyMissingError as DependencyMissingError
    from cascade.runtime import Engine as Engine
    from cascade.runtime import MessageBus as MessageBus
    from cascade.runtime import Timeline as Timeline
    from cascade.runtime import arun as arun
    from cascade.runtime import run as run
    from cascade.spec import ByInputs as ByInputs
    from cascade.spec import CascadeError as CascadeError
    from cascade.spec import Env as Env
    from cascade.spec import File as File
    from cascade.spec import FileExists as FileExists
    from cascade.spec import LazyResult as LazyResult
    from cascade.spec import MappedLazyResult as MappedLazyResult
    from cascade.spec import Param as Param
    from cascade.spec import RetryPolicy as RetryPolicy
    from cascade.spec import Router as Router
    from cascade.spec import Secret as Secret
    from cascade.spec import Task as Task
    from cascade.spec import gather as gather
    from cascade.spec import inject as inject
    from cascade.spec import map as map
    from cascade.spec import pipeline as pipeline
    from cascade.spec import quote as quote
    from cascade.spec import resource as resource
    from cascade.spec import sequence as sequence
    from cascade.spec import task as task
    from cascade.spec import unpack as unpack

# As `pkgutil.extend_path` does, which costs more than a bare interpreter to import.
for _entry in sys.path:
    _found = PathFinder.find_spec(__name__, [_entry])
    if _found is not None and _found.submodule_search_locations is not None:
        __path__ += [each for each in _found.submodule_search_locations if each not in __path__]

_WHEELS = {
    "cascade.spec": "cascade-spec",
    "cascade.graph": "cascade-graph",
    "cascade.adapters.call_logging": "cascade-engine",
    "cascade.adapters.current_calls": "cascade-engine",
    "cascade.runtime": "cascade-engine",
    "cascade.cli": "cascade-cli",
}

_HOMES = {
    "cascade.spec": (
        "ByInputs",
        "CascadeError",
        "Env",
        "File",
        "FileExists",
        "LazyResult",
        "MappedLazyResult",
        "Param",
        "RetryPolicy",
        "Router",
        "Secret",
        "Task",
        "gather",
        "inject",
        "map",
        "pipeline",
        "quote",
        "resource",
        "sequence",
        "task",
        "unpack",
    ),
    "cascade.adapters.call_logging": ("CallLogFilter",),
    "cascade.adapters.current_calls": ("current_call",),
    "cascade.graph": ("Graph", "Picture", "build_graph", "draw", "plan", "visualize"),
    "cascade.runtime": ("DependencyMissingError", "Engine", "MessageBus", "Timeline", "arun", "run"),
    "cascade.cli": ("cli",),
}

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    value = _from_provider(name) if module is None else _from_wheel(name, module)
    if module != f"{__name__}.{name}":  # `cascade.cli` stays the module, which can be called as well
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _from_wheel(name: str, module: str) -> object:
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        # Only the portion itself may be missing: an import that fails inside it is another fault.
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        from cascade.spec.errors import MissingWheelError  # noqa: PLC0415 - the facade imports nothing before it is used

        raise MissingWheelError(name, _WHEELS[module]) from None


def _from_provider(name: str) -> object:
    if not name.startswith("_"):
        # Rarely wanted, and it would double the time that `import cascade` takes.
        from importlib.metadata import entry_points  # noqa: PLC0415

        for point in entry_points(group="cascade.providers", name=name):
            return point.load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
