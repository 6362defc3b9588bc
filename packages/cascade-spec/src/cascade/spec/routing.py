"""Routers: a value that is chosen at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from cascade.spec.calls.arguments import marker
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import NotLazyError, SpecError
from cascade.spec.internal_tasks import CHOOSE, COLLECT, VALUE
from cascade.spec.lazy_types import Lazy, LazyResult
from cascade.spec.task import PartialTask, Task

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers have it: `Router` alone means `Router[Any]`

    R_co = TypeVar("R_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    R_co = TypeVar("R_co", covariant=True)

R = TypeVar("R")


@marker
class Router(StandsForValue, Generic[R_co]):
    """Stands for the route that the selector's value names; the other routes do not run for it.

    `selector` is a lazy result of a key, `routes` gives a lazy result or a plain value for each key. A router may stand
    wherever a lazy result may.

    Raises:
        NotLazyError: If the selector is no lazy result, or a route is a task that was not called.
        SpecError: If the routes are no mapping, or there is none.
    """

    __slots__ = ("_lazy", "routes", "selector")

    selector: LazyResult[object]
    routes: dict[Any, LazyResult[R_co]]

    @overload
    def __init__(
        self: Router[R],
        selector: LazyResult[object] | Router[object],
        routes: Mapping[Any, LazyResult[R]],
    ) -> None: ...
    @overload
    def __init__(
        self: Router[Any], selector: LazyResult[object] | Router[object], routes: Mapping[Any, object]
    ) -> None: ...
    def __init__(self, selector: LazyResult[object] | Router[object], routes: Mapping[Any, object]) -> None:
        if not isinstance(selector, StandsForValue):
            raise NotLazyError(
                f"the selector of a router is {type(selector).__name__}",
                "give a lazy result; for a key known now, pick the route yourself",
            )
        if type(routes) is not dict and not isinstance(routes, Mapping):  # the test of an ABC takes its time
            raise SpecError(
                f"a router's routes are {type(routes).__name__}", "give routes={key: lazy result, ...}"
            )
        if not routes:
            raise SpecError("a router without routes", "give routes={key: lazy result, ...}")
        self.selector = selector.as_lazy()
        self.routes = {
            key: route if type(route) is LazyResult else _route(key, route) for key, route in routes.items()
        }
        self._lazy: Lazy | None = None

    def as_lazy(self) -> LazyResult[R_co]:
        """Return the lazy result that stands for this router: one call, always the same, that returns the choice."""
        if self._lazy is None:
            # The call takes another router that chooses alike, so that no circle of references is made.
            self._lazy = CHOOSE(Router(self.selector, self.routes))
        return self._lazy

    def __getitem__(self, key: object, /) -> Lazy:
        """Return the lazy result of an item of what is chosen."""
        return self.as_lazy()[key]

    def name_in_errors(self) -> str:
        """Return how errors name this."""
        return f"the router on {self.selector.name_in_errors()}"

    def attribute_remedy(self, name: str) -> str:
        """Return what to do in place of asking for an attribute; a router itself has no policies."""
        if hasattr(LazyResult, name):
            return f"write .{name}(...) behind the lazy results of its routes"
        return super().attribute_remedy(name)

    def __repr__(self) -> str:
        return f"<Router on {self.selector!r} to {', '.join(map(repr, self.routes))}>"


AnyRouter: TypeAlias = Router[Any]
"""A router of any value."""


def _route(key: object, route: object) -> Lazy:
    """Return the lazy result of a route; a plain value gets a call that returns it."""
    if isinstance(route, (LazyResult, Router)):
        return route.as_lazy()
    if isinstance(route, (Task, PartialTask)):
        raise NotLazyError(f"route {key!r} of a router is {route!r}", "call it, as in task(...)")
    return as_value(route)


def as_value(value: object) -> Lazy:
    """Return a lazy result of a plain value; for a list, tuple or dict one that gathers what is in it."""
    return COLLECT(value) if type(value) in (list, tuple, dict) else VALUE(value)
