"""An engine that was used, and then the process is forked: as a web server does that loads an application once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

PROGRAM = """
import asyncio, os, signal, sys
import cascade as cs

@cs.task
def add_one(x):
    return x + 1

def target(x):
    call = add_one(x)
    return cs.gather(call.with_cache(cs.ByInputs()) if "cache" in settings else call, add_one.map(x=[x, x]))

def run(loop, x):
    record = {"run_id": f"run-{x}"} if "state" in settings else {}
    try:
        return loop.run_until_complete(engine.run(target(x), **record))
    except cs.CascadeError as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    settings = dict(each.split("=", 1) for each in sys.argv[1:])
    engine, loop = cs.Engine(**settings), asyncio.new_event_loop()
    print(run(loop, 1), flush=True)
    child = os.fork()
    if not child:
        signal.alarm(30)  # the default action ends a process that hangs
        own = asyncio.new_event_loop()
        print(run(own, 1 if "cache" in settings else 2), flush=True)
        print(run(own, 3), flush=True)
        own.run_until_complete(engine.close())
        print("closed", flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
    print(run(loop, 4), flush=True)
    loop.run_until_complete(engine.close())
"""


def _forked(folder: Path, **settings: str) -> list[str]:
    script = folder / "forking.py"
    script.write_text(PROGRAM)
    words = [f"{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _value(x: int) -> str:
    return f"[{x + 1}, [{x + 1}, {x + 1}]]"


@pytest.mark.parametrize("executor", ["inline", "threads:2", "processes:2"])
def test_an_engine_goes_on_on_both_sides_of_a_fork(executor: str, tmp_path: Path) -> None:
    """Threads and worker processes are the parent's: the child makes its own, and neither hangs nor ends those."""
    expected = [_value(1), _value(2), _value(3), "closed", "0", _value(4)]
    assert _forked(tmp_path, executor=executor) == expected


@pytest.mark.parametrize("store", ["sqlite", "redis", "postgres"])
@pytest.mark.parametrize("setting", ["state", "cache"])
def test_stores_go_on_on_both_sides_of_a_fork(
    setting: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Connections and the threads that write are the parent's: the child opens its own, and finds what is there."""
    url = f"sqlite:///{tmp_path}/store.db" if store == "sqlite" else request.getfixturevalue(f"{store}_url")
    second = _value(1 if setting == "cache" else 2)
    expected = [_value(1), second, _value(3), "closed", "0", _value(4)]
    assert _forked(tmp_path, executor="threads:2", **{setting: url}) == expected


@pytest.mark.usefixtures("ray_cluster")
def test_ray_is_refused_in_a_forked_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
) -> None:
    """Ray does not work across a fork: the child says so at once, and the parent goes on."""
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster)
    first, second, third, *rest = _forked(tmp_path, executor="ray")
    assert first == _value(1)
    assert second == third
    assert second.startswith("SpecError: this process was forked from one that is connected to Ray; start it")
    assert rest == ["closed", "0", _value(4)]
