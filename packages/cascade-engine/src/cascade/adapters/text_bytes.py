"""Any text as bytes, lone surrogates too, and back: for stores whose own text can't hold all of it."""

from __future__ import annotations


def as_bytes(text: str) -> bytes:
    """Return any text as bytes, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def as_text(data: bytes) -> str:
    """Return the text of `as_bytes`; bytes that are no text are replaced."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
