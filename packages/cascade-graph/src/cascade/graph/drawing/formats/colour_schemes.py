"""Colour schemes: what all pictures have in light and in dark, and how rules for both are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

FONT = "font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"

LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "faint": "#59636e"}
DARK = {"paper": "#161b22", "ink": "#e6edf3", "faint": "#9ba6b2"}

Colours = Mapping[str, str]


def in_both(rules: Callable[[Colours], str], light: Colours, dark: Colours) -> str:
    """Return the rules with light colours, and with dark ones for who wants these.

    `rules` gets the colours by their names. It writes them as they are, since not every viewer knows variables.
    """
    return f"{rules({**LIGHT, **light})}@media (prefers-color-scheme: dark){{{rules({**DARK, **dark})}}}"
