"""Claims about pictures: what `draw` shows, how it is saved, and what notebooks get."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

import cascade as cs
from cascade.graph import (
    Graph,
    Mark,
    MissingRasteriserError,
    Node,
    NodeType,
    Picture,
    Status,
    UnknownFormatError,
    build_graph,
    draw,
)
from cascade.spec import NotLazyError

TIMES = "\N{MULTIPLICATION SIGN}"
SVG = "{http://www.w3.org/2000/svg}"


@cs.task
def load(number: int) -> int:
    return number


@cs.task
def double(x: int) -> int:
    return 2 * x


@cs.task
def add(a: object, b: object = 0) -> object:
    return (a, b)


@cs.task
def is_large(x: int) -> bool:
    return x > 5


@cs.task
def again(left: int) -> object:
    return again(left - 1) if left else finish(left)


@cs.task
def finish(left: int) -> int:
    return left


def per_item(x: int) -> cs.LazyResult[object]:
    doubled = double(x)
    return add(doubled, load(x)).with_retry(2)


class Box(NamedTuple):
    """A box of a picture: its classes, its lines of text, and where it is."""

    kinds: frozenset[str]
    texts: tuple[str, ...]
    left: float
    top: float
    right: float
    bottom: float


def boxes_of(picture: Picture) -> list[Box]:
    """Return the boxes that stand in a picture itself, and not inside another box."""
    groups = ET.fromstring(picture.svg).findall(f"{SVG}g")
    (group,) = [each for each in groups if each.get("class") == "cs-drawing"]
    return [*_boxes_in(group)]


def _boxes_in(group: ET.Element) -> Iterator[Box]:
    for each in group.findall(f"{SVG}g"):
        left, top = map(float, re.findall(r"-?[\d.]+", each.get("transform", "")))
        outline = [*each.findall(f"{SVG}rect"), *each.findall(f"{SVG}polygon")][-1]
        if outline.tag == f"{SVG}rect":
            width, height = float(outline.get("width", "")), float(outline.get("height", ""))
        else:
            numbers = [*map(float, re.findall(r"[\d.]+", outline.get("points", "")))]
            width, height = max(numbers[::2]), max(numbers[1::2])
        texts = tuple(text.text or "" for text in each.findall(f"{SVG}text"))
        yield Box(frozenset(each.get("class", "").split()), texts, left, top, left + width, top + height)


def texts_of(picture: Picture) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def box_named(picture: Picture, name: str) -> Box:
    (found,) = [box for box in boxes_of(picture) if box.texts[0] == name]
    return found


@pytest.fixture(params=["dot", "own"], autouse=True)
def _layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test with the layout of Graphviz, where it is installed, and with our own."""
    if request.param == "own":
        monkeypatch.setenv("PATH", "")


def test_each_call_has_a_box_with_its_name() -> None:
    """A picture has one box for each node, with the name of its task."""
    picture = draw(add(double(load(1)), b=load(2)))
    assert sorted(box.texts[0] for box in boxes_of(picture)) == ["add", "double", "load", "load"]


def test_kinds_have_shapes_and_a_legend_of_their_own() -> None:
    """Inputs, maps, routers, conditions, gatherings and tail calls look different, and the legend explains them."""
    number = load(cs.Param("number", type=int))
    routed = cs.Router(selector=is_large(number), routes={True: double(number), False: load(3)})
    picture = draw(
        add(routed, [double.map(x=[1, 2, 3]), again(1).run_if(is_large(number), otherwise=0)]).after(
            finish(0)
        )
    )
    kinds = {kind for box in boxes_of(picture) for kind in box.kinds}
    assert kinds >= {"cs-task", "cs-map", "cs-input", "cs-router"}
    arrows = {each.get("class") for each in ET.fromstring(picture.svg).iter(f"{SVG}path")}
    assert arrows >= {f"cs-arrow cs-{line}" for line in ("data", "condition", "route", "order", "tail_call")}
    legend = " ".join(texts_of(picture))
    for word in ("map:", "input", "router:", "tail call", "is true", "is chosen", "order:"):
        assert word in legend


def test_tasks_that_only_tail_calls_lead_to_are_potential() -> None:
    """A task that a call may go on with has a box of its own shape."""
    assert "cs-potential" in box_named(draw(again(3)), "finish").kinds


def test_inner_tasks_of_a_map_stand_in_its_box() -> None:
    """What the factory of `cs.map` builds for each item is drawn inside the box of the map."""
    picture = draw(cs.map(per_item, x=[1, 2, 3]))
    (box,) = boxes_of(picture)
    assert box.texts[:2] == ("map", "3 items")
    inner = [text for text in texts_of(picture) if text in ("double", "load", "add")]
    assert sorted(inner) == ["add", "double", "load"]


