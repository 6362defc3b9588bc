"""Functions over all policies, written out from the table when this is imported.

They are called once per node of a graph that is new or of a tree that runs, where a loop over the rows would cost
several times as much. Watched by observatory/benchmarks/bench_graphs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies, PolicyRow


def none_given(rows: Iterable[PolicyRow]) -> Callable[[Policies], bool]:
    """Return a function that tells whether policies have nothing in any of these rows."""
    known: dict[str, Any] = {"NO": NO_POLICIES}
    checks = [
        row.match(f"policies.{row.name}", row.default, lambda value: _constant(known, value)) for row in rows
    ]
    function: Callable[[Policies], bool] = _function(f"policies is NO or ({' and '.join(checks)})", known)
    return function


def _policy_key() -> Callable[[Policies], Hashable]:
    known: dict[str, Any] = {}
    parts = [row.form.key(f"policies.{row.name}", lambda value: _constant(known, value)) for row in POLICIES]
    function: Callable[[Policies], Hashable] = _function(f"({', '.join(parts)},)", known)
    return function


def _constant(known: dict[str, Any], value: object) -> str:
    name = f"k{len(known)}"
    known[name] = value
    return name


def _function(expression: str, known: dict[str, Any]) -> Any:
    return eval(f"lambda policies: {expression}", known)


policy_key = _policy_key()
"""Returns the policies by value, without what is data: amounts, `otherwise` and the lazy results in them."""
