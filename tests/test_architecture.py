"""The page about the code's layout is true: what it names is there, and no room is forgotten.

A name in the page is written without `cascade.`, or without `cascade.runtime.`. A name like `Class.method` in a step of
a path belongs to the module of that step.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PICTURE = PAGE.with_suffix(".svg")
CODE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
PREFIXES = ("cascade.runtime.", "cascade.", "")

text = PAGE.read_text(encoding="utf-8")
words = re.sub(r"\s*\n\s+", " ", text)  # steps of several lines


def found(name: str) -> object | None:
    """Return the module, or what stands in one, that a dotted name leads to; `None` if there is none."""
    for prefix in PREFIXES:
        parts = f"{prefix}{name}".split(".")
        for size in range(len(parts), 0, -1):
            try:
                value: object = importlib.import_module(".".join(parts[:size]))
            except ModuleNotFoundError:
                continue
            for part in parts[size:]:
                value = getattr(value, part, None)
            if value is not None:
                return value
            break
    return None


def module_of(name: str) -> str:
    """Return the module of a callable by its name in the page: without the callable's name, and without its class."""
    return ".".join(part for part in name.split(".")[:-1] if part.islower())


def steps(path: str) -> list[str]:
    return re.findall(r"^\d+\. (.+(?:\n {3,}.+)*)", path, re.MULTILINE)


def paths() -> Iterator[tuple[str, list[str], int]]:
    """Give each path: the text before its end, its steps, and how often it is said to come back."""
    (part,) = re.findall(r"^## Four paths\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    pieces = re.split(r"^Comes back to an earlier file: (\d+) times?\.$", part, flags=re.MULTILINE)
    for before, told in zip(pieces[::2], pieces[1::2], strict=False):
        yield steps(before)[0], steps(before), int(told)


PATHS = [*paths()]


def test_every_name_of_the_page_is_there() -> None:
    """Each dotted name leads to something in the code, and each file that is named exists."""
    spans = [span for span in CODE.findall(text) if span[0] != "@"]
    missing = [
        span
        for span in spans
        if DOTTED.fullmatch(span) and not span[0].isupper() and "import" not in span
        if not span.endswith((".py", ".toml")) and span not in ("cs.Param", "engine.run", "cascade.inputs")
        if found(span) is None
    ]
    assert missing == []
    files = [span for span in spans if span.endswith((".py", ".toml"))]
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_every_room_is_on_the_page() -> None:
    """Each folder of modules below the wheels has its place in the tables of rooms."""
    told = {span.removeprefix("cascade.") for span in CODE.findall(text)}
    rooms = {
        ".".join(folder.parent.relative_to(source / "cascade").parts)
        for source in ROOT.glob("packages/*/src")
        for folder in source.rglob("__init__.py")
    }
    assert rooms - {""} - told == set()


@pytest.mark.parametrize(
    ("first", "made", "told"), PATHS, ids=[module_of(CODE.findall(each[0])[0]) for each in PATHS]
)
def test_a_path_leads_through_the_code(first: str, made: list[str], told: int) -> None:
    """Each step begins with a callable of the code, and the path comes back to a file as often as it says."""
    assert len(PATHS) == 7
    visited: list[str] = []
    returns = 0
    for step in made:
        name, *others = CODE.findall(step)
        assert callable(found(name)), name
        home = module_of(name)
        for other in others:
            if re.fullmatch(r"[A-Z]\w+\.\w+", other) and found(f"{home}.{other}") is None:
                assert any(found(f"{module}.{other}") for module in ELSEWHERE), other
        returns += home in visited
        visited.append(home)
    assert returns == told, visited


ELSEWHERE = ("frames.inbox", "running.making_calls.call_ends", "running.open_frames")
"""Where parts stand that steps of other modules name beside their own."""


def test_the_picture_names_rooms_of_the_code() -> None:
    """Each box of the picture that is no code of the user's has names of modules or rooms."""
    boxes = re.findall(r'<text class="room"[^>]*>([^<]+)</text>', PICTURE.read_text(encoding="utf-8"))
    assert len(boxes) > 10
    assert [name for box in boxes for name in box.split(", ") if found(name) is None] == []


def test_the_rooms_of_the_runtime_are_in_their_order() -> None:
    """The table of the runtime's rooms goes from the ground up, as the import contract has it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == ["cascade.runtime"])
    level = {name: number for number, layer in enumerate(layers) for name in re.findall(r"\w+", layer)}
    rooms = [name for name in re.findall(r"^\| `runtime\.(\w+)` \|", text, re.MULTILINE) if name in level]
    assert len(rooms) > 5
    assert rooms == sorted(rooms, key=lambda room: -level[room])
