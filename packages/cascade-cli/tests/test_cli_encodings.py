"""What a terminal's encoding can't show is spelt out, whichever way its errors are handled."""

from __future__ import annotations

import io
import sys

import pytest

from cascade.cli.output import ResultFormat, forgiving_output, print_result


@pytest.mark.parametrize(
    ("encoding", "errors", "written"),
    [
        ("utf-8", "strict", b"a\\ud800b\\udcff \xcf\x80\n"),
        ("utf-8", "surrogateescape", b"a\\ud800b\xff \xcf\x80\n"),
        ("cp1252", "surrogateescape", b"a\\ud800b\xff \\u03c0\n"),
        ("cp1252", "strict", b"a\\ud800b\\udcff \\u03c0\n"),
        ("cp1252", "replace", b"a?b? ?\n"),
    ],
)
def test_no_character_of_a_result_is_an_error(
    monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str, written: bytes
) -> None:
    """Lone surrogates and characters that an encoding lacks are printed, also under the C locale's handling."""
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    with forgiving_output():
        print_result("a\ud800b\udcff π", ResultFormat.TEXT)
    stdout.flush()
    assert raw.getvalue() == written
    assert stdout.errors == errors
