"""Writes the store of this folder anew, with the code that it is run with: that of commit 0a2c231.

git worktree add old 0a2c231
PYTHONPATH=tests:$(echo old/packages/*/src | tr ' ' ':') python tests/stores_of_rules_2/make_store.py
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import cascade as cs
from stores_of_rules_2 import workflow

RUNS = Path(__file__).parent / "runs.db"


def main() -> None:
    RUNS.unlink(missing_ok=True)
    os.environ[workflow.BREAK] = "yes"
    for name in workflow.targets():
        with contextlib.suppress(ValueError):
            cs.run(workflow.target(name), state=f"sqlite:///{RUNS}", run_id=name)
    for lock in RUNS.parent.glob("*.lock"):
        lock.unlink()


if __name__ == "__main__":
    main()
