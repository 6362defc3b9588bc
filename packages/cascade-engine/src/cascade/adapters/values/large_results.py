"""Large results: what tells executors that the run in whose context a call is made has a value store for them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from cascade.adapters.values.value_pointer import ValuePointer  # brings hashing and codecs


class MadeValue(NamedTuple):
    """Stands for a value on its way home: where it is."""

    pointer: ValuePointer


class Results(Protocol):
    """The large results of the run in whose context a call is made, as seen from home."""

    packed: bytes
    """The `ResultPlace` for workers."""

    async def arrived(self, made: MadeValue) -> object:
        """Return the value that was made, and note that it is in the value store already.

        Raises:
            RunDamagedError: If it is not there, or is not what was put there.
            StoreError: If it can't be read.
        """

    def handle(self, made: MadeValue, owner: object, task: str) -> object:
        """Return a handle of the value that was made, which is not read: `owner` had the call of the task made."""


results_in_context: ContextVar[Results | None] = ContextVar("cascade_results", default=None)
"""Where the large results of this context's run go, if it has a value store."""

stay_in_store: ContextVar[bool] = ContextVar("cascade_stay_in_store", default=False)
"""Whether nobody looks at the results of this context's calls: then large ones are not read, and handles come."""
