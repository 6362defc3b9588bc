"""A service that begins recorded runs, and workflows whose calls are noted in a ledger, for workers to go on with.

Run as a script it begins so many runs, and waits to be killed. Workers import it by its path.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import cascade as cs
from cascade.runtime import Engine

LEDGER, STEPS, STOPPED = "TEST_LEDGER", "TEST_STEPS", "TEST_STOPPED"


def note(line: str) -> None:
    """Append a line to the ledger: one write of the system's, which outlives the process."""
    log = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{line}\n".encode())
    os.close(log)


@cs.task
async def charge(key: str, token: Any, *after: Any) -> str:
    if os.environ.get(STOPPED) and not key.endswith("-0"):
        await asyncio.sleep(3600)
    await asyncio.sleep(0.001)
    note(f"{key} {os.getpid()} {len(token.reveal())}")
    await asyncio.sleep(0.001)
    return key


@cs.task
def key_of(order: str, number: int) -> str:
    return f"{order}-{number}"


@cs.task
def last(*keys: str) -> str:
    return keys[-1]


def order_flow() -> Any:
    """Return a run of so many charges, two at a time."""
    order, token = cs.Param("order", type=str), cs.Secret("token")
    pairs: list[Any] = []
    done: Any = None
    for number in range(0, int(os.environ[STEPS]), 2):
        pair = [charge(key_of(order, number + each), token, done) for each in (0, 1)]
        pairs += pair
        done = last(*pair)
    return last(*pairs)


async def main(url: str, runs: int) -> None:
    """Begin so many runs at once; they stop after the first charge of each."""
    async with Engine(state=url) as engine:
        await asyncio.gather(
            *(
                engine.run(
                    order_flow,
                    params={"order": f"order{number}", "token": os.environ["CASCADE_SECRET_TOKEN"]},
                    run_id=f"run-{number}",
                    keep_inputs=True,
                )
                for number in range(runs)
            )
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
