"""Executors by word: `inline`, `threads`, `threads:8`, `processes`, `ray`, `dask://host:8786`, `ray://host:10001`.

Each kind is a row of a table. What a cluster needs is imported when a word names one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cascade.adapters.addresses import address_of, check_place
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.graph.nodes import Node
from cascade.spec.errors import SpecError
from cascade.spec.policies.mode import Mode


class MadeExecutor(Protocol):
    """An executor that was made from a word."""

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Make a call."""

    async def close(self) -> None:
        """Let go of what it uses."""


def _dask(address: str) -> MadeExecutor:
    from cascade.adapters.executors.dask import DaskExecutor  # noqa: PLC0415 - an extra, and slow to import

    return DaskExecutor(address)


def _ray(address: str | None) -> MadeExecutor:
    from cascade.adapters.executors.ray import RayExecutor  # noqa: PLC0415 - an extra, and slow to import

    return RayExecutor(address)


COUNTED: dict[str, Callable[[int | None], MadeExecutor]] = {
    "threads": lambda count: LocalExecutor(Mode.THREAD, threads=count),
    "processes": ProcessExecutor,
}
"""The executors that have workers on this machine, by word; a number after a colon says how many."""

CLUSTERS: dict[str, tuple[Callable[[str], MadeExecutor], str]] = {
    "dask": (_dask, "dask://host:8786"),
    "ray": (_ray, "ray://host:10001"),
}
"""What makes an executor of an address, by its scheme, and how such an address is written."""

PLAIN: dict[str, Callable[[], MadeExecutor]] = {
    "inline": LocalExecutor,
    "ray": lambda: _ray(None),
}
"""The executors that a word alone names."""

_COUNTED_FORMS = [form for word in COUNTED for form in (f"'{word}'", f"'{word}:8'")]
_FORMS = [*map(repr, PLAIN), *_COUNTED_FORMS, *(f"'{form}'" for _, form in CLUSTERS.values())]
EXECUTOR_FORMS = ", ".join(_FORMS[:-1]) + f" or {_FORMS[-1]}"


def executor_from_word(word: str) -> MadeExecutor:
    """Return the executor that a word names; the caller closes it.

    Raises:
        MissingExtraError: If what it needs is not installed.
        SpecError: If it names none; it lists those that there are.
    """
    if word in PLAIN:
        return PLAIN[word]()
    scheme, has_scheme, place = word.partition("://")
    if has_scheme and place and scheme in CLUSTERS:
        make, form = CLUSTERS[scheme]
        check_place(word, f"executor={address_of(word)!r} is not the address of a cluster", form)
        return make(word)
    kind, colon, number = word.partition(":")
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0
    if kind in COUNTED and (count or not colon):
        return COUNTED[kind](count or None)
    raise SpecError(f"executor={word!r} is not a known executor", f"write {EXECUTOR_FORMS}, or give one")
