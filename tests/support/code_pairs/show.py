"""Prints the code versions of many sources, in one process: those of `sources.json` in the folder that is given.

`python show.py FOLDER cold|warm`: in a warm process other work was done before each version is read.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.spec.code import code_version


def main(folder: Path, state: str) -> dict[str, str | None]:
    """Return the version of each source, by its folder; `None` for one that needs what is not here."""
    told: dict[str, str | None] = {}
    names = json.loads((folder / "sources.json").read_text())
    for name, needs in names.items():
        if not all(map(_has, needs)):
            told[name] = None
            continue
        sys.path.insert(0, str(folder / name))
        before = set(sys.modules)
        importlib.invalidate_caches()
        made: Any = importlib.import_module("made")
        if state == "warm":
            work(made)
        told[name] = code_version(made.f)
        sys.path.pop(0)
        for each in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[each], "__file__", "")):
                del sys.modules[each]
    return told


def work(made: Any) -> None:
    """Do what a program may have done: load what is loaded at its first use, call, look at classes."""
    _ = (cs.gather, cs.map, cs.Router, cs.sequence, cs.ByInputs, cs.resource)
    for name in ("concurrent.futures", "xml.dom.minidom", "email.message", "logging.handlers", "json.tool"):
        importlib.import_module(name)
    _ = importlib.import_module("concurrent.futures").ThreadPoolExecutor
    with contextlib.suppress(AttributeError):
        made.work()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in list(vars(made).values()):
            _use(value)


def _use(value: Any) -> None:
    for call in (
        lambda: value.func(1),
        lambda: value(1),
        lambda: value(),
        lambda: value.__doc__,
        lambda: list(value),
        lambda: repr(value),
        lambda: value.cache_info(),
    ):
        with contextlib.suppress(BaseException):  # whatever a source does
            call()


def _has(name: str) -> bool:
    kind, _, version = name.partition(" ")
    if kind == "python":
        return sys.version_info[:2] >= tuple(map(int, version.split(".")))
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps([sys.version_info[:2], main(Path(sys.argv[1]), sys.argv[2])]))  # noqa: T201
