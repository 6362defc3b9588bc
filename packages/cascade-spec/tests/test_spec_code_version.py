"""Claims about code versions: what changes them, what does not, and that they are the same everywhere."""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cascade as cs
from cascade.spec import ByInputs, CachedCall, PolicyError
from cascade.spec.code import code_of, code_version
from cascade.spec.errors import SourceMissingError

Loader = Callable[..., ModuleType]


@pytest.fixture
def version(load: Loader) -> Callable[..., str]:
    """Give a function that returns the code version of the task `f` of a source."""
    return lambda source, helpers="": code_version(load(source, helpers).f)


PLAIN = """
@cs.task
def f(x):
    return x + 1
"""

SAME = [
    "\n\n# a comment\n@cs.task\ndef f(x):\n    # another\n    return (x  +  1)\n",
    '@cs.task\ndef f(x):\n    """What it does."""\n    return x + 1\n',
    "@cs.task(retry=3, timeout=5, cache=cs.ByInputs(version='2'))\ndef f(x):\n    return x + 1\n",
    "UNUSED = 5\n@cs.task\ndef f(x):\n    return x + 1\n",
    "@cs.task(name='other')\ndef f(\n    x,\n):\n    return x + 0x1\n",
]


@pytest.mark.parametrize("source", SAME)
def test_what_changes_no_value_changes_no_version(version: Callable[..., str], source: str) -> None:
    """Comments, docstrings, layout, the task's own policies and what it does not name are no part of a version."""
    assert version(source) == version(PLAIN)


CONTEXT = """
import math, helpers
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache, partial, wraps
from helpers import helper

LIMIT = {limit}
PAIR = (1, ({pair!r}, None))
COLOURS = Enum("COLOURS", "RED BLUE")

def own(x, step={step}, *, named={named}):
    return deeper(x) + step

def deeper(x):
    return own(x - 1) if x > {deeper} else LIMIT

def wrapping(function):
    @wraps(function)
    def call(*args):
        return function(*args) + {wrapper}
    return call

@lru_cache
def remembered(x):
    return x + {remembered}

@dataclass
class Point:
    x: int = {field}
    def length(self):
        return self.x + {method}
    @property
    def double(self):
        return self.x * {property}
    @staticmethod
    def zero():
        return {static}

class Sub(Point):
    LEVEL = {level}

@cs.task
def other(x):
    return x + {other}

@cs.task
def unseen(x):
    return x + {unseen}

add = partial(helper, {partial})

class Holder:
    def one(self):
        return {held}

holder = Holder()

@cs.task
@wrapping
def f(x, y={default}):
    inner = lambda z: z + {inner}
    def nested(z=PAIR):
        "Doc."
        return remembered(z)
    if x:
        return other(own(x) + helpers.CONSTANT + helpers.deep(x) + add(1) + holder.one())
    text = f"{{x!r:>{{y}}}} {text}"
    return inner(Sub().length()) + math.pi + nested()
"""

HELPERS = """
CONSTANT = {constant!r}
SECOND = {second}
def helper(x):
    return x + {helper}
def deep(x):
    return SECOND
"""

DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(
        ("limit", "pair", "step", "named", "deeper", "wrapper", "remembered", "field", "method"), 1
    ),
    **dict.fromkeys(
        ("property", "static", "level", "other", "partial", "default", "inner", "text", "helper"), 1
    ),
    **dict.fromkeys(("constant", "second", "held", "unseen"), 1),
}


def made_of(**changes: Any) -> tuple[str, str]:
    values = {**DEFAULTS, **changes}
    return CONTEXT.format(**values), HELPERS.format(**values)


@pytest.mark.parametrize("changed", [name for name in DEFAULTS if name != "unseen"])
def test_what_a_task_names_is_part_of_its_version(version: Callable[..., str], changed: str) -> None:
    """Defaults, constants, helpers, their helpers, classes, wrappers and tasks that are named change the version."""
    assert version(*made_of()) != version(*made_of(**{changed: 2}))


def test_what_a_task_does_not_name_is_no_part_of_its_version(version: Callable[..., str]) -> None:
    """Other tasks and functions of the module change nothing."""
    assert version(*made_of()) == version(*made_of(unseen=2))


