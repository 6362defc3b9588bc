"""What contends for the locks of runs, in threads and in processes."""

from __future__ import annotations

import os
from pathlib import Path

from cascade.adapters.state.sqlite.sqlite_journal import run_lease


def contend(path: Path, folder: Path, rounds: int) -> None:
    """Take the locks of two runs again and again; a file that is there while one is held is somebody else's."""
    for number in range(rounds):
        name = "ab"[number % 2]
        lease = run_lease(path, name)
        if lease.take() is None:
            mark = folder / name
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            mark.unlink()
            lease.release()
