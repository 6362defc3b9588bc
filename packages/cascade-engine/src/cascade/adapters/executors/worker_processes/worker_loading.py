"""How a worker process loads the tasks and classes of its parent."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

from cascade.adapters.executors.worker_processes import main_guard as guard
from cascade.adapters.executors.worker_processes.locations import MAIN, Location
from cascade.adapters.executors.worker_processes.messages import Setup
from cascade.spec.source.references import find_loaded
from cascade.spec.task import AnyTask, Task

LOADED_MAIN = "__mp_main__"
"""The name of the parent's own module here: the one that `multiprocessing` uses, which the parent knows too."""


class Loader:
    """Loads modules: the parent's main module and those with odd names from their files, all others by name."""

    def __init__(self, setup: Setup) -> None:
        self._main = setup.main
        self._odd = setup.modules
        self._main_is_loaded = False

    def load(self, module: str, qualname: str) -> AnyTask:
        """Return a task, importing its module if need be.

        Raises:
            LookupError: If there is no such task.
            UnguardedMainError: If the module is a script that would start a run.
            BaseException: Whatever the module's code raises.
        """
        self._import(module)
        found = find_loaded(module, qualname)
        if not isinstance(found, Task):
            raise LookupError(f"{module} has no task {qualname} there")
        return found

    def decode(self, payload: bytes | memoryview) -> Any:
        """Return what was pickled in the parent.

        Raises:
            BaseException: Whatever a class of the user's raises when its objects are made.
        """
        if self._has_all():
            return pickle.loads(payload)
        return _Unpickler(io.BytesIO(payload), self).load()

    def _has_all(self) -> bool:
        """Tell whether all modules are loaded that `pickle` could not find by itself."""
        main = self._main is None or self._main_is_loaded
        return main and (not self._odd or all(name in sys.modules for name in self._odd))

    def find(self, module: str) -> None:
        """Import a module that pickled data names, if `pickle` itself could not."""
        if module in self._odd or module in (MAIN, LOADED_MAIN):
            self._import(module)

    def load_module(self, module: str) -> None:
        """Import a module, from its file if it can't be found by its name.

        Raises:
            BaseException: Whatever the module's code raises.
        """
        self._import(module)

    def _import(self, module: str) -> None:
        if module in (MAIN, LOADED_MAIN):
            self._load_main()
        elif module in self._odd and module not in sys.modules:
            _run_file(module, self._odd[module].file)
        else:
            importlib.import_module(module)

    def _load_main(self) -> None:
        if self._main_is_loaded or self._main is None:
            return
        before = sys.modules.get(MAIN)
        try:
            with guard.loading(self._main.file or self._main.name):
                _run_main(self._main)
        except BaseException:
            sys.modules.pop(LOADED_MAIN, None)
            if before is not None:
                sys.modules[MAIN] = before
            raise
        self._main_is_loaded = True


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, loader: Loader) -> None:
        super().__init__(file)
        self._loader = loader

    def find_class(self, module: str, name: str) -> Any:
        self._loader.find(module)
        return super().find_class(module, name)


def _run_main(location: Location) -> None:
    """Run the code of the parent's main module under another name; it is found under both names."""
    spec = find_spec(location.name) if location.name else None
    if spec is not None and spec.loader is not None and hasattr(spec.loader, "get_code"):
        module = ModuleType(LOADED_MAIN)
        module.__package__ = spec.parent
        module.__file__ = spec.origin
        code = spec.loader.get_code(spec.name)
    else:
        module = ModuleType(LOADED_MAIN)
        module.__file__ = location.file
        code = SourceFileLoader(LOADED_MAIN, location.file).source_to_code(
            _read(location.file), location.file
        )
    sys.modules[LOADED_MAIN] = sys.modules[MAIN] = module
    exec(code, vars(module))


def _read(file: str) -> bytes:
    with io.open_code(file) as opened:
        return opened.read()


def _run_file(name: str, file: str) -> None:
    loader = SourceFileLoader(name, file)
    spec: ModuleSpec | None = spec_from_file_location(name, file, loader=loader)
    assert spec is not None  # a loader is given
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
