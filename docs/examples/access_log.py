"""Report on the access logs of a web server: what was asked for, what failed, and whom to wake up.

    python docs/examples/access_log.py --help
    cascade run docs/examples/access_log.py --threshold 0.2 --log-level info

The logs in `data/` are three days of an invented shop (`make_access_log.py` makes them). Count for yourself:

    cat docs/examples/data/*.log | wc -l                              # lines
    cat docs/examples/data/*.log | awk '{print $9}' | sort | uniq -c  # requests by status
"""

import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import cascade as cs

REQUEST = re.compile(r'\S+ \S+ \S+ \[[^]]+\] "[A-Z]+ (?P<path>\S+) [^"]+" (?P<status>\d{3}) (\d+|-)')
DATA = Path(__file__).with_name("data")
DATABASE = Path(tempfile.gettempdir(), "access_log.sqlite")
ON_CALL = {"/checkout": "payments", "/search": "search"}
Connect = Callable[[Path], sqlite3.Connection]


@dataclass(frozen=True)
class Log:
    """What some lines say: the path and status of each request, and the paths that the server failed on."""

    lines: int
    requests: list[tuple[str, int]]

    @property
    def failures(self) -> list[str]:
        return [path for path, status in self.requests if status >= 500]

    @property
    def error_rate(self) -> float:
        return len(self.failures) / max(1, len(self.requests))


class Directory:
    """Knows who is on call. It stands for a service on the network that is not always there."""

    calls = 0

    def look_up(self, path: str, outages: int) -> str:
        self.calls += 1
        if self.calls <= outages:
            raise ConnectionError(f"the directory did not answer call {self.calls}")
        return ON_CALL.get(path, "operations")


@cs.resource
def directory() -> Iterator[Directory]:
    """One directory for the whole run."""
    yield Directory()


@cs.resource(atomic=True)
def database() -> Iterator[Connect]:
    """A way to open the database. What a run writes is one transaction: a failure of any task undoes it.

    So it is atomic: nothing counts as written before the transaction is committed.
    """
    with ExitStack() as stack:

        def connect(path: Path) -> sqlite3.Connection:
            connection = stack.enter_context(closing(sqlite3.connect(path)))
            connection.execute("BEGIN")
            return stack.enter_context(connection)  # commits, or rolls back

        yield connect


@cs.task
def find_logs(folder: Path) -> list[Path]:
    logs = sorted(folder.glob("*.log"))
    if not logs:
        raise FileNotFoundError(f"there are no *.log files in {folder}")
    return logs


@cs.task
def parse(path: Path) -> Log:
    lines = path.read_text(encoding="utf-8").splitlines()
    matches = filter(None, map(REQUEST.fullmatch, lines))
    return Log(len(lines), [(match["path"], int(match["status"])) for match in matches])


@cs.task
def join(logs: list[Log]) -> Log:
    return Log(sum(log.lines for log in logs), [request for log in logs for request in log.requests])


@cs.task
def judge(log: Log, threshold: float) -> str:
    return "incident" if log.error_rate > threshold else "quiet"


@cs.task
def reassure(log: Log) -> str:
    return f"all quiet: {log.error_rate:.2%} of the requests failed"


@cs.task
def raise_alarm(log: Log, outages: int, directory: Directory) -> str:
    [(path, failures)] = Counter(log.failures).most_common(1)
    team = directory.look_up(path, outages)
    return f"INCIDENT: {log.error_rate:.2%} of the requests failed, {failures} on {path}; wake up {team}"


@cs.task
def save(log: Log, path: Path, connect: Connect) -> Path:
    connection = connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS requests (status INTEGER PRIMARY KEY, count INTEGER)")
    connection.execute("DELETE FROM requests")
    counts = Counter(status for _, status in log.requests)
    connection.executemany("INSERT INTO requests VALUES (?, ?)", counts.items())
    return path


@cs.task
def report(log: Log, verdict: str, top: int, saved: Path) -> str:
    statuses = sorted(Counter(status for _, status in log.requests).items())
    paths = Counter(path for path, _ in log.requests).most_common(top)
    rows = [f"{count:>6}  {what}" for what, count in [*statuses, *paths]]
    heading = f"{log.lines} lines, {len(log.requests)} requests"
    return "\n".join([heading, *rows, verdict, f"saved to {saved}"])


def workflow() -> cs.LazyResult[str]:
    """Report on the access logs of a web server: what was asked for, what failed, and whom to wake up."""
    folder = cs.Param("logs", DATA, type=Path, description="Folder with the *.log files.")
    top = cs.Param("top", 5, description="How many paths to list.")
    threshold = cs.Param("threshold", 0.02, description="Share of failed requests that makes an incident.")
    outages = cs.Param("outages", 1, description="Calls that the directory does not answer; 3 are too many.")
    path = cs.Param("database", DATABASE, type=Path, description="SQLite file to save the counts in.")

    log = join(parse.map(find_logs(folder)))
    alarm = raise_alarm(log, outages, cs.inject(directory)).with_retry(2, delay=0.05, on=ConnectionError)
    verdict = cs.Router(selector=judge(log, threshold), routes={"incident": alarm, "quiet": reassure(log)})
    return report(log, verdict, top, saved=save(log, path, cs.inject(database)))


if __name__ == "__main__":
    cs.cli(workflow, resources=[directory, database])()
