"""Views: what is read from a timeline. Each is made when it is asked for, and holds no value of the user's.

Times are in seconds of `time.monotonic`; `RunTimeline.wall_time` makes dates of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from cascade.graph.tree import Structure
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.sharing.placement import LOOP_WORKER


class Place(NamedTuple):
    """Where a call stands in its run: the number of its tree, its node, and its index if it is an item of a map."""

    tree: int
    node: int
    item: int | None = None

    @property
    def id(self) -> str:
        """The id that events have as their `task_id`."""
        number = f"@{self.tree}" if self.tree else ""
        item = "" if self.item is None else f"[{self.item}]"
        return f"n{self.node}{number}{item}"


class Call(NamedTuple):
    """A call that has ended.

    It was `queued` when all that it waited for was there, `began` with its first attempt, and `ended` with its last
    one, whose number `attempt` is; 1 is the first. `notes` are those on its error. `worker` is `"loop"`, or says where
    else it was made. `is_map` says that it stands for a map with all its items, which are calls as well. Of a call that
    has not succeeded, `error_type` is the class of its error, and `where` its place in its tree.
    """

    place: Place
    task: str
    attempt: int
    queued: float
    began: float
    ended: float
    status: Status
    worker: str = LOOP_WORKER
    error: str | None = None
    is_map: bool = False
    notes: tuple[str, ...] = ()
    error_type: str | None = None
    where: str | None = None

    @property
    def id(self) -> str:
        """The id that events have as their `task_id`."""
        return self.place.id

    @property
    def duration(self) -> float:
        """How many seconds the call took, waits between its attempts included."""
        return self.ended - self.began


class RunningCall(NamedTuple):
    """A call that has begun and not ended."""

    place: Place
    task: str
    began: float


class WaitingCall(NamedTuple):
    """A call that waits for something that others have; `reason` says for what."""

    task: str
    reason: str


class NodeNames(tuple[str, ...]):
    """The names of the nodes of a tree, by position; all trees of a structure share them."""

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many nodes have each name."""
        return Counter(self)


class TreeView(NamedTuple):
    """A tree of lazy results that was run, by its number in the run.

    It stands in the place of `call`, which returned it, or of the run itself (`None`). It was round number `round` of
    the loop there. `structure` belongs to all trees like it; `names` are those of its nodes.
    """

    number: int
    call: Place | None
    round: int
    structure: Structure
    names: NodeNames


class Skip(NamedTuple):
    """A call that was not made, why, and when that was known."""

    place: Place
    task: str
    reason: SkipReason
    at: float


class Retry(NamedTuple):
    """Attempt number `attempt` of a call failed at a time, and another one followed after `delay` seconds."""

    place: Place
    task: str
    attempt: int
    at: float
    delay: float
    error: str
    error_type: str = ""


class MapSize(NamedTuple):
    """A map that has begun, and how many items it has."""

    place: Place
    task: str
    size: int


class LoopRounds(NamedTuple):
    """A loop that had more than one round: in the place of a call, or of the run itself (`None`)."""

    call: Place | None
    rounds: int
