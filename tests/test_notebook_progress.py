"""Progress in a notebook that a real kernel runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CELL = """
import asyncio
import cascade as cs

@cs.task(name="nap <b>")
async def nap(index):
    await asyncio.sleep(0.02)
    print("awake", index)
    return index

value = await cs.arun(nap.map(index=range(40), max_concurrency=2), progress=True)
print(len(value))
"""


def test_a_cell_shows_the_progress_of_its_run(tmp_path: Path) -> None:
    """The cell has one display, which ends as the summary; what tasks print stands beside it."""
    cell: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [{**cell, "id": "cell-0", "source": CELL.strip()}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "progress.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    own = {name: str(tmp_path / name) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")}
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--execute", "--to=notebook", "--output=ran", str(path)],
        env={**os.environ, **own, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran = json.loads((tmp_path / "ran.ipynb").read_text(encoding="utf-8"))
    outputs: list[dict[str, Any]] = ran["cells"][0]["outputs"]
    (shown,) = [each["data"] for each in outputs if each["output_type"] == "display_data"]
    plain, html = ("".join(shown[kind]) for kind in ("text/plain", "text/html"))
    assert "succeeded after" in plain
    assert "40 calls" in plain
    assert "nap &lt;b&gt;" in html
    assert "<b>" not in html
    streams = {each["name"]: "".join(each["text"]) for each in outputs if each["output_type"] == "stream"}
    assert "stderr" not in streams
    assert "awake 7\n" in "".join(
        "".join(each["text"]) for each in outputs if each["output_type"] == "stream"
    )
