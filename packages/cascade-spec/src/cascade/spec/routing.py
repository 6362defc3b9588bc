"""Routers: an argument that is chosen at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade.spec.arguments import marker
from cascade.spec.errors import NotLazyError, SpecError
from cascade.spec.lazy_types import LazyResult


@marker
class Router:
    """Stands for the route that the selector's value names; the others do not run for it.

    `selector` is a lazy result of a key, `routes` gives a lazy result for each key.

    Raises:
        NotLazyError: If the selector or a route is no lazy result.
        SpecError: If the routes are no mapping, or there is none.
    """

    __slots__ = ("routes", "selector")

    def __init__(self, selector: LazyResult[object], routes: Mapping[Any, LazyResult[object]]) -> None:
        if not isinstance(selector, LazyResult):
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
        for key, route in routes.items():
            if not isinstance(route, LazyResult):
                raise NotLazyError(
                    f"route {key!r} of a router is {type(route).__name__}", "give a lazy result"
                )
        self.selector = selector
        self.routes = dict(routes)

    def __bool__(self) -> bool:
        raise self.selector.truth_error()

    def __repr__(self) -> str:
        return f"<Router on {self.selector!r} to {', '.join(map(repr, self.routes))}>"
