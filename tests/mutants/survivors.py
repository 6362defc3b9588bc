"""Survivors that no test can kill, or none should: listed in `survivors.toml`, each with its reason."""

from __future__ import annotations

import tomllib
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


def reason_of(file: Path, removed: str, added: str) -> str:
    """Return why a change may survive; "" if it's not listed."""
    for each in listed():
        if file.as_posix().endswith(each.file) and (each.line, each.becomes) == (removed, added):
            return each.reason
    return ""
