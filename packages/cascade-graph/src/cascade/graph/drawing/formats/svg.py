"""SVG: a sketch as one picture in a file, in light and dark, with a legend of what occurs in it.

The user's text stands in text elements and titles only, escaped. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from cascade.graph.drawing.formats.outlines import outline
from cascade.graph.drawing.formats.svg_style import ARROW_HEADS, STYLE, line_height, text_width
from cascade.graph.drawing.labels import cut, escape_xml, one_line, short_time
from cascade.graph.drawing.layout.placing import Curve, Ends, Placed, Point, Size
from cascade.graph.drawing.sketches import Box, Line, Shape, Sketch, Status
from cascade.spec.late_dataclasses import dataclass

Place = Callable[[list[Size], list[Ends]], Placed]
"""Places boxes of some sizes, with arrows between them."""

LONGEST = 28
"""A label of more characters is cut; the whole of it is in the title, which a pointer shows."""

MARGIN = 16.0
_PADDING = 14.0
_LEAST = 44.0


def to_svg(sketch: Sketch, place: Place, title: str = "") -> str:
    """Return a sketch as SVG. `place` decides where the boxes are."""
    drawn = _draw(sketch, place)
    legend = [*_legend(sketch)]
    legend_width = max((26 + text_width(text) for _, text in legend), default=0.0)
    width = max(drawn.size[0], legend_width) + 2 * MARGIN
    top = drawn.size[1] + 2 * MARGIN
    height = top + len(legend) * line_height + (MARGIN if legend else 0)
    left = MARGIN + max(0.0, (width - 2 * MARGIN - drawn.size[0]) / 2)
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box} class="cs-picture">',
        f"<title>{escape_xml(one_line(title))}</title>" if title else "",
        f"<style>{STYLE}</style>",
        f"<defs>{ARROW_HEADS}</defs>",
        '<rect class="cs-paper" width="100%" height="100%"/>',
        f'<g class="cs-drawing" transform="translate({left:.1f} {MARGIN:.1f})">',
        *drawn.lines,
        "</g>",
    ]
    for row, (sign, text) in enumerate(legend):
        y = top + row * line_height
        lines.append(
            f'<g transform="translate({MARGIN:.0f} {y:.1f})">{sign}'
            f'<text class="cs-small" x="26" y="4">{escape_xml(text)}</text></g>'
        )
    lines.append("</svg>")
    return "\n".join(filter(None, lines)) + "\n"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The elements of a sketch, and how much room they take."""

    lines: list[str]
    size: Size


def _draw(sketch: Sketch, place: Place) -> _Drawn:
    """Draw a sketch, those inside its boxes first."""
    # Boxes hold boxes one level deep: what an item of a map runs has no map with a picture of its own in it.
    inner = [None if box.inner is None else _draw(box.inner, place) for box in sketch.boxes]
    sizes = [_size_of(box, within) for box, within in zip(sketch.boxes, inner, strict=True)]
    placed = place(sizes, [(arrow.source, arrow.target) for arrow in sketch.arrows])
    lines = [*_arrows(sketch, placed, sizes)]
    for box, within, centre, size in zip(sketch.boxes, inner, placed.centres, sizes, strict=True):
        lines += _box(box, within, centre, size)
    loops = any(arrow.source == arrow.target for arrow in sketch.arrows)
    return _Drawn(lines, (placed.size[0] + (30.0 if loops else 0.0), placed.size[1]))


def _size_of(box: Box, inner: _Drawn | None) -> Size:
    texts = [text_width(_label(box)), *(text_width(note, small=True) for note in _notes(box))]
    width = max(_LEAST, max(texts) + 2 * _PADDING)
    height = 16 + line_height * (1 + len(_notes(box)))
    if box.shape in (Shape.ROUTER, Shape.POTENTIAL):
        width += 2 * _PADDING  # their corners are cut off
    if inner is not None:
        width, height = max(width, inner.size[0] + 2 * _PADDING), height + inner.size[1] + _PADDING
    return width, height


def _label(box: Box) -> str:
    label = cut(one_line(box.label), LONGEST)
    return f"{label} \N{MULTIPLICATION SIGN} {box.count:,}" if box.count > 1 else label


def _notes(box: Box) -> list[str]:
    notes = [cut(one_line(note), LONGEST) for note in box.notes]
    if box.marks:
        counts = Counter(mark.status for mark in box.marks)
        if box.count > 1:
            notes += [f"{count:,} {status}" for status, count in counts.items()]
        else:
            notes += list(counts)
        seconds = [mark.seconds for mark in box.marks if mark.seconds is not None]
        if seconds:
            notes[-1] += f", {short_time(sum(seconds))}"
    return notes


