"""Notebooks that a kernel of this Python runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run_notebook(path: Path, cells: Sequence[str], *settings: str) -> None:
    """Write a notebook with these cells to `path`, and let nbconvert, with these settings, run and convert it."""
    cell: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [
            {**cell, "id": f"cell-{number}", "source": text.strip()} for number, text in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")
    folders = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
    own = {name: str(path.with_name(name)) for name in folders}
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", *settings, str(path)],
        env={**os.environ, **own, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
