"""Policies in a record: a word for those that are not written out, else a list in the order of the table of policies.

The first policies are in each such list. Those that came to the table later follow as `[name, content]` where they are
given, so that trees without them have the bytes that they always had.
"""

from __future__ import annotations

from cascade.adapters.codec.trees.task_references import Reference, find_exception, reference_of_class
from cascade.adapters.codec.trees.tree_layout import VERSION, Whose
from cascade.adapters.codec.untyped import Decoded
from cascade.spec.errors import CodecError, DataVersionError
from cascade.spec.lazy_types import Lazy
from cascade.spec.policies.declared import ALWAYS_WRITTEN, NO_POLICIES, POLICIES, Policies
from cascade.spec.source.references import name_of
from cascade.spec.task import AnyTask

_BY_NAME = {row.name: row for row in POLICIES}
_EDGES_FIRST = sorted(POLICIES, key=lambda row: not row.form.is_edge)
"""The order in which the lazy results of policies have their rows in a record."""


class PolicyWriter:
    """Writes the policies of one lazy result; `numbers` are the rows of others, by their ids."""

    def __init__(self, lazy: Lazy, numbers: dict[int, int]) -> None:
        self._lazy = lazy
        self._numbers = numbers

    def written(self) -> object:
        """Return the policies as plain data.

        Raises:
            CodecError: If an exception in a retry policy is not found by its name.
        """
        policies = self._lazy.policies
        if policies is NO_POLICIES:
            return Whose.NONE.value
        if policies is self._lazy.task.policies:
            return Whose.TASK.value
        pairs = [*zip(POLICIES, policies, strict=True)]
        first = [row.form.written(value, self) for row, value in pairs[:ALWAYS_WRITTEN]]
        later = [(row, value) for row, value in pairs[ALWAYS_WRITTEN:] if value != row.default]
        return [*first, *([row.name, row.form.written(value, self)] for row, value in later)]

    def number(self, lazy: object) -> int:
        """Return the number of a lazy result's row."""
        return self._numbers[id(lazy)]

    def reference_of_exception(self, kind: type[Exception]) -> Reference:
        """Return where a class of exceptions is found.

        Raises:
            CodecError: If it is not found by its name.
        """
        reference = reference_of_class(kind)
        if reference is None:
            raise CodecError(
                name_of(kind),
                f"an exception in the retry policy of task '{self._lazy.task.name}'",
                "define the class at the top of a module, under its own name",
            )
        return reference


class PolicyReader:
    """Reads policies back; `lazies` are those of the rows that were read before, by number."""

    def __init__(self, lazies: list[Lazy]) -> None:
        self._lazies = lazies

    def read(self, recorded: Decoded, task: AnyTask) -> Policies:
        """Return the policies of a call of `task`.

        Raises:
            StoredReferenceError: If an exception is not there.
            DataVersionError: If there is a policy that only a later release knows.
            ValueError: If these are no policies.
        """
        if recorded == Whose.NONE:
            return NO_POLICIES
        if recorded == Whose.TASK:
            return task.policies
        first = zip(POLICIES[:ALWAYS_WRITTEN], recorded[:ALWAYS_WRITTEN], strict=True)
        values = {row.name: row.form.read(content, self) for row, content in first}
        for name, content in recorded[ALWAYS_WRITTEN:]:
            if name not in _BY_NAME:
                raise DataVersionError(VERSION + 1, VERSION)
            values[name] = _BY_NAME[name].form.read(content, self)
        return Policies(**values)

    def lazy(self, number: int) -> Lazy:
        """Return the lazy result of an earlier row."""
        if number < 0:
            raise ValueError("a row before the first")
        return self._lazies[number]

    def exception(self, reference: Reference) -> type[Exception]:
        """Return the class of exceptions that is found there."""
        return find_exception(reference)


def lazies_in(policies: Policies) -> list[object]:
    """Return the lazy results in policies, in the order of their rows: conditions and order, then amounts."""
    values = policies._asdict()
    return [lazy for row in _EDGES_FIRST for lazy in row.form.lazies(values[row.name])]
