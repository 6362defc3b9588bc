"""Call places: what an executor can say about where it makes a call, and what can be done to the call there."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import NamedTuple

from cascade.spec.policies.mode import Mode


class Interruption(StrEnum):
    """What a timeout or a cancellation does to a call that is under way.

    `ENDS`: the call ends soon. `REFUSED`: a call that would need it is refused before anything runs. `WAITS`: the call
    can't be interrupted; the run waits until it has ended, and says so by an event that names the task.
    """

    ENDS = "ends the call"
    REFUSED = "is refused"
    WAITS = "waits for the call"


class Home(Enum):
    """In which process calls are made: that of the run, another one on this machine, or one that may be anywhere."""

    OWN = "own"
    WORKER = "worker"
    CLUSTER = "cluster"


class CallPlace(NamedTuple):
    """Where a call is made, and what a timeout and a cancellation do to it there."""

    home: Home
    timeout: Interruption
    cancellation: Interruption

    @property
    def is_elsewhere(self) -> bool:
        """Whether the call is made in another process: nothing but data gets there."""
        return self.home is not Home.OWN


ON_LOOP = CallPlace(Home.OWN, Interruption.ENDS, Interruption.ENDS)
"""A coroutine in the event loop of the run."""

_OF_MODES = {
    Mode.INLINE: CallPlace(Home.OWN, Interruption.REFUSED, Interruption.WAITS),
    Mode.THREAD: CallPlace(Home.OWN, Interruption.WAITS, Interruption.WAITS),
    Mode.PROCESS: CallPlace(Home.WORKER, Interruption.ENDS, Interruption.ENDS),
}

UNKNOWN = CallPlace(Home.OWN, Interruption.WAITS, Interruption.WAITS)
"""What is assumed of an executor that says nothing: its calls are made in this process, and end when they end."""


def place_of_mode(mode: Mode | None) -> CallPlace:
    """Return where this machine's executor makes a call of a mode, or a coroutine."""
    return ON_LOOP if mode is None else _OF_MODES[mode]
