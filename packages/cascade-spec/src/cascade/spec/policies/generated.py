"""Functions over all policies, written out from the table when this is imported.

They are called once per node of a graph that is new or of a tree that runs, where a loop over the rows would cost
several times as much. Watched by observatory/benchmarks/bench_graphs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies, PolicyRow
from cascade.spec.policies.forms import Constant


def none_given(rows: Iterable[PolicyRow]) -> Callable[[Policies], bool]:
    """Return a function that tells whether policies have nothing in any of these rows."""
    known: dict[str, object] = {"NO": NO_POLICIES}
    checks = [row.match(f"policies.{row.name}", row.default, _constants_in(known)) for row in rows]
    written: Callable[[Policies], bool] = eval(
        f"lambda policies: policies is NO or ({' and '.join(checks)})", known
    )
    return written


def _policy_key() -> Callable[[Policies], Hashable]:
    known: dict[str, object] = {}
    parts = [row.form.key(f"policies.{row.name}", _constants_in(known)) for row in POLICIES]
    written: Callable[[Policies], Hashable] = eval(f"lambda policies: ({', '.join(parts)},)", known)
    return written


def _constants_in(known: dict[str, object]) -> Constant:
    """Return what names objects for written code, and puts them into its globals."""

    def constant(value: object) -> str:
        name = f"k{len(known)}"
        known[name] = value
        return name

    return constant


policy_key = _policy_key()
"""Returns the policies by value, without what is data: amounts, `otherwise` and the lazy results in them."""