@pytest.mark.parametrize("name", ["constant", "pair", "default"])
def test_types_of_constants_count(version: Callable[..., str], name: str) -> None:
    """`1`, `True`, `1.0` and `"1"` are other constants, in code and in what it reads."""
    values: list[object] = [1, True, 1.0, "1", b"1", None, -1, 1j]
    shown = [repr(value) if name == "default" else value for value in values]
    assert len({version(*made_of(**{name: value})) for value in shown}) == len(values)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("return x + 1", "return x - 1"),
        ("return x + 1", "return 1 + x"),
        ("return f'{x}'", "return f'{x!r}'"),
        ("return b'(1:x'", "return b'(1:y'"),
        ("return [x, 1]", "return (x, 1)"),
        ("return {**x}", "return {None: x}"),
        ("return 0.0", "return -0.0"),
        ("return (lambda: 1)", "return (lambda: 2)"),
        ("return x[1:]", "return x[:1]"),
        ("return x if x else 1", "return 1 if x else x"),
        ("global y; return 1", "return 1"),
        ("return x.a", "return x.b"),
        ("return g(x=1)", "return g(y=1)"),
        ("return ...", "return None"),
        ("return 'a' 'b'", "return 'a', 'b'"),
    ],
)
def test_other_code_has_another_version(version: Callable[..., str], one: str, two: str) -> None:
    """Whatever changes what the function does changes its version."""
    versions = {version(f"@cs.task\ndef f(x):\n    {body}\n") for body in (one, two)}
    assert len(versions) == 2


def test_closures_are_told_by_their_plain_values(load: Loader) -> None:
    """A task made in a function is told by what it closes over; it is private where that can't be seen."""
    made = load("""
        def make(n, held=None):
            @cs.task
            def inner(x):
                return x + n, held
            return inner

        def deep(function):
            return cs.task(lambda x: function(x))

        top = make(1, [])
    """)
    one, again, two = made.make(1), made.make(1), made.make(2)
    assert code_of(one) == code_of(again) != code_of(two)
    assert not code_of(one).is_private
    assert code_of(made.make(1, [])).is_private
    assert code_of(made.make(1, object())).is_private
    assert code_of(made.deep(lambda x: made)).is_private is False
    assert code_of(made.deep(made.make(1, []).func)).is_private
    found = made.make(1, [])
    found.__qualname__ = "found"
    vars(made)["found"] = found
    assert not code_of(found).is_private


CLOSED_OVER = [
    "client.fetch",
    "{1: client.n}.get",
    "[client].append",
    "functools.partial(print, client)",
    "contextlib.contextmanager(client.fetch)",
    "local_class(client)",
    "local_class([])",
    "local_dataclass(client)",
    "local_dataclass([])",
    "(lambda held=client: held)",
    "(1, client)",
    "client",
    "logging.getLogger('a')",
]


@pytest.mark.parametrize("value", CLOSED_OVER)
def test_what_closes_over_a_state_is_private(load: Loader, value: str) -> None:
    """A task in a function that reaches an object by what it closes over is never taken for another such task."""
    made = load(f"""
        import contextlib, dataclasses, functools, logging

        class Client:
            def __init__(self, n): self.n = n
            def fetch(self): return self.n

        def local_class(held):
            class Local:
                kept = held
            return Local

        def local_dataclass(held):
            @dataclasses.dataclass
            class Local:
                kept: object = dataclasses.field(default_factory=lambda: held)
            return Local

        def make(n):
            client = Client(n)
            value = {value}
            return cs.task(lambda x: (x, value))
    """)
    assert code_of(made.make(1)).is_private


@pytest.mark.parametrize(
    "value",
    [
        "len",
        "math.floor",
        "'a'.join",
        "Client",
        "Client.make",
        "functools.partial(print, n)",
        "Step.ONE",
        "math",
    ],
)
def test_what_closes_over_code_and_constants_is_not_private(load: Loader, value: str) -> None:
    """A task in a function that closes over functions, classes, modules and constants has keys for every process."""
    made = load(f"""
        import enum, functools, math

        class Step(enum.Enum):
            ONE = 1

        class Client:
            @classmethod
            def make(cls): return cls()

        def make(n):
            value = {value}
            return cs.task(lambda x: (x, value, n))
    """)
    assert not code_of(made.make(1)).is_private
    assert code_version(made.make(1)) == code_version(made.make(1)) != code_version(made.make(2))


def test_lambdas_in_one_line_are_told_apart(load: Loader) -> None:
    """Two lambdas in a line have the versions of their own text."""
    made = load("a, b, c = cs.task(lambda x: x), cs.task(lambda x: x + 1), cs.task(lambda x: x)")
    assert code_version(made.a) == code_version(made.c) != code_version(made.b)


