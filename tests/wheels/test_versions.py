"""All wheels have one version and pin each other to it: read from their pyproject.toml, nothing is built."""

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PACKAGES = Path(__file__).parents[2] / "packages"
PROJECTS: list[dict[str, Any]] = [
    tomllib.loads(file.read_text())["project"] for file in sorted(PACKAGES.glob("*/pyproject.toml"))
]


def test_all_wheels_have_one_version() -> None:
    """The four wheels are released together."""
    assert len(PROJECTS) == 4
    assert len({project["version"] for project in PROJECTS}) == 1


def test_wheels_pin_each_other_to_it() -> None:
    """A wheel never meets another version of a wheel below it."""
    requirements = [Requirement(text) for project in PROJECTS for text in project["dependencies"]]
    pins = [
        str(requirement.specifier) for requirement in requirements if requirement.name.startswith("cascade-")
    ]
    assert set(pins) == {f"=={PROJECTS[0]['version']}"}
