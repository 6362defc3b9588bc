"""Notebooks: what Jupyter, marimo and VS Code show of a lazy result.

A picture is drawn by a higher wheel. It declares who draws in the entry-point group `cascade.reprs`; without it the
text is shown. Nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from cascade.spec.errors import CascadeError

TEXT = "text/plain"
"""The media type of text, which every notebook shows."""

GROUP = "cascade.reprs"
"""The entry-point group of what draws: a function from the object to its forms, by media type."""

Bundle = dict[str, str]
"""The forms of one object, by media type. A notebook shows the richest that it knows."""


def bundle_of(shown: object) -> Bundle:
    """Return the forms in which a notebook may show an object: its text, and a picture if one can be drawn.

    Where a tree makes no sense, the text says why there is no picture.
    """
    bundle = {TEXT: repr(shown)}
    for draw in _drawers():
        try:
            bundle.update(draw(shown))
        except CascadeError as error:
            bundle[TEXT] += f"\nno picture: {error}"
    return bundle


@cache
def _drawers() -> tuple[Callable[[object], Mapping[str, str]], ...]:
    """Return what draws, as the installed wheels declare it; looked up at the first notebook cell."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - brings much, and only notebooks need it

    return tuple(point.load() for point in entry_points(group=GROUP))
