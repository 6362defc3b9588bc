"""Guards scripts: a worker process that loads a script for its tasks must not start its run.

Without `if __name__ == "__main__":` each worker would start the script's run again, with workers of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cascade.adapters.executors.boundary_errors import UnguardedMainError


class _Loading:
    """The script that is being loaded in this process, and whether it has tried to start a run."""

    file = ""
    has_run = False


@contextmanager
def loading(file: str) -> Iterator[None]:
    """Refuse runs while a script is loaded. Fail after it too, if it has tried to start one and hidden the error.

    Raises:
        UnguardedMainError: If it tried.
    """
    _Loading.file, _Loading.has_run = file, False
    try:
        yield
    except BaseException:
        if _Loading.has_run:
            raise UnguardedMainError(file) from None
        raise
    finally:
        _Loading.file = ""
    if _Loading.has_run:
        raise UnguardedMainError(file)


def check_not_loading() -> None:
    """Check that no run starts while a worker loads a script.

    Raises:
        UnguardedMainError: If one does.
    """
    if _Loading.file:
        _Loading.has_run = True
        raise UnguardedMainError(_Loading.file)
