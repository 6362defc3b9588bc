"""How far the memory that this process has in use rises above what it is: Linux tells the peak since it was asked."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Growth:
    """What came out, once the block has ended."""

    megabytes: float = 0.0
    before: int = 0

    def so_far(self) -> float:
        """Return what has come out up to now."""
        return (_kilobytes("VmHWM") - self.before) / 1024


@contextmanager
def peak_growth() -> Iterator[Growth]:
    """Measure by how much the peak inside the block is above the state before: own pages, and shared ones in use."""
    gc.collect()
    grown = Growth(before=_kilobytes("VmRSS"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    yield grown
    grown.megabytes = grown.so_far()


def _kilobytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)
