"""What a forked child must not use of its parent: threads, which have gone, and files, connections and workers.

Programs fork more often than they know: web servers that load an application once, and `multiprocessing` on Linux. A
child that waits for a thread of its parent waits for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Something that a child has from its parent, and has to begin anew."""

    def forget_parent(self) -> None:
        """Let go of what belongs to the parent. Called in the child, right after the fork; it must not fail."""


def in_each_child(do: Callable[[], object]) -> None:
    """Call something in each child that is forked from now on, where the system has forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=do)


_inherited: WeakSet[Inherited] = WeakSet()
_left: list[object] = []


def watch_forks(owner: Inherited) -> None:
    """Have `owner.forget_parent()` called in each child that is forked from now on."""
    _inherited.add(owner)


def leave_alone(*things: object) -> None:
    """Keep what is the parent's from being closed or ended here, as its destructor would."""
    _left.extend(things)


def _forget_parent() -> None:
    for owner in list(_inherited):
        owner.forget_parent()


in_each_child(_forget_parent)