def test_a_method_names_members_of_its_class(version: Callable[..., str]) -> None:
    """What a task in a class body takes from `self` is looked up in that class."""
    source = """
    class Worker:
        RATE = {rate}
        def helper(self):
            return {helper}
        def unseen(self):
            return {unseen}
        @cs.task
        def work(self, x):
            return self.helper() * self.RATE
    f = Worker.work
    """
    plain = version(source.format(rate=1, helper=1, unseen=1))
    assert plain == version(source.format(rate=1, helper=1, unseen=2))
    assert len({plain, version(source.format(rate=2, helper=1, unseen=1))}) == 2
    assert len({plain, version(source.format(rate=1, helper=2, unseen=1))}) == 2


def test_installed_packages_are_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is no part of a version, but for the task's own package."""
    versions = set()
    for number, (own, other) in enumerate([(1, 1), (1, 2), (2, 1)]):
        folder = tmp_path / str(number) / "lib" / "site-packages"
        (folder / "made").mkdir(parents=True)
        (folder / "made/__init__.py").write_text(
            "import cascade as cs, helpers\nfrom made.own import near\n"
            "@cs.task\ndef f(x):\n    return near(x) + helpers.far(x)\n"
        )
        (folder / "made/own.py").write_text(f"def near(x):\n    return {own}\n")
        (folder / "helpers.py").write_text(f"def far(x):\n    return {other}\n")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            patch.syspath_prepend(str(folder))
            versions.add((own, code_version(importlib.import_module("made").f)))
        for name in ("made", "made.own", "helpers"):
            del sys.modules[name]
    assert len(versions) == 2


def test_edited_text_is_not_taken_for_the_code_that_runs(load: Loader) -> None:
    """Where a file was edited after it was imported, the version is that of the code that was imported."""
    made = load(PLAIN)
    file = Path(str(made.__file__))
    file.write_text(file.read_text().replace("x + 1", "x + 2"))
    stale = code_version(made.f)
    assert stale != code_version(load(PLAIN.replace("x + 1", "x + 2")).f)
    assert stale == code_version(edited(load, "x + 1", "x + 3"))
    assert stale != code_version(edited(load, "x - 1", "x + 2"))


def edited(load: Loader, before: str, after: str) -> cs.Task[Any]:
    made = load(PLAIN.replace("x + 1", before))
    file = Path(str(made.__file__))
    file.write_text(file.read_text().replace(before, after))
    task: cs.Task[Any] = made.f
    return task


def without_text(source: str, **kwargs: Any) -> cs.Task[Any]:
    """Make a task of a function `f` that stands in no file."""
    names: dict[str, Any] = {"K": 1, "cs": cs}
    exec(source, names)
    return cs.task(**kwargs)(names["f"])


def test_code_without_text_is_refused_by_name() -> None:
    """A function that was made from a string has no version, since an edit of it could not be seen."""
    with pytest.raises(
        SourceMissingError, match=r"task 'f' can't be cached or recorded.*cs.task\(version='1'\)"
    ):
        code_version(without_text("def f(x): return x"))
    with pytest.raises(SourceMissingError, match="the text of 'g', which it calls,"):
        code_version(cs.task(_calls(without_text("def f(x): return x").func)))


def _calls(g: Any) -> Any:
    g.__qualname__ = g.__name__ = "g"

    def calling(x: object) -> object:
        return g(x)

    return calling


def test_a_version_by_hand_stands_for_text_that_is_not_there() -> None:
    """With `version=` such a task has a version, and another one with another text; so has a policy that gives one."""
    one, two = (without_text("def f(x): return x", version=each) for each in "12")
    same = without_text("def f(x): return x + 1", version="1")
    assert code_version(one) == code_version(same) != code_version(two)
    call = CachedCall(without_text("def f(x): return x"), (1,), {})
    with pytest.raises(SourceMissingError):
        ByInputs().key(call)
    assert ByInputs(version="1").key(call) != ByInputs(version="2").key(call)


def test_a_version_is_a_text() -> None:
    """A number is refused where it is written."""
    with pytest.raises(PolicyError, match=r"@cs.task\(version=2\)"):
        cs.task(version=2)  # type: ignore[call-overload]


def test_cycles_end(version: Callable[..., str]) -> None:
    """Functions, tasks and classes that name each other have versions, that tell of all of them."""
    source = """
    def a(x): return b(x), A
    def b(x): return a(x), f, {0}
    class A:
        def m(self): return A, b
    @cs.task
    def f(x): return a(x), f
    """
    assert version(source.format(1)) != version(source.format(2))


def test_deep_expressions_have_versions(version: Callable[..., str]) -> None:
    """An expression 1,000 deep is no trouble."""
    deep = "x" + " + x" * 1000
    assert version(f"@cs.task\ndef f(x):\n    return {deep}\n") != version(
        f"@cs.task\ndef f(x):\n    return {deep} + x\n"
    )


