"""The pictures of the README: one command makes them, and those that are kept are what it makes."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
MAKER = FOLDER / "make.py"
PICTURES: dict[str, Callable[[], str]] = runpy.run_path(str(MAKER))["PICTURES"]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("path", [None, ""], ids=["as it is", "without dot"])
def test_the_kept_picture_is_what_the_command_makes(
    name: str, path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture is the same with Graphviz and without, and nobody has forgotten to make it again."""
    if path is not None:
        monkeypatch.setenv("PATH", path)
    made = PICTURES[name]()
    assert made == (FOLDER / name).read_text(encoding="utf-8"), "run `hatch run pictures`"
    assert ET.fromstring(made).tag.endswith("svg")


def test_the_readme_shows_all_of_them() -> None:
    """The README shows each picture that the command makes, and the folder has no others."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(docs/pictures/{name})" in readme for name in PICTURES)
    assert {path.name for path in FOLDER.glob("*.svg")} == set(PICTURES)


def test_one_command_makes_them(tmp_path: Path) -> None:
    """`hatch run pictures` runs the script, which writes all of them beside itself."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]["default"][
        "scripts"
    ]
    assert f"python {MAKER.relative_to(ROOT)}" in scripts["pictures"]
    copy = tmp_path / "make.py"
    copy.write_text(MAKER.read_text(encoding="utf-8"), encoding="utf-8")
    runpy.run_path(str(copy), run_name="__main__")
    assert {path.name for path in tmp_path.glob("*.svg")} == set(PICTURES)
