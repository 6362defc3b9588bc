"""What mutation testing rests on; the changes themselves are made on demand (`hatch run mutants`)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutants.equivalents import statement_lines, unread
from mutants.modules import MODULES, modules
from mutants.rates import interval
from mutants.survivors import gone, listed

ROOT = Path(__file__).parents[1]


def test_every_pattern_names_modules() -> None:
    """Each pattern of modules to mutate matches a file."""
    assert len(modules(ROOT)) > len(MODULES)


def test_a_pattern_that_matches_no_file() -> None:
    """A pattern that matches no file is an error that names it: a module was moved."""
    with pytest.raises(ValueError, match=r"no module to mutate matches 'packages/\*/gone\.py'"):
        modules(ROOT, ("packages/*/gone.py",))


def test_each_listed_survivor_has_a_reason() -> None:
    """Whoever lists a change that may survive says why."""
    assert all(each.reason and each.line != each.becomes for each in listed())


def test_a_listed_survivor_whose_line_has_changed(tmp_path: Path) -> None:
    """What is listed of lines that are not there is found: `hatch run mutants` tells it."""
    (tmp_path / "empty.py").touch()
    assert gone(tmp_path, [Path("empty.py")]) == listed()


def test_the_interval_of_a_rate() -> None:
    """Wilson's interval holds the rate, lies within 0 and 1, and is narrower for a larger sample."""
    low, high = interval(255, 300)
    assert (round(low, 3), round(high, 3)) == (0.805, 0.886)
    assert interval(10, 10)[1] == pytest.approx(1)
    assert interval(0, 0) == (0, 1)


def test_what_no_test_should_read_is_not_changed() -> None:
    """Annotations, wordings of errors, assertions and lists of names are left out, each with its reason."""
    tree = ast.parse(
        "__slots__ = ('a',)\ndef f(x: int) -> int:\n    assert x\n    raise ValueError('no', x, f'{x + 1}')\n"
    )
    assert sorted((span[0][0], reason.partition(":")[0]) for span, reason in unread(tree)) == [
        (1, "a list of names"),
        (2, "an annotation"),
        (2, "an annotation"),
        (3, "an assertion for type checkers and readers"),
        (4, "the wording of an error"),
        (4, "the wording of an error"),
    ]


def test_a_line_stands_for_its_statement() -> None:
    """A change in any line of a statement is tried with the tests that reach the statement's lines."""
    tree = ast.parse("A = [\n    1,\n]\ndef f(\n    x=2,\n):\n    return (\n        x\n    )\n")
    assert statement_lines(tree, 2) == (range(1, 4), False)
    assert statement_lines(tree, 5) == (range(4, 7), False)
    assert statement_lines(tree, 8) == (range(7, 10), True)
