"""The scripts of the development environments: `hatch run` reads all of them before it runs one."""

from __future__ import annotations

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def test_no_script_of_hatch_expands_to_itself() -> None:
    """A command whose first word is a script stands for that script: one that leads to itself breaks every command."""
    environments = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]
    for environment in environments.values():
        scripts = environment.get("scripts", {})
        commands = {name: [told] if isinstance(told, str) else told for name, told in scripts.items()}
        calls = {name: {told.split()[0] for told in given} & set(scripts) for name, given in commands.items()}
        for name in scripts:
            reached: set[str] = set()
            left = [name]
            while left:
                new = calls[left.pop()] - reached
                reached |= new
                left += new
            assert name not in reached, f"the script {name!r} expands to itself"
