"""A real browser for tests: the first of some that starts, driven by playwright. It asks nothing outside this machine.

Playwright keeps an event loop in its thread, so what needs one of its own runs apart, in another thread.
"""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""The browsers that are tried, in this order."""

SCREENSHOTS = "CASCADE_SCREENSHOTS"
"""The environment variable that names the folder in which screenshots are kept."""

_NONE_THERE = f"none of {', '.join(NAMES)} is installed"

NEEDED = "CASCADE_NEEDS_BROWSER"
"""The environment variable that makes a missing browser a failure."""

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def apart(work: Callable[[], T]) -> T:
    """Call a function in a thread of its own, and return its value."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


class Page:
    """One page that is open; `errors` are those of its console, `requests` the addresses that it asked for."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    @property
    def title(self) -> str:
        """The title of the page."""
        return str(self._page.title())

    def open(self, path: Path) -> None:
        """Open a file."""
        self.visit(path.as_uri())

    def visit(self, address: str) -> None:
        """Open an address."""
        self._page.goto(address)

    @property
    def address(self) -> str:
        """The address of the page."""
        return str(self._page.url)

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until an element has some text."""
        self._page.locator(selector, has_text=text).first.wait_for()

    def evaluate(self, script: str) -> Any:
        """Return the value of a script."""
        return self._page.evaluate(script)

    def in_frame(self, frame: str, selector: str) -> str:
        """Wait for an element of a frame, and return its text."""
        found = self._page.frame_locator(frame).locator(selector).first
        found.wait_for()
        return str(found.text_content())

    def tab(self) -> None:
        """Press the tabulator, which moves the focus."""
        self._page.keyboard.press("Tab")

    def visible(self, *selectors: str) -> bool:
        """Tell whether there is something to see at each of these."""
        return all(self._page.locator(selector).first.is_visible() for selector in selectors)

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self._page.locator(selector).inner_text())

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._page.click(selector)

    def press(self, selector: str, key: str) -> None:
        """Press a key on an element."""
        self._page.press(selector, key)

    def fill(self, selector: str, text: str) -> None:
        """Write text into a field."""
        self._page.fill(selector, text)

    def select(self, selector: str, value: str) -> None:
        """Choose from a list."""
        self._page.select_option(selector, value)

    def durations(self, name: str) -> list[float]:
        """Return what the page has measured under a name, in milliseconds."""
        return self.numbers(f"performance.getEntriesByName({name!r}, 'measure').map(each => each.duration)")

    def marks(self, name: str) -> list[float]:
        """Return when the page has set marks of a name, in milliseconds from the beginning of its loading."""
        return self.numbers(f"performance.getEntriesByName({name!r}, 'mark').map(each => each.startTime)")

    def numbers(self, script: str) -> list[float]:
        """Return the numbers that a script gives."""
        return [float(each) for each in self._page.evaluate(script)]

    def keep(self, name: str) -> None:
        """Keep a screenshot, where a folder for them is named."""
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            self._page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


class Browser:
    """A browser that is open."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def page(self, path: Path | str, scheme: str = "light", width: int = 1280) -> Iterator[Page]:
        """Open a file or an address in a page of its own."""
        opened = self._browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
        try:
            page = Page(opened)
            page.visit(path if isinstance(path, str) else path.as_uri())
            yield page
        finally:
            opened.close()


def _leave_out(reason: str) -> None:
    """Skip the test, or fail it where a browser is needed."""
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _threads_joined() -> Iterator[None]:
    """Wait for the threads of playwright's event loop, which end when the loop is collected."""
    before = {*threading.enumerate()}
    try:
        yield
    finally:
        gc.collect()
        for thread in {*threading.enumerate()} - before:
            thread.join(timeout=10)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Open the first browser that starts; a test that wants one is skipped if none does."""
    from playwright import sync_api as playwright

    tried = []
    with _threads_joined(), playwright.sync_playwright() as driver:
        for name in NAMES:
            path = shutil.which(name)
            if path is None:
                continue
            try:
                browser = driver.chromium.launch(executable_path=path, args=_FLAGS)
            except playwright.Error as error:
                tried.append(f"{path}: {str(error).splitlines()[0]}")
                continue
            try:
                yield Browser(browser)
            finally:
                browser.close()
            return
    _leave_out(f"no browser starts: {', '.join(tried) or _NONE_THERE}")
