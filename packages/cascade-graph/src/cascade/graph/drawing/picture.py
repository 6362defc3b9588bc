"""Pictures: a drawing that notebooks show and files keep."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum
from pathlib import Path

from cascade.graph.drawing.labels import escape_xml, one_line
from cascade.graph.graph_errors import MissingRasteriserError, UnknownFormatError
from cascade.spec.inputs.words import words_of

SVG_TYPE = "image/svg+xml"
"""The media type of SVG."""


class FileFormat(StrEnum):
    """The formats of a picture's file, by the suffix of its name."""

    SVG = "svg"
    PNG = "png"
    HTML = "html"


class Picture:
    """A drawing. A notebook shows it; `save` writes it to a file."""

    def __init__(self, svg: str, title: str) -> None:
        """Take the picture as one SVG element, and in a few words what it shows."""
        self.svg = svg
        self.title = title

    @property
    def html(self) -> str:
        """The picture as a page of its own, which opens offline."""
        return _PAGE.format(title=escape_xml(one_line(self.title)), svg=self.svg)

    def png(self, scale: float = 2.0) -> bytes:
        """Return the picture as PNG in the light colours, `scale` pixels for each of the picture's units.

        Raises:
            MissingRasteriserError: If the package that turns SVG into pixels is not installed; it names the extra.
        """
        try:
            from resvg_py import svg_to_bytes  # noqa: PLC0415 - an extra, needed for pixels alone
        except ImportError:
            raise MissingRasteriserError from None
        return bytes(svg_to_bytes(svg_string=self.svg, zoom=scale))

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, in the format of its suffix: `.svg`, `.png` or `.html`. Return the path.

        Raises:
            UnknownFormatError: If the suffix is another one; it lists those that there are.
            MissingRasteriserError: As `png`.
        """
        path = Path(path)
        try:
            kind = FileFormat(path.suffix.removeprefix(".").lower())
        except ValueError:
            raise UnknownFormatError(path.suffix or str(path), words_of(FileFormat)) from None
        path.write_bytes(_WRITERS[kind](self))
        return path

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        """Return what notebooks show: the picture, or its text where there are no pictures."""
        return {SVG_TYPE: self.svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Picture of {one_line(self.title)}>"


_WRITERS: dict[FileFormat, Callable[[Picture], bytes]] = {
    FileFormat.SVG: lambda picture: picture.svg.encode(),
    FileFormat.PNG: lambda picture: picture.png(),
    FileFormat.HTML: lambda picture: picture.html.encode(),
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>body{{margin:0;background:Canvas}}svg{{display:block;margin:auto}}</style>
{svg}</html>
"""
