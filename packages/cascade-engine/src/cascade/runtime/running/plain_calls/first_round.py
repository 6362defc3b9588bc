"""First rounds: the first round of a run that was given nothing but a target, by the code of its structure.

Most short runs end with it. So it needs none of the parts of a run, which take longer to make than a short call takes.
If it is not the end, the run makes its parts and goes on from here.
"""

from __future__ import annotations

import time
from itertools import repeat
from typing import Any, NamedTuple

from cascade.runtime.fast.loop_source import MISS, PartialRound
from cascade.runtime.strategies import GraphReuse
from cascade.spec.lazy_types import LazyResult


class FirstRound(NamedTuple):
    """What the first round of a run gave, or raised; `MISS` if there is no code for its structure.

    `began` is in seconds of `time.monotonic`.
    """

    began: float
    given: Any = MISS
    error: BaseException | None = None

    @property
    def is_value(self) -> bool:
        """Whether that is the value of the run."""
        given = self.given
        return given is not MISS and not isinstance(given, LazyResult | PartialRound)


def call_first_round(reuse: GraphReuse, target: object) -> FirstRound:
    """Run the first round of a target by the code that is written for its structure, if there is any.

    Nobody may want to know of the calls. What has to be checked before the calls of a run has no code here.
    """
    # Once per run: watched by observatory/benchmarks/bench_scheduler.py.
    began = time.monotonic()
    if type(target) is not LazyResult:
        return FirstRound(began)
    for known in reuse.candidates(target):
        compiled = known.compiled
        if compiled is None or known.program.needs_check:
            continue
        try:
            given = compiled(target, repeat(None, 1))
        except BaseException as error:  # noqa: BLE001 - the run ends with it
            return FirstRound(began, error=error)
        if given is not MISS:
            known.note_duration(time.monotonic() - began)
            reuse.note_hits(known, 1)
            return FirstRound(began, given)
    return FirstRound(began)
