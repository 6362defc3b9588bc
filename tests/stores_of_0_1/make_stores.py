"""Writes the stores of this folder anew, with the code that it is run with: that of commit 339ab23, Cascade 0.1.

git worktree add old 339ab23
PYTHONPATH=tests:$(echo old/packages/*/src | tr ' ' ':') python tests/stores_of_0_1/make_stores.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import redis
from support.redis_server import RedisProcess

import cascade as cs
from stores_of_0_1 import workflow

HERE = Path(__file__).parent


def run(name: str, state: str) -> None:
    """Run a workflow that is recorded, in a process of its own, for it may kill itself."""
    code = (
        "import sys; from stores_of_0_1 import workflow as w; import cascade as cs; name, state = sys.argv[1:];"
        "cs.run(w.TARGETS[name](), params=w.PARAMS.get(name, {}), state=state, run_id=name)"
    )
    subprocess.run(
        [sys.executable, "-c", code, name, state],
        env={**os.environ, workflow.DIES: name},
        stderr=subprocess.DEVNULL,
        check=False,
    )


def dump(client: Any) -> dict[str, Any]:
    """Return all keys but those that time out soon, as JSON; the form of a server's own dump depends on its version."""
    keys: dict[str, Any] = {}
    for key in sorted(client.keys("*")):
        kind = client.type(key).decode()
        if b":lease:" in key:
            continue
        value: Any
        if kind == "hash":
            value = {text(name): text(each) for name, each in sorted(client.hgetall(key).items())}
        elif kind == "zset":
            value = [(text(name), score) for name, score in client.zrange(key, 0, -1, withscores=True)]
        else:
            assert kind == "string"
            value = re.sub("process .*", "process 1 on host", text(client.get(key)))
        keys[text(key)] = [kind, value]
    return keys


def text(data: bytes) -> str:
    return data.decode("latin-1")


def main() -> None:
    runs, cache = HERE / "runs.db", HERE / "cache.db"
    runs.unlink(missing_ok=True)
    cache.unlink(missing_ok=True)
    for name in workflow.TARGETS:
        run(name, f"sqlite:///{runs}")
    cs.run(workflow.caching(), cache=f"sqlite:///{cache}")
    for lock in HERE.glob("*.lock"):
        lock.unlink()
    with tempfile.TemporaryDirectory() as folder, RedisProcess(Path(folder)) as server:
        for name in workflow.TARGETS:
            run(name, server.url)
        cs.run(workflow.caching(), cache=server.url)
        (HERE / "redis.json").write_text(json.dumps(dump(redis.Redis.from_url(server.url)), indent=1) + "\n")


if __name__ == "__main__":
    main()
