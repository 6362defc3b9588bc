"""Resolvers: the arguments and the amounts that a recorded call is made with, from the values of other nodes.

Nothing of a lazy result is changed: arguments with markers in them are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cascade.graph.tree import Call, Choice, Injected, Quotation
from cascade.runtime.exceptions import RequirementError, RouteNotFoundError
from cascade.runtime.sharing.capacity import Amount, Name
from cascade.spec.calls.arguments import Slot, fill, is_marker, value_at
from cascade.spec.constraint import exact_amount
from cascade.spec.errors import PolicyError
from cascade.spec.lazy_types import Lazy

Arguments = tuple[tuple[object, ...], dict[str, object]]
"""The positional and the keyword arguments of a call."""

Values = Callable[[int], object]
"""Gives the value of the node at a position."""


def choose_route(choice: Choice, key: object) -> int | None:
    """Return the node of the route for a key; `None` if the router has no such route, or the key can't be hashed."""
    try:
        mark = hash(key)
    except TypeError:  # not hashable, so no key
        return None
    # As a dict finds it, which would have to be made for each call; no two keys are equal.
    for known, route in zip(choice.keys, choice.routes, strict=True):
        if known is key or (hash(known) == mark and known == key):
            return route
    return None


def resolve_arguments(
    lazy: Lazy,
    call: Call,
    values: Values,
    resources: Mapping[str, object] | None,
    selectors: Values | None = None,
) -> Arguments:
    """Return the arguments of a call: each lazy result, router and injection in them is replaced by its value.

    `resources` has the values of open resources by name. With `None` injections stay as they are, for a call whose
    resources are not open yet: a cache key has no resources in it. `selectors` gives the values of selectors, where
    `values` gives handles.

    Raises:
        RouteNotFoundError: If a selector's value has no route.
    """
    if not call.slots and not call.defaults:
        return lazy.args, lazy.kwargs
    slots, found = [], []
    for slot, source in zip(call.slots, call.sources, strict=True):
        if isinstance(source, Injected):
            if resources is None:
                continue
            value = resources[source.resource]
        elif isinstance(source, Choice):
            value = values(_route(lazy, slot, source, (selectors or values)(source.selector)))
        elif isinstance(source, Quotation):
            value = value_at(lazy.args, lazy.kwargs, slot).value
        else:
            value = values(source)
        slots.append(slot)
        found.append(value)
    args, kwargs = fill(lazy.args, lazy.kwargs, slots, found)
    if resources is not None:
        kwargs.update((parameter, resources[name]) for parameter, name in call.defaults)
    return args, kwargs


def _route(lazy: Lazy, slot: Slot, choice: Choice, key: object) -> int:
    route = choose_route(choice, key)
    if route is None:
        raise RouteNotFoundError(lazy.task.name, lazy.task.describe_slot(slot), key, choice.keys)
    return route


def resolve_needs(
    lazy: Lazy, call: Call, values: Values | None, totals: Mapping[Name, Amount]
) -> dict[Name, Amount]:
    """Return the amounts that a call needs, by name; lazy ones are left out where `values` is `None`.

    `totals` are the amounts that the engine has. Amounts are exact numbers, and may be fractions.

    Raises:
        RequirementError: If an amount is no number from 0, or the engine has less of it, or does not declare it.
    """
    declared = lazy.policies.constraints
    needs: dict[Name, Amount] = {}
    if declared is None:
        return needs
    computed = {} if values is None else {name: values(position) for name, position in call.amounts}
    for name, amount in declared.amounts:
        _check_declared(lazy, name, totals)
        if is_marker(amount):
            if name not in computed:
                continue
            amount = computed[name]
        try:
            needs[name] = exact_amount(name, amount)
        except PolicyError as problem:
            raise RequirementError(lazy.task.name, name, f"an amount it can't have: {problem}") from None
        if needs[name] > totals[name]:
            has = float(totals[name])
            raise RequirementError(
                lazy.task.name,
                name,
                f"{name}={amount}, and the engine has {has:g} in all; lower it or give the engine more",
            )
    return needs


def _check_declared(lazy: Lazy, name: str, totals: Mapping[Name, Amount]) -> None:
    if name not in totals:
        known = ", ".join(str(each) for each in totals if isinstance(each, str)) or "nothing"
        raise RequirementError(
            lazy.task.name,
            name,
            f"{name}, which the engine does not declare (it declares {known}); "
            f"write Engine(system_resources={{{name!r}: ...}})",
        )
