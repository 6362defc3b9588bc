"""Tables fit the terminal: columns are left out or go on in further lines, and ids stay whole."""

from __future__ import annotations

import pytest

from cascade.cli.tables.text_table import fitted_table, text_table

HEAD = ("RUN", "TASK", "BEGAN", "TOLD")
ROWS = [("a" * 20, "load", "2026-11-28 10:00:00 UTC", "word " * 20), ("b", "mean", "2026-11-28", "short")]


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_is_no_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Columns that may be left out are, then long cells go on below; no word is lost."""
    monkeypatch.setenv("COLUMNS", str(width))
    table = fitted_table(HEAD, ROWS, drop=("BEGAN",), broken=("TOLD", "TASK"))
    assert max(map(len, table.splitlines())) <= width
    assert table.split().count("word") == 20
    assert "a" * 20 in table
    assert "BEGAN" not in table


def test_a_table_that_fits_is_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for all, no column is left out and no cell is broken."""
    monkeypatch.setenv("COLUMNS", "400")
    assert fitted_table(HEAD, ROWS, drop=("BEGAN",), broken=("TOLD",)) == text_table([HEAD, *ROWS])


def test_columns_are_left_out_one_after_another() -> None:
    """The first one named goes first, and no more than need be."""
    head = ("ID", "A", "B", "C")
    rows = [("x" * 30, "a" * 20, "b" * 20, "c" * 20)]
    assert fitted_table(head, rows, drop=("C", "A", "B")).splitlines()[0].split() == ["ID", "A", "B"]
    assert fitted_table(head, rows, drop=("A", "B", "C")).splitlines()[0].split() == ["ID", "B", "C"]
    assert fitted_table(head, [("x" * 90, "a", "b", "c")], drop=("A", "B", "C")).splitlines()[0].split() == [
        "ID"
    ]


def test_wide_characters_count_twice() -> None:
    """A character that takes two columns of a terminal is counted as two."""
    table = fitted_table(("A", "B"), [("x", "\u65e5" * 100)], broken=("B",))
    assert max(len(line) + line.count("\u65e5") for line in table.splitlines()) <= 80
    assert table.count("\u65e5") == 100
