"""Layout by Graphviz: `dot` places the boxes, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from cascade.graph.drawing.layout.placing import Curve, Ends, Placed, Point, Size

SECONDS = 10.0
"""For how long `dot` may work on one picture."""

_INCH = 72.0


def place_with_dot(sizes: Sequence[Size], arrows: Sequence[Ends]) -> Placed | None:
    """Place boxes as `place_in_layers` does; `None` if `dot` is not installed, fails or takes too long."""
    program = shutil.which("dot")
    if program is None or not sizes:
        return None
    lines = [
        "digraph g {",
        "graph [ranksep=0.75, nodesep=0.35];",
        "edge [arrowhead=none];",
        'node [shape=box, fixedsize=true, label=""];',
    ]
    for number, (width, height) in enumerate(sizes):
        lines.append(f"{number} [width={width / _INCH:.4f}, height={height / _INCH:.4f}];")
    lines += [f"{source} -> {target};" for source, target in arrows if source != target]
    lines.append("}")
    try:
        done = subprocess.run(
            [program, "-Tplain"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _read(done.stdout, len(sizes), arrows)


def _read(text: str, size: int, arrows: Sequence[Ends]) -> Placed:
    """Read the format `plain` of Graphviz: inches, from the bottom up."""
    width = height = 0.0
    centres: list[Point] = [(0.0, 0.0)] * size
    found: dict[Ends, list[Curve]] = {}
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "graph":
            width, height = float(words[1]) * _INCH, float(words[2]) * _INCH
        elif kind == "node":
            centres[int(words[0])] = _point(words[1], words[2], height)
        elif kind == "edge":
            count = int(words[2])
            numbers = words[3 : 3 + 2 * count]
            found.setdefault((int(words[0]), int(words[1])), []).append(
                tuple(_point(x, y, height) for x, y in zip(numbers[::2], numbers[1::2], strict=True))
            )
    curves = [() if source == target else found[source, target].pop(0) for source, target in arrows]
    return Placed(tuple(centres), tuple(curves), (width, height))


def _point(x: str, y: str, height: float) -> Point:
    return float(x) * _INCH, height - float(y) * _INCH
