"""Constraints: the amounts of an engine's `system_resources` that a call holds while it runs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cascade.spec.calls.arguments import is_marker
from cascade.spec.errors import PolicyError
from cascade.spec.late_dataclasses import dataclass

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Constraints:
    """Named amounts, in the order of their names. An amount is a number or a lazy result of one."""

    amounts: tuple[tuple[str, object], ...]


def constraints(amounts: dict[str, object]) -> Constraints:
    """Make `Constraints` of `{"gpu": 1}`; lazy amounts are checked when they are known.

    Raises:
        PolicyError: If nothing is given, or an amount is no number of 0 or more.
    """
    if not amounts:
        raise PolicyError(
            "with_constraints() without an amount", "give at least one, as in with_constraints(gpu=1)"
        )
    items = tuple(sorted(amounts.items()))
    kinds = tuple(type(amount) for _, amount in items)
    return _known_constraints(items, kinds) if _NUMBERS.issuperset(kinds) else _checked(items, kinds)


def _checked(items: tuple[tuple[str, object], ...], kinds: tuple[type, ...]) -> Constraints:
    for (name, amount), kind in zip(items, kinds, strict=True):
        if kind in _NUMBERS or not is_marker(amount):
            exact_amount(name, amount)
    return Constraints(items)


_NUMBERS = frozenset({int, float})

_known_constraints = lru_cache(maxsize=256)(_checked)
"""Made and checked once for all calls that are alike; 1 and 1.0 are equal, so the types tell them apart."""


def exact_amount(name: str, amount: object) -> Fraction:
    """Return `amount` as an exact number, so that three times 0.1 fits into 0.3.

    Raises:
        PolicyError: If it is no finite number of 0 or more.
    """
    # Imported when an amount is written: with the decimals that it brings it costs a tenth of the package's import.
    from fractions import Fraction  # noqa: PLC0415

    if not isinstance(amount, bool) and isinstance(amount, (int, float, Fraction)):
        try:
            exact = Fraction(repr(amount)) if isinstance(amount, float) else Fraction(amount)
        except ValueError:
            exact = Fraction(-1)
        if exact >= 0:
            return exact
    raise PolicyError(f"an amount of {name!r} is {amount!r}", "give a finite number, 0 or more")
