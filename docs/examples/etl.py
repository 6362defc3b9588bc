"""Load log files into a database, in a run that can be killed at any moment and then goes on.

    python docs/examples/etl.py --state sqlite:///etl.db --run-id monday

Give the same command again after a kill: files that are recorded as loaded are not read again. To see it, let the
process kill itself when it comes to a file:

    ETL_KILL_AT=access-2025-03-08.log python docs/examples/etl.py --state sqlite:///etl.db --run-id monday
"""

import os
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import cascade as cs

DATA = Path(__file__).with_name("data")
WAREHOUSE = Path("warehouse.sqlite")
Rows = list[tuple[int, str, int]]


@cs.task
def find(folder: Path) -> list[str]:
    """List the files. What is recorded are their names, so the run does not depend on new ones when it goes on."""
    names = sorted(path.name for path in folder.glob("*.log"))
    if not names:
        raise FileNotFoundError(f"there are no *.log files in {folder}")
    return names


@cs.task(mode="thread")
def extract(folder: Path, name: str) -> list[tuple[int, str]]:
    """Read the hour and the status of each request; a line that is no request is left out."""
    print(f"reading {name}", file=sys.stderr)
    with (folder / name).open(encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return [(int(words[3].split(":")[1]), words[8]) for words in lines if len(words) == 10]


@cs.task
def transform(requests: list[tuple[int, str]]) -> Rows:
    """Count the requests of each hour and status."""
    return [(hour, status, count) for (hour, status), count in sorted(Counter(requests).items())]


@cs.task(mode="thread")
def load(name: str, rows: Rows, warehouse: Path) -> int:
    """Put the rows of a file in place of those that it has there: to load a file twice does no harm."""
    if os.environ.get("ETL_KILL_AT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    with closing(sqlite3.connect(warehouse, timeout=30)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS requests (file, hour, status, count)")
        connection.execute("DELETE FROM requests WHERE file = ?", (name,))
        connection.executemany("INSERT INTO requests VALUES (?, ?, ?, ?)", [(name, *row) for row in rows])
    return sum(count for *_, count in rows)


@cs.task
def summarise(names: list[str], counts: list[int]) -> str:
    rows = [f"{count:>6}  {name}" for name, count in zip(names, counts, strict=True)]
    return "\n".join([*rows, f"{sum(counts):>6}  in all"])


def workflow() -> cs.LazyResult[str]:
    """Load log files into a database: one row for each file, hour and status."""
    folder = cs.Param("logs", DATA, type=Path, description="Folder with the *.log files.")
    warehouse = cs.Param("warehouse", WAREHOUSE, type=Path, description="SQLite file to load into.")

    def one_file(name: str) -> cs.LazyResult[int]:
        return load(name, transform(extract(folder, name)), warehouse).with_retry(
            3, delay=0.5, on=sqlite3.OperationalError
        )

    names = find(folder)
    return summarise(names, cs.map(one_file, names, max_concurrency=1))


if __name__ == "__main__":
    cs.cli(workflow)()
