"""Claims about code versions in caches and recorded runs."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.spec import SourceMissingError


def without_text(**kwargs: Any) -> cs.Task[Any]:
    names: dict[str, Any] = {}
    exec("def typed(x): return x + 1", names)
    return cs.task(**kwargs)(names["typed"])


def test_a_cached_task_without_text_is_refused_by_name() -> None:
    """The error names the task and the remedy and comes out of the run: no key says too little."""
    with pytest.raises(SourceMissingError, match=r"task 'typed' can't be cached or recorded.*version='1'"):
        cs.run(without_text(cache=cs.ByInputs())(1))
    assert cs.run(without_text(cache=cs.ByInputs(), version="1")(1)) == 2
    assert cs.run(without_text(cache=cs.ByInputs(version="1"))(1)) == 2
    assert cs.run(without_text()(1)) == 2


def test_a_recorded_task_without_text_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Such a run could not tell whether it goes on with the same code."""
    ran = []

    @cs.task
    def first() -> int:
        ran.append(1)
        return 1

    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with pytest.raises(SourceMissingError, match="'typed'"):
        cs.run(without_text()(first()), state=url, run_id="r")
    assert not ran
    assert cs.run(without_text(version="1")(first()), state=url, run_id="r") == 2


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., types.ModuleType]:
    """Give a function that makes the module `made` of a text."""

    def make(text: str) -> types.ModuleType:
        file = tmp_path / f"{len(list(tmp_path.glob('made*')))}.made.py"
        file.write_text(text)
        module = types.ModuleType("made")
        module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "made", module)
        exec(compile(text, file, "exec", dont_inherit=True), vars(module))
        return module

    return make


INNER = """
import cascade as cs
calls = []

@cs.task({inner})
def inner(x):
    return x

@cs.task(cache=cs.ByInputs())
def outer(x):
    calls.append(x)
    return inner(x)
"""


@pytest.mark.parametrize("inner", ["version='{}'", "cache=cs.ByInputs(version='{}')"])
def test_the_version_of_an_inner_task_is_part_of_the_key_of_one_that_returns_it(
    module: Callable[..., Any], tmp_path: Path, inner: str
) -> None:
    """A cached task that hands its call on to another one is computed anew when that one's version is another."""
    calls = []
    for version in ("1", "1", "2", "1"):
        made = module(INNER.format(inner=inner.format(version)))
        assert cs.run(made.outer(5), cache=f"sqlite:///{tmp_path / 'cache.db'}") == 5
        calls.append(len(made.calls))
    assert calls == [1, 0, 1, 0]


LOOP = """
import cascade as cs
import helpers_of_made as helpers
@cs.task
def one(): return 1

@cs.task
def check(xs):
    if helpers.fails: raise RuntimeError("stopped")
    return sum(xs)

@cs.task
def step(n, seen): return turn(n)

@cs.task
def turn(n):
    return step(n - 1, check(cs.gather(one(), one()))) if n else helpers.Rates().vat
"""


def test_a_recorded_loop_goes_on_with_the_same_code_and_not_with_an_edited_field(
    module: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded meanwhile is no change of code; a default of a field is."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"

    def made(fails: bool, vat: int) -> Any:
        text = f"from typing import NamedTuple\nfails = []\nclass Rates(NamedTuple):\n    vat: int = {vat}\n"
        helpers = module(text)
        helpers.fails = [1] if fails else []
        monkeypatch.setitem(sys.modules, "helpers_of_made", helpers)
        helpers.__name__ = "helpers_of_made"
        return module(LOOP)

    vars(cs).pop("gather", None)
    with pytest.raises(RuntimeError, match="stopped"):
        cs.run(made(True, 20).turn(3), state=url, run_id="r")
    with pytest.raises(cs.CascadeError, match=r"the code of task 'made\.turn' has changed"):
        cs.run(made(False, 25).turn(3), state=url, run_id="r")
    assert cs.run(made(False, 20).turn(3), state=url, run_id="r") == 20
