"""Pairs of sources, equal or different for the code version of a task, by what differs in them.

They stand in the text files beside this one. A row begins with `=== seen: WHAT` or `=== not seen: WHAT`, an example for
the docs and the packages that its pairs need; each pair follows a line `---`. A pair is one text with places
`«before|after»`. Files beside the first, `made.py`, begin with a line `# file: NAME`. The task is `f`; a function `f`
that is none is made one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """What may differ, whether a version sees it, an example for the docs, and pairs; `needs` is what must be there."""

    what: str
    is_seen: bool
    example: str
    needs: tuple[str, ...]
    pairs: tuple[str, ...]


def rows() -> Iterator[Row]:
    """Give the rows of all files."""
    for name in ("functions", "values", "classes"):
        _, *parts = Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").split("\n=== ")
        yield from map(_row, parts)


def _row(text: str) -> Row:
    head, *pairs = text.split("\n---\n")
    title, example, *needs = head.splitlines()
    seen, _, what = title.partition(": ")
    return Row(
        what,
        seen == "seen",
        example.removeprefix("example: "),
        tuple(each.removeprefix("needs: ") for each in needs),
        tuple(pairs),
    )


def sides(pair: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files of both sides of a pair, by name."""
    return _files(_chosen(pair, 0)), _files(_chosen(pair, 1))


def _chosen(pair: str, side: int) -> str:
    first, *others = pair.split("«")
    choices = (each.partition("»") for each in others)
    return first + "".join(choice.split("|")[side] + rest for choice, _, rest in choices)


def _files(text: str) -> dict[str, str]:
    first, *others = text.split("# file: ")
    files = {"made.py": f"import cascade as cs\n{first}\nf = f if isinstance(f, cs.Task) else cs.task(f)\n"}
    for each in others:
        name, _, content = each.partition("\n")
        files[name.strip()] = content
    return files
