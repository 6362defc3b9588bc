"""Claims about files that are edited while their code runs, and about where code is installed."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import linecache
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.made_modules import Loader

from cascade.spec.code import code_version

HELPERS = """
class Rates:
    vat: int = 20

def g(x):
    return x + 1
"""
MADE = """
import helpers

@cs.task
def f(x):
    return helpers.g(x), helpers.Rates
"""


def file_of(module: ModuleType) -> Path:
    return Path(str(module.__file__))


@pytest.mark.parametrize("which", ["made", "helpers"])
@pytest.mark.parametrize(
    "above",
    ["# a comment\n", "\n\n\n", "def other(x):\n    return x\n", '"""A docstring."""\n', "import os\n"],
)
def test_lines_above_a_task_do_not_count(load: Loader, which: str, above: str) -> None:
    """What is added above a task, or above what it calls, between import and first use changes no version."""
    expected = code_version(load(MADE, HELPERS).f)
    made = load(MADE, HELPERS)
    file = file_of(sys.modules[which])
    file.write_text(above + file.read_text())
    assert code_version(made.f) == expected


@pytest.mark.parametrize(
    ("which", "before", "after"), [("helpers", "x + 1", "x + 2"), ("helpers", "20", "25")]
)
def test_a_later_edit_is_not_taken_for_the_code_that_runs(
    load: Loader, which: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit after the import has no say before the module is loaded again; then it has."""
    expected = code_version(load(MADE, HELPERS).f)
    made = load(MADE, HELPERS)
    file = file_of(sys.modules[which])
    file.write_text(file.read_text().replace(before, after) + "\n# longer\n")
    assert code_version(made.f) == expected
    monkeypatch.syspath_prepend(str(file.parent))
    importlib.reload(sys.modules[which])
    assert code_version(importlib.reload(made).f) == code_version(
        load(MADE, HELPERS.replace(before, after)).f
    )
    assert code_version(made.f) != expected


def test_a_file_that_is_gone_was_read(load: Loader) -> None:
    """The text was taken when the task was made."""
    expected = code_version(load(MADE, HELPERS).f)
    made = load(MADE, HELPERS)
    file_of(made).unlink()
    file_of(sys.modules["helpers"]).unlink()
    assert code_version(made.f) == expected


def test_what_is_loaded_after_the_task_is_found_where_it_moved(load: Loader, tmp_path: Path) -> None:
    """A function of a module that was loaded later is found by what it does, wherever in its file it stands by now."""
    source = "calls = cs.task(lambda g: cs.task(lambda x: g(x)))"
    text = "def late(x):\n    return x + 1\n\ndef other(x):\n    return x\n"
    versions = set()
    for moved in (False, True):
        made = load(source)
        (tmp_path / "late.py").write_text(text)
        sys.path.insert(0, str(tmp_path))
        late: Any = importlib.import_module("late")
        sys.path.pop(0)
        if moved:
            (tmp_path / "late.py").write_text("# more\n" + text)
        versions.add(code_version(made.calls.func(late.late)))
        del sys.modules["late"]
    assert len(versions) == 1


def test_a_file_is_read_once_and_parsed_when_a_version_is_asked_for(
    load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making many tasks reads their file once, and parses nothing."""
    opened: list[str] = []
    original = builtins.open

    def counting(file: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(str(file))
        return original(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", counting)
    monkeypatch.setattr("ast.parse", None)
    made = load("\n".join(f"@cs.task\ndef f{n}(x): return x" for n in range(100)))
    assert opened.count(str(made.__file__)) == 1


def test_a_checkout_and_a_wheel_have_the_same_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package of a task is its own code, wherever it is installed; what lies beside it is not."""
    versions = []
    for place in ("checkout/src", "lib/site-packages"):
        folder = tmp_path / place / "shop"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("from shop.rates import VAT\n")
        (folder / "rates.py").write_text(
            "from pathlib import Path\nVAT = 20\nDATA = Path(__file__).parent / 'a.csv'\n"
        )
        (folder / "tasks.py").write_text(
            "import cascade as cs, shop\nfrom .rates import DATA\n@cs.task\n"
            "def f(x): return x + shop.VAT, DATA, __name__, __file__\n"
        )
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder.parent))
            versions.append(code_version(importlib.import_module("shop.tasks").f))
        for name in ("shop", "shop.rates", "shop.tasks"):
            del sys.modules[name]
    assert versions[0] == versions[1]


