"""Claims about what tells a recorded run from another one, from its first call on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys
import cascade as cs

@cs.task
def pay(key=cs.inject("idempotency_key")):
    print(key, flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return key

cs.run(pay(), state=f"sqlite:///{sys.argv[1]}", run_id="order")
"""


def test_a_call_that_was_killed_as_the_first_of_its_run_gets_the_same_key_again(tmp_path: Path) -> None:
    """A run that is killed in its very first call gives that call the same idempotency key when it goes on."""
    script = tmp_path / "flow.py"
    script.write_text(SCRIPT)

    def key(what: str) -> str:
        done = subprocess.run(
            [sys.executable, script, tmp_path / "runs.db", what], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    first = key("die")
    assert len(first) == 32
    assert key("live") == first
