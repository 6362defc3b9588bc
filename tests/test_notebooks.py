"""A notebook in a real browser: it is run by a real kernel, and what it shows is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browsers import Browser, open_browser
from support.notebooks import run_notebook

CELLS = (
    """
import cascade as cs

@cs.task
def load(number):
    return number

@cs.task(name="<script>document.title='taken'</script><img src=x onerror=alert(1)>")
def total(numbers):
    return sum(numbers)

@cs.task
def fail(number):
    raise ValueError(number)

target = total(load.map([1, 2, 3]))
target
""",
    "cs.build_graph(target)",
    "cs.plan(target)",
    """
timeline = cs.Timeline()
await cs.arun(target, timeline=timeline)
timeline
""",
    "cs.draw(target, timeline.marks())",
    """
try:
    await cs.arun([fail(1), target], timeline=timeline)
except ValueError:
    pass
timeline.draw_graph()
""",
)
"""The last line of each cell is shown as a picture."""

SETTINGS = (
    "--execute",
    "--to=html",
    # What the exporter itself would load from elsewhere: a renderer of formulas, and one of modules. There are none.
    "--HTMLExporter.mathjax_url=data:text/javascript,",
    "--HTMLExporter.require_js_url=data:text/javascript,",
)


@pytest.fixture(scope="module")
def page_of_notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a notebook whose cells were run by a kernel of this Python."""
    path = tmp_path_factory.mktemp("notebook") / "notebook.ipynb"
    run_notebook(path, CELLS, *SETTINGS)
    return path.with_suffix(".html")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a browser; without one the test is skipped, and CI fails if one was."""
    with open_browser() as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_notebook_shows_pictures(browser: Browser, page_of_notebook: Path, scheme: str) -> None:
    """Each cell shows its picture, the console shows no error, and nothing is asked for elsewhere."""
    with browser.page(page_of_notebook, scheme) as page:
        assert page.title == "notebook"
        assert page.visible(
            *(f":nth-match(.jp-RenderedSVG img, {number})" for number in range(1, len(CELLS) + 1))
        )
        widths = page.numbers(
            "[...document.querySelectorAll('.jp-RenderedSVG img')].map(each => each.naturalWidth)"
        )
        assert len(widths) == len(CELLS)
        assert all(width > 60 for width in widths)
        assert page.errors == []
        assert [each for each in page.requests if not each.startswith("data:")] == [page_of_notebook.as_uri()]
        page.keep(f"notebook-{scheme}")