def test_policies_are_notes() -> None:
    """Policies stand below the name."""
    box = box_named(draw(load(1).with_retry(3).with_cache(cs.ByInputs())), "load")
    assert box.texts[1:] == ("retry 3", "cache")


def test_no_two_boxes_overlap_and_arrows_point_down() -> None:
    """In a picture of 300 nodes no box covers another, and a call stands above the calls that take its value."""
    layer = [cs.task(name=f"read_{place}")(_number)() for place in range(20)]
    for level in range(13):
        layer = [
            cs.task(name=f"step_{level}_{place}")(_number)(layer[place], layer[(7 * place + level) % 20])
            for place in range(20)
        ]
    target = cs.gather(*layer)
    boxes = boxes_of(draw(target))
    assert len(boxes) == 281
    for one, other in combinations(boxes, 2):
        apart = (
            one.right <= other.left
            or other.right <= one.left
            or one.bottom <= other.top
            or other.bottom <= one.top
        )
        assert apart, (one, other)
    by_name = {box.texts[0]: box for box in boxes}
    graph = build_graph(target)
    names = {node.id: node.name for node in graph.nodes}
    for edge in graph.edges:
        assert by_name[names[edge.source]].bottom <= by_name[names[edge.target]].top


def _number(*_: object) -> int:
    return 0


def test_alike_branches_are_folded() -> None:
    """Twenty branches that are alike become one, with their number, and the legend says how many are folded."""
    picture = draw(cs.gather(*[double(load(number)) for number in range(20)]))
    assert sorted(box.texts[0] for box in boxes_of(picture)) == [
        "double \N{MULTIPLICATION SIGN} 20",
        "gather",
        "load \N{MULTIPLICATION SIGN} 20",
    ]
    assert "38 nodes are folded into others of their name" in texts_of(picture)


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_a_very_large_graph_has_a_picture_that_can_be_read(shape: str) -> None:
    """A chain or a fan-out of 20,000 calls is folded to some boxes."""
    target: cs.LazyResult[Any] = load(0)
    if shape == "chain":
        for _ in range(20_000):
            target = double(target)
    else:
        target = cs.gather(*[double(load(number)) for number in range(10_000)])
    assert len(boxes_of(draw(target))) <= 300


def test_a_graph_of_many_names_is_folded_by_layers() -> None:
    """Where no boxes are alike, those of one name in one layer become one."""
    layer: list[cs.LazyResult[Any]] = [load(number) for number in range(40)]
    for _ in range(20):
        layer = [add(layer[place], layer[(place * place) % 40]) for place in range(40)]
    assert len(boxes_of(draw(cs.gather(*layer)))) <= 300


def test_long_labels_are_cut() -> None:
    """A long name is cut in the box; the whole of it is in the box's title."""
    name = "a_name_that_goes_on_and_on_" * 4
    picture = draw(cs.task(name=name)(_number)())
    (box,) = boxes_of(picture)
    assert len(box.texts[0]) == 28
    assert box.texts[0].endswith("…")
    assert name in [title.text for title in ET.fromstring(picture.svg).iter(f"{SVG}title")]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "a & b &lt; &amp;",
    "]]> <!-- -- > <![CDATA[",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "}</style><style>*{display:none}",
    "\ud800",
    "two\nlines",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    """Whatever stands in a name is shown as text: no element comes of it, and no control character is left."""
    picture = draw(Graph([Node("a", name, NodeType.TASK)]))
    root = ET.fromstring(picture.svg)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "circle", "rect", "g", "text",
    }  # fmt: skip
    (box,) = boxes_of(picture)
    expected = " ".join(re.sub("[\x00-\x09\x0b-\x1f\u202e\ud800]", "\ufffd", name).split())
    assert box.texts[0] == expected[:28] or box.texts[0] == f"{expected[:27]}…"
    assert not re.search(r"(?:href|url\((?!#))", picture.html.replace(name, ""))


def test_marks_colour_boxes_and_say_how_calls_ended() -> None:
    """After a run, each box says how its call ended and how long it took."""
    marks = {"n0": Mark(Status.FAILED, 1.25), "n1": Mark(Status.SUCCEEDED, 0.0021)}
    picture = draw(double(load(1)), marks)
    failed, succeeded = box_named(picture, "double"), box_named(picture, "load")
    assert failed.texts[1] == "failed, 1.25 s"
    assert "cs-failed" in failed.kinds
    assert succeeded.texts[1] == "succeeded, 2.1 ms"
    assert "cs-succeeded" in succeeded.kinds


