"""Files that a command writes about its run: a report, a trace and the timeline itself. They have no values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cascade.cli.common_options import FILE_OPTIONS
from cascade.runtime import Timeline
from cascade.runtime.settings import RunSettings

MOST_CALLS = 1_000_000
"""So many calls are kept for the files of one run; of others they have the figures of the tasks."""


class RunFiles(NamedTuple):
    """The files that are wanted, and the timeline that they are made from; `None` if none is."""

    paths: Mapping[str, Path]
    timeline: Timeline | None

    def write(self) -> None:
        """Write the files; called when the run has ended, however it did.

        Raises:
            OSError: If one can't be written.
        """
        if self.timeline is None or not self.timeline.runs:
            return  # the run has not begun, and an error says why
        for name, path in self.paths.items():
            if name == "report":
                self.timeline.to_html(path)
            elif name == "trace":
                self.timeline.to_chrome_trace(path)
            else:
                path.write_text(json.dumps(self.timeline.to_dict()), encoding="utf-8")


def run_files(given: dict[str, object], settings: RunSettings) -> RunFiles:
    """Take the options for files out of those that are given, and return what they want."""
    paths = {option.name: given.pop(option.name) for option in FILE_OPTIONS if option.name in given}
    wanted = {name: path for name, path in paths.items() if isinstance(path, Path)}
    if not wanted:
        return RunFiles({}, None)
    return RunFiles(wanted, settings.get("timeline") or Timeline(max_calls=MOST_CALLS))