def test_a_version_keeps_no_task_alive() -> None:
    """What is kept of a task goes with it."""
    task = cs.task(lambda x: x)
    code_version(task)
    gone = weakref.ref(task)
    del task
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("func", [len, print, "".join, json.dumps])
def test_whatever_can_be_called_has_a_version(func: Any) -> None:
    """Built-in functions, methods and classes are told by name."""
    assert len(code_version(cs.task(func))) == 64


def test_objects_that_are_called_have_versions(load: Loader) -> None:
    """An object with `__call__` is told by its class; what it holds can't be seen, so that it is private."""
    source = """
    class Adder:
        def __init__(self, n): self.n = n
        def __call__(self, x): return x + self.n + {0}
    def make(): return cs.task(Adder(1))
    """
    one, two = (code_of(load(source.format(n)).make()) for n in (1, 2))
    assert one.is_private
    assert one.version != two.version


INTERPRETERS = [
    found
    for minor in range(11, 16)
    for found in [
        *sorted((Path.home() / ".pyenv/versions").glob(f"3.{minor}.*/bin/python")),
        *map(Path, filter(None, [shutil.which(f"python3.{minor}")])),
    ][:1]
]

EVERYWHERE = '''
import cascade as cs, math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
import datetime, decimal, pathlib, uuid

class Colour(Enum):
    RED = 1

class Pair(NamedTuple):
    a: int
    b: str = "x"

@dataclass
class Point:
    """A point."""
    x: int
    names: frozenset = frozenset({"a", "b"})
    def length(self): return self.x * SCALE

SCALE = 2.5

def helper(x, *rest, k={"a": 1}, **named):
    """Doc."""
    match x:
        case Point(x=1) | [1, *_]: return f"{x=} {x!r:>{SCALE}} {{}}" "text" f"{x:}"
        case {"k": None, **others}: return others
    with open("x") as a, open("y") as b:
        pass
    try:
        x()
    except* ValueError as error:
        raise KeyError from error
    while (n := 10) and not x < n <= -5:
        n -= 1
        assert n, "no"
        continue
    else:
        del n
    for i, *j in x: yield i, *j

@cs.task
async def f(x: int, y: Colour = Colour.RED, *, z: "Pair" = None):
    async def g(a, /, b, *, c=3): return await helper(a)
    global SCALE
    class Local(Point, metaclass=type):
        "Doc"
        field: int = 3
    @helper
    def inner(): nonlocal_ = lambda *a, **k: (yield)
    u = u"text" if x else b"\\x00"
    return {*x, 1}, {**x, "a": [1][::2]}, x @ y, 10**400, 1e400, 3j, ..., not x, SCALE, math.pi, Local, Pair

def calls():
    day = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    yield (1, {"b": {1, 2, "x", None}, "a": (True, 1.0, -0.0)}), {}
    yield (Point(3), Colour.RED), {"z": Pair(1)}
    yield (decimal.Decimal("1.0"), day), {"z": [pathlib.PurePosixPath("a"), uuid.UUID(int=1), pathlib.Path("/x")]}
    yield (float("nan"), 2**300), {"z": "\\ud800 \\U0001f600"}
'''

SHOW = """
import everywhere, sys, json
from cascade.spec import ByInputs, CachedCall
keys = [ByInputs(version="1").key(CachedCall(everywhere.f, args, kwargs)) for args, kwargs in everywhere.calls()]
print(json.dumps([sys.version_info[:2], [[key.digest, key.task, key.parts] for key in keys]]))
"""


def test_keys_are_the_same_in_every_interpreter_and_hash_seed(tmp_path: Path) -> None:
    """Digests, parts and code versions don't depend on the process, its hash seed and its version of Python."""
    (tmp_path / "everywhere.py").write_text(EVERYWHERE)
    (tmp_path / "show.py").write_text(SHOW)
    ours = [str(folder) for folder in cs.__path__]
    paths = [str(tmp_path), *(str(Path(folder).parent) for folder in ours)]
    told = {}
    for python, seed in itertools.product([*INTERPRETERS, Path(sys.executable)], ("0", "1", "424242")):
        shown = subprocess.run(
            [python, "-W", "ignore", str(tmp_path / "show.py")],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        python_version, keys = json.loads(shown.stdout)
        told[tuple(python_version), seed] = json.dumps(keys)
    assert len(set(told.values())) == 1, {key: value[:200] for key, value in told.items()}
