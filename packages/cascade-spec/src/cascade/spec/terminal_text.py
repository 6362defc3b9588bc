"""Text for terminals: whatever goes to one passes here, since a terminal obeys some characters."""

from __future__ import annotations


def shown(text: str) -> str:
    """Return a text with all characters spelt out that a terminal would obey or not show.

    Names and errors come from users and stores, and so perhaps from somebody else.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in text
    )


def shown_lines(text: str) -> str:
    """Return a text of several lines, each as `shown` gives it."""
    return "\n".join(map(shown, text.expandtabs().split("\n")))
