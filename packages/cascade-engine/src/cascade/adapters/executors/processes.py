"""Calls in other processes on this machine, as an executor."""

from __future__ import annotations

from cascade.adapters.executors.local import LocalExecutor
from cascade.spec.errors import SpecError
from cascade.spec.policies.mode import Mode


class ProcessExecutor(LocalExecutor):
    """Makes calls in up to `count` processes, by default one per core: what `executor="processes:8"` stands for.

    Coroutines, and tasks with a mode of their own, are called as `LocalExecutor` calls them.

    Raises:
        SpecError: If `count` is no whole number from 1.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise SpecError(
                f"ProcessExecutor({count!r})", "give a whole number, 1 or more, or none for all cores"
            )
        super().__init__(Mode.PROCESS, processes=count)
