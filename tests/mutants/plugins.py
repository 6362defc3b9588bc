"""Plugins of pytest: one that watches which tests reach which lines, and one that runs chosen tests in an order."""

from __future__ import annotations

import faulthandler
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from coverage import Coverage


class Watch:
    """Writes to a file how long each test takes, whether it passes, and the lines of the modules it reaches."""

    def __init__(self, root: Path, modules: Sequence[Path], to: Path) -> None:
        self._root, self._modules, self._to = root, modules, to
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._coverage = Coverage(
            data_file=None,
            config_file=False,
            include=[str(root / each) for each in modules],
            messages=False,
        )

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        result = yield
        self._coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, int]] = defaultdict(dict)
        for module in self._modules:
            for line, contexts in data.contexts_by_lineno(str(self._root / module)).items():
                for test in filter(None, contexts):
                    lines[test][str(module)] = lines[test].get(str(module), 0) | 1 << line
        told = {
            test: {
                "seconds": round(seconds, 4),
                "failed": test in self._failed,
                "lines": {path: hex(bits) for path, bits in lines[test].items()},
            }
            for test, seconds in self._seconds.items()
        }
        self._to.write_text(json.dumps(told), encoding="utf-8")


class Chosen:
    """Runs these tests in this order, each for so many seconds at most, and writes down the first that fails."""

    def __init__(self, tests: Sequence[str], seconds: Sequence[float], to: Path) -> None:
        self._limits = dict(zip(tests, seconds, strict=True))
        self._order = {test: position for position, test in enumerate(tests)}
        self._to = to

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (each for each in items if each.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._to.write_text(item.nodeid, encoding="utf-8")  # a test that hangs or crashes is known too
        # A thread of C ends the process: a loop without end in Python does not keep it from that.
        faulthandler.dump_traceback_later(self._limits[item.nodeid], exit=True)
        result = yield
        faulthandler.cancel_dump_traceback_later()
        return result