def test_a_cell_of_a_notebook_has_a_version(load: Loader) -> None:
    """Text that never was in a file but is known to Python counts as text."""
    source = "import cascade as cs\n@cs.task\ndef f(x):\n    return x + 1\n"
    name = "<ipython-input-1-0123456789ab>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(source, name, "exec", dont_inherit=True), names)
        version = code_version(names["f"])
    finally:
        del linecache.cache[name]
    assert version == code_version(load("@cs.task\ndef f(x):\n    return x + 1\n").f)


class Program:
    """A random module: functions, constants and classes that name others, of which `f` reaches some."""

    def __init__(self, source: random.Random) -> None:
        self.kinds = [source.choice(("function", "constant", "class", "field", "task")) for _ in range(8)]
        self.numbers = [source.randrange(100) for _ in self.kinds]
        self.names = [
            sorted(source.sample(range(at + 1, 8), min(source.randrange(3), 7 - at))) for at in range(8)
        ]

    def reached(self) -> set[int]:
        """Return the members that `f` names, and that these name."""
        found, pending = {0}, [0]
        while pending:
            at = pending.pop()
            if self.kinds[at] != "constant":
                pending += set(self.names[at]) - found
                found |= set(self.names[at])
        return found

    def text(self, source: random.Random) -> str:
        """Return the module, laid out at random, its members in any order that Python allows."""
        parts = [self._part(at, source) for at in range(8)]
        noise = ["# a comment\n", "\n\n", "def unused(): return 5\n", "OTHER = 7\n"]
        laid = [part for each in reversed(parts) for part in (source.choice(noise), each)]
        return "".join(laid) + "f = cs.task(lambda x: m0)\n"

    def _part(self, at: int, source: random.Random) -> str:
        number, names = self.numbers[at], ", ".join([f"m{each}" for each in self.names[at]] or ["None"])
        doc = source.choice(["", "'Doc.'; ", "'Another.'; "])
        match self.kinds[at]:
            case "function":
                return f"def m{at}(x):\n    {doc}return x + {number}, {names}\n"
            case "task":
                return f"@cs.task(retry={source.randrange(3)})\ndef m{at}(x): {doc}return x + {number}, {names}\n"
            case "constant":
                return f"m{at} = (1, {number})\n"
            case "class":
                return f"class m{at}:\n    def get(self):\n        {doc}return {number}, {names}\n"
        return f"class m{at}(NamedTuple):\n    n: int = {number}\n    def get(self): return {names}\n"


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), edited=st.none() | st.integers(0, 7))
def test_random_edits_count_if_they_are_reached(load_many: Loader, seed: int, edited: int | None) -> None:
    """In a random module, an edited number changes the version of a task just if the task reaches it; layout never."""
    source = random.Random(seed)
    program = Program(source)
    one = code_version(load_many(program.text(source)).f)
    if edited is not None:
        program.numbers[edited] += 1
    two = code_version(load_many(program.text(source)).f)
    assert (one != two) is (edited in program.reached())


@pytest.fixture(scope="module")
def load_many(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    """Give a function that makes a module `random_made` of a source, each in a file of its own."""
    folder = tmp_path_factory.mktemp("random")
    numbers = iter(range(1_000_000))

    def load(source: str) -> ModuleType:
        file = folder / f"{next(numbers)}.py"
        file.write_text("import cascade as cs\nfrom typing import NamedTuple\n" + source)
        spec: Any = importlib.util.spec_from_file_location("random_made", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules["random_made"] = module
        try:
            spec.loader.exec_module(module)
            code_version(module.f)
        finally:
            del sys.modules["random_made"]
        return module

    return load
