"""The inputs of a map: each gives one value per item, and all give equally many."""

from __future__ import annotations

from typing import Any

from cascade.spec.calls.arguments import is_marker
from cascade.spec.calls.quoting import Quoted
from cascade.spec.errors import MapError, MapLengthError
from cascade.spec.tasks.definition import TaskDefinition


def take_items(task: TaskDefinition, argument: int | str, value: object) -> object:
    """Return the items as a new list; a lazy result or router stays as it is."""
    if type(value) is list:
        return value.copy()
    if type(value) is Quoted:
        return Quoted(as_items(task, argument, value.value))
    return value if is_marker(value) else as_items(task, argument, value)


def as_items(task: TaskDefinition, argument: int | str, value: Any) -> list[object]:
    """Return the items of one input of a map.

    Raises:
        MapError: If it is a single value: no iterable, or a string or bytes.
    """
    if isinstance(value, (str, bytes, bytearray)):
        raise MapError(
            f"{_place(task, argument)} is a {type(value).__name__}",
            "give a list; for one value per item use .partial(...)",
        )
    try:
        return list(value)
    except TypeError:
        if hasattr(value, "__iter__"):
            raise
        raise MapError(
            f"{_place(task, argument)} is {type(value).__name__}, not an iterable",
            "for the same value in each item use .partial(...)",
        ) from None


def _place(task: TaskDefinition, argument: int | str) -> str:
    return f"argument '{task.parameter_at(argument)}' of mapped task '{task.name}'"


def check_inputs(task: TaskDefinition, inputs: dict[int | str, object]) -> None:
    """Check that those inputs of a map whose items are known have the same length.

    Raises:
        MapLengthError: If not; it gives the lengths.
    """
    plain = {key: each.value if type(each) is Quoted else each for key, each in inputs.items()}
    check_lengths(task, {key: each for key, each in plain.items() if isinstance(each, list)})


def check_lengths(task: TaskDefinition, inputs: dict[int | str, list[object]]) -> None:
    """Check that all inputs of a map have the same length.

    Raises:
        MapLengthError: If not; it gives the lengths.
    """
    if len(inputs) < 2:
        return
    lengths = {task.parameter_at(argument): len(items) for argument, items in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise MapLengthError(task.name, lengths)