def test_a_picture_is_made_for_light_and_dark() -> None:
    """A picture has colours for both schemes, and a ground of its own."""
    svg = draw(load(1)).svg
    assert "@media (prefers-color-scheme: dark)" in svg
    assert 'class="cs-paper"' in svg


def test_words_can_be_read_on_every_colour() -> None:
    """In both colour schemes the words in a box have a contrast of at least 4.5 to its colour, as WCAG 2 asks for."""
    svg = draw(load(1)).svg
    light, _, dark = svg.partition("@media")
    boxes = ("running", "succeeded", "cached", "skipped", "failed", "cancelled")
    for rules in (light, dark):
        words = [_colour(rules, ".cs-picture text"), _colour(rules, ".cs-picture .cs-inside.cs-small")]
        grounds = [_colour(rules, f".cs-{name} > .cs-outline") for name in boxes]
        grounds += [_colour(rules, ".cs-outline"), _colour(rules, ".cs-task .cs-outline,.cs-map .cs-outline")]
        assert all(_contrast(word, ground) >= 4.5 for word in words for ground in grounds)


def _colour(rules: str, selector: str) -> str:
    found = re.findall(re.escape(selector) + r"\{[^}]*fill:#([0-9a-f]{6})", rules)
    return str(found[-1])


def _contrast(one: str, other: str) -> float:
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_without_dot_a_picture_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`use_dot=False` gives the same picture, whether Graphviz is installed or not."""
    target = add(double(load(1)), b=load(2))
    picture = draw(target, use_dot=False)
    monkeypatch.setenv("PATH", "")
    assert picture.svg == draw(target).svg == draw(target, use_dot=False).svg


def test_what_stands_behind_a_box_hides_no_arrow_head() -> None:
    """The box of a map has another one behind it, below its upper edge, to which arrows lead."""
    picture = draw(double.map(load(1)))
    root = ET.fromstring(picture.svg)
    rects = [rect for rect in root.iter(f"{SVG}rect") if rect.get("y")]
    assert rects
    assert all(float(rect.get("y", "")) > 0 for rect in rects)


def test_save_takes_the_format_from_the_suffix(tmp_path: Path) -> None:
    """`save` writes SVG, PNG or HTML by the suffix, and returns the path."""
    picture = draw(double(load(1)))
    assert picture.save(tmp_path / "flow.svg") == tmp_path / "flow.svg"
    assert (tmp_path / "flow.svg").read_text() == picture.svg
    assert picture.save(str(tmp_path / "flow.HTML")).read_text().startswith("<!doctype html>")
    assert picture.save(tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("name", ["flow.gif", "flow", "flow.svgz"])
def test_an_unknown_suffix_is_an_error_that_lists_them(name: str, tmp_path: Path) -> None:
    """A suffix of no known format is refused, and nothing is written."""
    with pytest.raises(UnknownFormatError, match=r"svg.*png.*html"):
        draw(load(1)).save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_png_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the package that makes pixels, the error says what to install, and nothing is written."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingRasteriserError, match=r"cascade-graph\[png\]"):
        draw(load(1)).save(tmp_path / "flow.png")
    assert not [*tmp_path.iterdir()]


def test_notebooks_get_a_picture_and_text() -> None:
    """Lazy results, routers, graphs, plans and pictures show themselves in a notebook as SVG, and as text elsewhere."""
    lazy = double(load(1))
    router = cs.Router(selector=is_large(load(1)), routes={True: lazy, False: load(2)})
    for shown in (
        lazy,
        double.map(x=[1]),
        cs.Param("n"),
        router,
        build_graph(lazy),
        cs.plan(lazy),
        draw(lazy),
    ):
        bundle = shown._repr_mimebundle_()
        assert {"image/svg+xml", "text/plain"} == set(bundle), shown
        ET.fromstring(bundle["image/svg+xml"])
    assert cs.plan(lazy)._repr_mimebundle_()["text/plain"] == str(cs.plan(lazy))


def test_a_tree_that_makes_no_sense_is_shown_as_text_with_the_reason() -> None:
    """A lazy result whose tree can't be built is shown as text, which says why there is no picture."""
    bundle = double({load(1)})._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert "no picture:" in bundle["text/plain"]


def test_what_is_not_lazy_is_refused() -> None:
    """`draw` refuses what is neither a lazy result, nor a graph, nor a plan."""
    with pytest.raises(NotLazyError):
        draw(3)


def test_an_empty_graph_has_an_empty_picture() -> None:
    """A graph without nodes has a picture without boxes."""
    assert ET.fromstring(draw(Graph([])).svg).tag == f"{SVG}svg"
