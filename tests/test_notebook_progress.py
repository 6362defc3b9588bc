"""Progress in a notebook that a real kernel runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.notebooks import run_notebook

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
    path = tmp_path / "progress.ipynb"
    run_notebook(path, [CELL], "--execute", "--to=notebook", "--output=ran")
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
