"""Two workers over one store that are killed again and again: a program, since it forks.

A forked worker is there at once, with all that it imports. The program is given the URL of the store, a folder, how
many runs there are and how many charges each has, and how many workers are killed. It fails for what does not hold.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cascade.adapters.store_urls import catalog_from_url
from cascade.cli.commands.main import main as cascade
from cascade.spec.durable import RunStatus
from support import killed_service
from support.stores import all_of, is_postgres, is_redis

SERVICE = Path(killed_service.__file__)
CANARY = "marmalade-tangerine"
SECONDS = 300.0
"""A story that takes longer has got stuck."""


class Worker:
    """A forked process that is a `cascade worker`."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.environ.clear()
            os.environ.update(environment)
            written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(written, 1)
            os.dup2(written, 2)
            cascade(words)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        """Return the exit code, if it has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def send_signal(self, number: int) -> None:
        """Send a signal to it."""
        if self.status is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Fleet:
    """Two workers over one store, which are killed and begun anew, and the ledger of what they charge."""

    def __init__(self, url: str, folder: Path, steps: int) -> None:
        self.url = url
        self.ledger = folder / "ledger"
        self.log = folder / "log"
        self.killed: set[int] = set()
        self.begun = 0
        self.ends = time.monotonic() + SECONDS
        self._workers: list[Worker] = []
        self.environment = {
            **os.environ,
            killed_service.LEDGER: str(self.ledger),
            killed_service.STEPS: str(steps),
            "CASCADE_SECRET_TOKEN": CANARY,
        }

    def begin_runs(self, runs: int) -> None:
        """Let a service begin so many runs, and kill it when it has made the first charge of each."""
        stopped = {**self.environment, killed_service.STOPPED: "1"}
        with self.log.open("ab") as log:
            command = [sys.executable, str(SERVICE), self.url, str(runs)]
            service = subprocess.Popen(command, env=stopped, stdout=log, stderr=log)
        self.wait(lambda: self.charges() >= runs, service)
        self._kill(service)

    def begin_worker(self) -> None:
        """Begin one more worker, which has to come to its work before it may be killed."""
        self.begun += 1
        words = ["worker", str(SERVICE), "--state", self.url, "--poll", "0.1", "--concurrency", "4"]
        self._workers.append(Worker(words, self.environment, self.log))

    def kill_one(self, choice: random.Random) -> None:
        """Kill a worker, and begin another one in its place."""
        self.wait(lambda: self.log.read_bytes().count(b"the worker looks") >= self.begun)
        victim = self._workers.pop(choice.randrange(len(self._workers)))
        self._kill(victim)
        self.begin_worker()

    def charges(self) -> int:
        """Return how many charges were made."""
        return len(self.ledger.read_bytes().splitlines()) if self.ledger.exists() else 0

    def wait(self, is_so: Callable[[], bool], *others: subprocess.Popen[bytes]) -> None:
        """Wait until something is so."""
        while not is_so():
            assert time.monotonic() < self.ends, self.log.read_text()[-3000:]
            ended = [each.poll() for each in self._workers] + [each.poll() for each in others]
            assert set(ended) <= {None}, self.log.read_text()[-3000:]
            time.sleep(0.01)

    def wait_for_charges(self, number: int) -> None:
        """Wait until so many charges were made."""
        self.wait(lambda: self.charges() >= number)

    def end(self) -> None:
        """End the workers in order: the first signal is enough, once they have begun to work."""
        self.wait(lambda: self.log.read_bytes().count(b"the worker looks") >= self.begun)
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait() for worker in self._workers] == [0] * len(self._workers)
        self._workers.clear()

    def stop(self) -> None:
        """Kill whatever is still there."""
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def _kill(self, process: subprocess.Popen[bytes] | Worker) -> None:
        process.kill()
        process.wait()
        self.killed.add(process.pid)
        end_leases(self.url, process.pid)


def end_leases(url: str, pid: int) -> None:
    """Let the leases of a dead process end now, as in a server they do after ten seconds."""
    holder = f" process {pid} on ".encode()
    if is_redis(url):
        import redis

        with redis.Redis.from_url(url) as client:
            for key in client.keys("cascade:state:lease:*"):
                held = client.get(key)
                if held is not None and holder in held:
                    client.delete(key)
    if is_postgres(url):
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE cascade_leases SET until = clock_timestamp() WHERE position(%s::bytea in owner) > 0",
                (holder,),
            )


def check(fleet: Fleet, runs: int, steps: int) -> None:
    """Check that every run has succeeded, and each key was charged once, but for charges whose process was killed."""
    charged: dict[str, list[int]] = defaultdict(list)
    for line in fleet.ledger.read_text().splitlines():
        key, pid, length = line.split()
        assert int(length) == len(CANARY)
        charged[key].append(int(pid))
    assert charged.keys() == {f"order{run}-{step}" for run in range(runs) for step in range(steps)}
    for key, drivers in charged.items():
        assert len(set(drivers)) == len(drivers), f"{key} was charged twice by one process"
        assert set(drivers[:-1]) <= fleet.killed, f"{key} was charged again although its driver lived"
    with closing(catalog_from_url(fleet.url)) as catalog:
        assert {run.status for run in catalog.runs()} == {RunStatus.SUCCEEDED}
        assert len(catalog.runs()) == runs
        assert catalog.recoverable() == []
    secret = CANARY.encode()
    assert secret not in fleet.log.read_bytes()
    stored = all_of(fleet.url)
    assert secret not in stored
    assert b"run-0" in stored


def story(url: str, folder: Path, runs: int, steps: int, kills: int) -> None:
    """Let a service begin runs and die, and two workers go on with them, of which one is killed again and again."""
    choice = random.Random(f"{runs} {steps} {kills}")
    fleet = Fleet(url, folder, steps)
    try:
        fleet.begin_runs(runs)
        fleet.begin_worker()
        fleet.begin_worker()
        total = runs * steps
        for number in range(kills):
            goal = runs + (total - runs) * (number + 1) // (kills + 2) + choice.randrange(8)
            fleet.wait_for_charges(min(goal, total))
            fleet.kill_one(choice)
        fleet.wait(lambda: all_succeeded(url))
        fleet.end()
        check(fleet, runs, steps)
    finally:
        fleet.stop()


def all_succeeded(url: str) -> bool:
    with closing(catalog_from_url(url)) as catalog:
        return all(run.status is RunStatus.SUCCEEDED for run in catalog.runs())


if __name__ == "__main__":
    story(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