def _box(box: Box, inner: _Drawn | None, centre: Point, size: Size) -> Iterator[str]:
    (x, y), (width, height) = centre, size
    status = _worst(box)
    css = f"cs-box cs-{box.shape.value}" + (f" cs-{status.name.lower()}" if status else "")
    yield f'<g class="{css}" transform="translate({x - width / 2:.1f} {y - height / 2:.1f})">'
    yield f"<title>{escape_xml(one_line(box.label))}</title>"
    yield outline(box.shape, size, box.count > 1)
    top = 8 + line_height * 0.75
    for row, text in enumerate((_label(box), *_notes(box))):
        kind = "cs-inside cs-small" if row else "cs-inside"
        yield f'<text class="{kind}" x="{width / 2:.1f}" y="{top + row * line_height:.1f}">{escape_xml(text)}</text>'
    if inner is not None:
        left, below = (width - inner.size[0]) / 2, height - inner.size[1] - _PADDING
        yield f'<g transform="translate({left:.1f} {below:.1f})">'
        yield from inner.lines
        yield "</g>"
    yield "</g>"


def _worst(box: Box) -> Status | None:
    """Return the status that a box is coloured by: of many nodes the one that most wants to be seen."""
    found = {mark.status for mark in box.marks}
    return next((status for status in _SEEN_FIRST if status in found), None)


def _arrows(sketch: Sketch, placed: Placed, sizes: list[Size]) -> Iterator[str]:
    for number, arrow in enumerate(sketch.arrows):
        caption = cut(one_line(arrow.label or _WORDS.get(arrow.line, "")), LONGEST)
        if arrow.count > 1:
            caption = f"{caption} \N{MULTIPLICATION SIGN} {arrow.count:,}".strip()
        if arrow.source == arrow.target:
            x, y = placed.centres[arrow.source]
            right = x + sizes[arrow.source][0] / 2
            bend = f"{right + 30:.1f} {y - 18:.1f} {right + 30:.1f} {y + 18:.1f}"
            path = f"M{right:.1f} {y - 8:.1f}C{bend} {right + 3:.1f} {y + 8:.1f}"
            at = (right + 24, y - 14)
        else:
            path, at = _path(placed.curves[number]), _beside(placed.curves[number])
        yield f'<path class="cs-arrow cs-{arrow.line.name.lower()}" d="{path}"/>'
        if caption:
            yield f'<text class="cs-small cs-caption" x="{at[0]:.1f}" y="{at[1]:.1f}">{escape_xml(caption)}</text>'


def _path(curve: Curve) -> str:
    (x, y), *rest = curve
    return f"M{x:.1f} {y:.1f}C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)


def _beside(curve: Curve) -> Point:
    """Return where the caption of an arrow stands: beside the last piece of its way that has room for it."""
    pieces = [curve[each : each + 4] for each in range(0, len(curve) - 1, 3)]
    roomy = [piece for piece in pieces if abs(piece[3][1] - piece[0][1]) > line_height]
    piece = roomy[-1] if roomy else pieces[-1]
    weights = (0.064, 0.288, 0.432, 0.216)  # of the points of a cubic curve, at 0.6 of its way
    x, y = (
        sum(weight * point[axis] for weight, point in zip(weights, piece, strict=True)) for axis in (0, 1)
    )
    return x + 4, y


def _legend(sketch: Sketch) -> Iterator[tuple[str, str]]:
    """Give a sign and its meaning for each special thing that occurs."""
    shapes, lines, statuses = sketch.shapes(), sketch.lines(), sketch.statuses()
    for shape, meaning in _MEANINGS.items():
        if shape in shapes:
            # The sign of a map has another one behind it.
            sign = outline(shape, (16.0, 8.0) if shape is Shape.MAP else (20.0, 12.0), stacked=False)
            yield f'<g class="cs-box cs-{shape.value}" transform="translate(0 -6)">{sign}</g>', meaning
    for line, meaning in _LINE_MEANINGS.items():
        if line in lines:
            yield f'<path class="cs-arrow cs-{line.name.lower()}" d="M0 0H20"/>', meaning
    for status in Status:
        if status in statuses:
            sign = outline(Shape.TASK, (20.0, 12.0), stacked=False)
            yield (
                f'<g class="cs-box cs-{status.name.lower()}" transform="translate(0 -6)">{sign}</g>',
                status.value,
            )
    if sketch.folded:
        yield "", f"{sketch.folded:,} nodes are folded into others of their name"


_WORDS = {Line.CONDITION: "if", Line.ORDER: "then"}

_MEANINGS = {
    Shape.MAP: "map: one call for each item",
    Shape.INPUT: "input from outside",
    Shape.ROUTER: "router: chooses one of its routes",
    Shape.INTERNAL: "gathers or hands on values",
    Shape.POTENTIAL: "task that a call may go on with",
}

_LINE_MEANINGS = {
    Line.CONDITION: "runs only if the value is true",
    Line.AMOUNT: "how much of a resource",
    Line.ORDER: "order: runs after",
    Line.ROUTE: "runs only if it is chosen",
    Line.TAIL_CALL: "tail call: may return a call of",
}

_SEEN_FIRST = (
    Status.FAILED,
    Status.CANCELLED,
    Status.RUNNING,
    Status.WAITING,
    Status.SKIPPED,
    Status.SUCCEEDED,
    Status.CACHED,
)
