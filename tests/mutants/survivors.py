"""Survivors that no test can kill, or none should: listed in `survivors.toml`, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that may survive: the lines that go and those that come instead, stripped."""

    file: str
    line: str
    becomes: str
    reason: str


def listed() -> list[Survivor]:
    """Return the list."""
    return [Survivor(**each) for each in tomllib.loads(FILE.read_text(encoding="utf-8")).get("survivor", [])]


def gone(root: Path, paths: Sequence[Path]) -> list[Survivor]:
    """Return those whose line is in none of the modules: somebody has changed it."""
    texts = {
        path.as_posix(): "\n".join(
            line.strip() for line in (root / path).read_text(encoding="utf-8").splitlines()
        )
        for path in paths
    }
    return [
        each
        for each in listed()
        if not any(path.endswith(each.file) and each.line in text for path, text in texts.items())
    ]


def reason_of(file: Path, removed: str, added: str) -> str:
    """Return why a change may survive; "" if it's not listed."""
    for each in listed():
        if file.as_posix().endswith(each.file) and (each.line, each.becomes) == (removed, added):
            return each.reason
    return ""
