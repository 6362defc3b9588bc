"""What the site of the documentation is made and checked with; the site itself is built by `hatch run docs:build`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from check_site import Page, faults_of, page_of
from navigation import parts_of
from plain_docstrings import as_rest
from public_names import address_in_python, public_name_of

import cascade
from cascade import runtime, spec

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.one_python


def faults(folder: Path, body: str) -> list[str]:
    """Return what is wrong with a page of this text, beside a page `other.html` with the anchor `there`."""
    pages: dict[Path, Page] = {}
    for name, text in {"page.html": body, "other.html": '<p id="there"></p>'}.items():
        path = (folder / name).resolve()
        path.write_text(f"<html><body>{text}</body></html>", encoding="utf-8")
        pages[path] = page_of(path)
    return list(faults_of((folder / "page.html").resolve(), pages))


@pytest.mark.parametrize(
    "body",
    [
        '<a href="other.html#there">',
        '<a href="https://docs.python.org/3/library/os.html#os.PathLike">',
        '<h2 id="here"></h2><a href="#here">',
        '<link rel="canonical" href="https://example.org/page.html">',
        '<img src="data:image/png;base64,AA==">',
    ],
)
def test_links_that_lead_somewhere_are_no_faults(body: str, tmp_path: Path) -> None:
    """Files and anchors that are there, addresses of a right form, and what is only told, are all right."""
    assert faults(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('<a href="missing.html">', "links to missing.html, which is not there"),
        ('<a href="other.html#nowhere">', "links to other.html#nowhere, but there is no such anchor"),
        ('<a href="#nowhere">', "links to #nowhere, but there is no such anchor"),
        ('<a href="https://localhost/x">', "has an odd address: https://localhost/x"),
        ('<a href="javascript:alert(1)">', "links to javascript:alert(1)"),
        (
            '<script src="https://cdn.example.org/x.js"></script>',
            "loads https://cdn.example.org/x.js from elsewhere",
        ),
        ('<img src="//example.org/x.png">', "loads //example.org/x.png from elsewhere"),
        ('<img src="missing.svg">', "links to missing.svg, which is not there"),
    ],
)
def test_links_that_lead_nowhere_are_told(body: str, told: str, tmp_path: Path) -> None:
    """A link to nothing, an address of a wrong form, and whatever is loaded from elsewhere, are faults."""
    assert told in faults(tmp_path, body)


def test_the_navigation_is_that_of_the_map() -> None:
    """The pages of a map stand below its headings, each once, where it is linked first."""
    page = "# Map\n\n[a](a.md)\n\n## How\n\n| [b](x/b.md) | [a](a.md) |\n\n## Why\n\n[c](c.md#part) [out](../d.md)\n"
    assert list(parts_of(page)) == [("Map", ["a"]), ("How", ["x/b"])]


def test_a_docstring_becomes_what_sphinx_reads() -> None:
    """Code stays code, public names become links, fields become fields, and stars and bars mean nothing."""
    told = as_rest(
        [
            "Run `target` with `**settings` by *hand*; see `Engine.run`.",
            "",
            "Raises:",
            "    SpecError: If `x` is wrong.",
        ],
        [runtime],
    )
    assert told == [
        r"Run ``target`` with ``**settings`` by \*hand\*; see :py:obj:`Engine.run <cascade.runtime.Engine.run>`.",
        "",
        "",
        ":raises SpecError: If ``x`` is wrong.",
    ]


def test_names_lead_to_where_they_are_shown() -> None:
    """A class leads to its public name, a method to that of its class, and a private name nowhere."""
    assert public_name_of("LazyResult", [spec]) == "cascade.spec.LazyResult"
    assert public_name_of("run", [runtime.Engine, runtime]) == "cascade.runtime.Engine.run"
    assert public_name_of("_close", [runtime.Engine]) is None
    assert public_name_of("nothing", [cascade]) is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("KeyError", "exceptions.html#KeyError"),
        ("collections.abc.Callable", "collections.abc.html#collections.abc.Callable"),
        ("str", "functions.html#str"),
    ],
)
def test_names_of_python_have_an_address(name: str, address: str) -> None:
    """A name of Python leads to its documentation, and nothing is looked up for that."""
    assert address_in_python(name) == f"https://docs.python.org/3/library/{address}"
    assert address_in_python("cascade.spec.Task") is None


def test_the_build_is_strict_and_part_of_ci() -> None:
    """A warning ends the build, the links are checked after it, and `.ci/run` does both."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["envs"]["docs"]
    build, check = hatch["scripts"]["build"]
    assert "--fail-on-warning" in build
    assert check == "python docs/building/check_site.py build/site"
    assert "\nhatch run docs:build\n" in (ROOT / ".ci" / "run").read_text("utf-8")
