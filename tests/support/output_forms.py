"""Forms of output: what markup, text for a terminal, JSON and languages of graphs must keep, whatever is in them."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

FORGED = re.compile(r"^\s*(ERROR|INFO|forged|two|three|four)\b", re.MULTILINE)


class Tags(HTMLParser):
    """Collects the elements of a page, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.add((tag, *sorted(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.add(("a comment",))


def tags_of(markup: str) -> set[tuple[str, ...]]:
    tags = Tags()
    tags.feed(markup)
    return tags.found


ACTING = re.compile(
    "[{}]".format(
        "".join(
            re.escape(each)
            for each in map(chr, range(sys.maxunicode + 1))
            if unicodedata.category(each) in ("Cc", "Cf", "Cs") and each != "\n"
        )
    )
)
"""Characters that would do something to a terminal or a reader, or cannot be seen."""


def check_markup(made: Iterable[str], plain: Iterable[str]) -> None:
    """The elements are those that plain names give, and no character has a meaning of its own."""
    known = set().union(*map(tags_of, plain))
    for text in made:
        assert tags_of(text) <= known
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff]", text
        )
        assert "evil.example" not in re.findall(r"(?:src|href)=\S+", text)


def check_svg(made: Iterable[str], plain: Iterable[str]) -> None:
    """It is XML, and as markup it is sound."""
    made = [*made]
    for text in made:
        ET.fromstring(text)
    check_markup(made, plain)


def check_terminal(made: Iterable[str], plain: Iterable[str]) -> None:
    """Nothing in it moves the cursor, turns the direction of text or begins a line of its own."""
    for text in made:
        assert {*ACTING.findall(text)} == set()
        assert not FORGED.search(text)


def check_inert(made: Iterable[str], plain: Iterable[str]) -> None:
    """Nothing in it moves the cursor or turns the direction of text; it may have lines, as tracebacks do."""
    for text in made:
        assert {*ACTING.findall(text)} == set()


def check_json(made: Iterable[str], plain: Iterable[str]) -> None:
    """It is JSON of ASCII alone, however many lines it has."""
    for text in made:
        assert text.isascii()
        for each in (
            [text] if text.lstrip()[:2] in ("{\n", "[\n") or text.count("\n") < 2 else text.splitlines()
        ):
            json.loads(each)


def check_mermaid(made: Iterable[str], plain: Iterable[str]) -> None:
    """Each line is a node or an edge, with a quoted label of harmless characters."""
    label = r'"(?:[^\W]|[ ,]|#\d+;|<br/>)*"'
    line = re.compile(
        rf"flowchart TD|    n\d+[\[(\{{]+{label}[\])\}}]+|    n\d+ [-.=>ox]+(?:\|{label}\|)? n\d+"
    )
    for text in made:
        assert all(line.fullmatch(each) for each in text.splitlines())


def check_dot(made: Iterable[str], plain: Iterable[str]) -> None:
    """Each line is a node or an edge, with a quoted label in which quotes are escaped."""
    label = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
    line = re.compile(rf"digraph cascade \{{|\}}|    n\d+(?: -> n\d+)? \[label={label}, [\w=, ]+\];")
    for text in made:
        assert all(line.fullmatch(each) for each in text.split("\n")[:-1])
