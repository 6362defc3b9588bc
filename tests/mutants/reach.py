"""Which tests reach which line, and how long each takes: measured once for each file of tests, and kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.nursery import Child
from mutants.plugins import Watch

ENOUGH = 3600.0
"""Seconds that the tests of one file may take on a busy machine."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test: its file, how long it takes, and the lines it reaches, as a bit for each in every module."""

    name: str
    file: str
    seconds: float
    lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """All tests by name; and for each file of tests, a digest of it and of all that it uses."""

    tests: dict[str, Test]
    files: dict[str, str]

    def of(self, path: Path, lines: Iterable[int], is_inside: bool) -> list[Test]:
        """Return the tests that reach some lines of a module.

        Of lines that run when it is imported, and of those that only other processes reach, these are all tests
        that reach any line of it.
        """
        wanted = sum(1 << line for line in lines)
        found = [each for each in self.tests.values() if each.lines.get(str(path), 0) & wanted]
        if is_inside and found:
            return found
        return [each for each in self.tests.values() if each.lines.get(str(path))]


def sources_digest(root: Path) -> str:
    """Return a digest of all code that may be reached by tests, and of what tests share."""
    helpers = [each for each in root.glob("tests/**/*.py") if not each.name.startswith("test_")]
    shared = [each for each in helpers if "mutants" not in each.parts]
    return _digest(
        root, [*root.glob("packages/*/src/**/*.py"), *root.glob("packages/*/tests/conftest.py"), *shared]
    )


def measure(root: Path, modules: Sequence[Path], tests: Sequence[str], kept: Path) -> Reach:
    """Run each file of tests in a copy of the repository, unless what it reaches is known."""
    sources = sources_digest(root)
    found: dict[str, Test] = {}
    files: dict[str, str] = {}
    kept.mkdir(parents=True, exist_ok=True)
    for file in _test_files(root, tests):
        name = str(file.relative_to(root))
        files[name] = hashlib.sha256((sources + _digest(root, [file])).encode()).hexdigest()[:16]
        record = kept / f"{file.stem}-{files[name]}.json"
        if not record.exists():
            began = time.monotonic()
            _watch(root, modules, name, record)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        for test, told in json.loads(record.read_text(encoding="utf-8")).items():
            if told["failed"]:
                print(f"left out, since it fails without any change: {test}", flush=True)
                continue
            lines = {path: int(bits, 16) for path, bits in told["lines"].items()}
            found[test] = Test(test, name, told["seconds"], lines)
    return Reach(found, files)


def _watch(root: Path, modules: Sequence[Path], file: str, record: Path) -> None:
    written = record.with_suffix(".new")
    child = Child(root, ["--maxfail=1000", file], [Watch(root, modules, written)], ENOUGH)
    while (outcome := child.outcome()) is None:
        time.sleep(0.05)
    if outcome not in (0, 1, 5) or not written.exists():
        raise SystemExit(f"{file} can't be watched: pytest ended with {outcome}")
    written.rename(record)


def _test_files(root: Path, named: Sequence[str]) -> list[Path]:
    every = [*root.glob("packages/*/tests/**/test_*.py"), *root.glob("tests/**/test_*.py")]
    return sorted(
        each
        for each in every
        if not named or any(str(each.relative_to(root)).startswith(name) for name in named)
    )


def _digest(root: Path, files: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for each in sorted(files):
        whole.update(str(each.relative_to(root)).encode() + b"\0" + each.read_bytes() + b"\0")
    return whole.hexdigest()
