"""Texts: the content of the files of tasks, as it was when the tasks were made.

A file may be edited while its code runs. So it is read once, when its first task is made. It is parsed only if somebody
asks for a code version. The files of the user's other modules that are loaded by then are read as well, as a task may
call their functions.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import FunctionType, ModuleType
from typing import Any


class Text:
    """The text of one file as it was at one time.

    `stamp` identifies the state of the file: time of change, size and inode. `loaded` identifies the loading of the
    module: it is the module's `__spec__`, which each loading makes anew.
    """

    __slots__ = ("__weakref__", "_data", "file", "loaded", "stamp")

    def __init__(self, file: str, data: bytes | str, stamp: object, loaded: object) -> None:
        self.file = file
        self.stamp = stamp
        self.loaded = loaded
        self._data = data

    @property
    def data(self) -> bytes | str:
        """The bytes of the file, or a text that never was in a file, such as that of a notebook."""
        return self._data


_taken: dict[str, Text] = {}
_seen: dict[str, int] = {}
"""The ids of the modules that were looked at, by name."""


def take(function: Any) -> None:
    """Read the file of a function that becomes a task, if that has not been done since it was loaded."""
    # For each task that is made: one inside a function, or of a module that is known, costs a look into a dict.
    while type(function) is not FunctionType:
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if function is None:
            return
    file = function.__code__.co_filename
    known = _taken.get(file)
    if known is None or ("<locals>" not in function.__qualname__ and _is_old(known, function.__globals__)):
        if str(function.__module__).startswith(_CASCADE):
            return
        read(file, function.__globals__)
        _take_modules()


def _is_old(text: Text, names: dict[str, object]) -> bool:
    """Return whether a module was loaded again since its text was read."""
    loaded = names.get("__spec__")
    return text.loaded is not loaded or (loaded is None and text.stamp != _stamp(text.file))


def _take_modules() -> None:
    """Read the files of the user's modules that were loaded since the last time."""
    for name, module in list(sys.modules.items()):
        if _seen.get(name) == id(module):
            continue
        _seen[name] = id(module)
        file = vars(module).get("__file__") if type(module) is ModuleType else None
        if isinstance(file, str) and file.endswith(".py") and not is_installed(file):
            known = _taken.get(file)
            if known is None or _is_old(known, vars(module)):
                read(file, vars(module))


def read(file: str, names: dict[str, object]) -> Text | None:
    """Read a file as it is now and keep the text; `None` if there is none. `names` are those of its module."""
    stamp = _stamp(file)
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib would be loaded for this alone
            text = Text(file, opened.read(), stamp, names.get("__spec__"))
    except (OSError, ValueError):
        lines = linecache.getlines(file, names)  # of a notebook, a doctest, a zip file
        if not lines:
            return None
        text = Text(file, "".join(lines), stamp, names.get("__spec__"))
    _taken[file] = text
    return text


def texts_of(file: str, names: dict[str, object]) -> list[Text]:
    """Return the texts that a module may have been made from: first the one that was taken when it was loaded."""
    taken = _taken.get(file)
    if taken is not None and _is_old(taken, names):
        now = read(file, names)
        return [each for each in (now, taken) if each is not None]
    if taken is not None and taken.stamp is not None and taken.stamp == _stamp(file):
        return [taken]
    now = read(file, names)
    if taken is not None:
        _taken[file] = taken
    return [each for each in (taken, now) if each is not None]


def keep(text: Text) -> None:
    """Use this text for its file from now on: it is the one that the module was made from."""
    _taken[text.file] = text


def _stamp(file: str) -> object:
    try:
        found = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def is_installed(file: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    return is_site(file) or file.startswith(_STANDARD)


def is_site(file: str) -> bool:
    """Return whether a file lies among installed packages."""
    return "site-packages" in file or "dist-packages" in file


_STANDARD = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120
_CASCADE = "cascade."
