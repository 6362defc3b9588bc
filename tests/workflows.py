"""Random workflows for Hypothesis: layered graphs with sharing, of everything that a lazy tree may hold.

Data are small integers and falsy values. What can be counted on: a reference goes to an earlier node, amounts fit the
capacity, and a call that fails only at first has arguments that no other call of its task has, so that its attempts
can be told from another's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from descriptions import (
    Act,
    Input,
    Kind,
    Nest,
    Over,
    Part,
    Quote,
    Ref,
    Route,
    Seq,
    Spec,
    Workflow,
    references,
)
from hypothesis import strategies as st

from cascade.spec import MISSING

FALSY: tuple[Any, ...] = (None, 0, "", [], False)
KEYS: tuple[Any, ...] = (0, 1, 2, 3, 4, None, "")
RECENT = 6
"""References go to the last few nodes, so that a graph is deep and its nodes are shared."""


@st.composite
def workflows(draw: st.DrawFn, size: int = 12, depth: int = 2, plain: bool = False) -> Workflow:
    """Draw a workflow of at most `size` nodes; the trees that its tasks return go `depth` levels deeper.

    A `plain` one has nothing but calls of functions and coroutines: no maps, routers, sequences or policies.
    """
    troubled = not draw(st.integers(0, 2))
    flavour = draw(st.sampled_from(Flavour))
    return _Drawer(
        draw, "n", size, depth, troubled, unique=not plain, flavour=flavour, plain=plain
    ).workflow()


Flavour = ("sync", "async", "mixed")


class _Drawer:
    """Draws the nodes of one workflow.

    `troubled` lets tasks and maps fail and selectors miss, `unique` says that each of its calls is made only once,
    `plain` that there are only calls.
    """

    def __init__(
        self,
        draw: st.DrawFn,
        prefix: str,
        size: int,
        depth: int,
        troubled: bool,
        unique: bool,
        flavour: str,
        plain: bool,
    ) -> None:
        self._draw = draw
        self._prefix = prefix
        self._size = size
        self._depth = depth
        self._troubled = troubled
        self._unique = unique
        self._flavour = flavour
        self._plain = plain
        self._nodes: list[Spec] = []

    def workflow(self) -> Workflow:
        for _ in range(self._number(self._size // 3, self._size)):
            self._nodes.append(self._with_policies(self._spec()))
        if self._plain or self._pick(True, True, False):
            self._nodes.append(self._gathering())
        last = Ref(len(self._nodes) - 1)
        target = self._sequence(last) if not self._plain and self._one_in(6) else last
        return Workflow(tuple(self._nodes), target)

    def _number(self, least: int, most: int) -> int:
        return self._draw(st.integers(least, most))

    def _one_in(self, chances: int) -> bool:
        # Hypothesis shrinks to 0: to what is not drawn.
        return self._number(0, chances - 1) == chances - 1

    def _pick(self, *choices: Any) -> Any:
        return choices[self._number(0, len(choices) - 1)]

    def _ref(self) -> Ref:
        return Ref(len(self._nodes) - self._number(1, min(RECENT, len(self._nodes))))

    def _sequence(self, last: Ref | None = None) -> Seq:
        nodes = {self._ref().node for _ in range(self._number(1, 3))} | ({last.node} if last else set())
        in_order = sorted(nodes)
        return Seq(tuple(reversed(in_order)) if self._one_in(30) else tuple(in_order))

    def _tag(self) -> str:
        return f"{self._prefix}{len(self._nodes)}"

    def _below(self, unique: bool) -> Workflow:
        """Draw the workflow that a task of this one returns."""
        prefix = f"{self._tag()}."
        flavour, troubled = self._flavour, self._troubled
        drawer = _Drawer(self._draw, prefix, 4, self._depth - 1, troubled, unique, flavour, self._plain)
        return drawer.workflow()

    def _spec(self) -> Spec:
        others = ("gather",) if self._plain else (*("map",) * 3, "factory", "param", "gather")
        shape = self._pick(*("call",) * 8, *others)
        if shape == "param":
            return Spec(Act(Kind.SUM, self._tag()), param=self._pick("p", "q"))
        if shape == "gather" and self._nodes:
            return Spec(Act(Kind.SUM, self._tag()), (self._ref(), self._ref()), gather=True)
        if shape == "factory" and self._depth:
            over = replace(self._over(), factory=self._below(unique=False))
            return Spec(Act(Kind.SUM, self._tag()), over=over)
        args = tuple(self._part() for _ in range(self._number(0, 2)))
        kwargs = (("k", self._part()),) if self._one_in(4) else ()
        if kwargs and self._pick(False, True):
            kwargs = self._pick((*kwargs, ("j", self._part())), (("j", self._part()), *kwargs))
        if shape == "map":
            return Spec(self._act(mapped=True), args[:1], kwargs, over=self._over())
        return Spec(self._act(mapped=False), args, kwargs)

    def _gathering(self) -> Spec:
        """Draw a node that wants all that no other does."""
        wanted = {node for spec in self._nodes for node in references(spec)}
        refs = [Ref(node) for node in range(len(self._nodes)) if node not in wanted]
        for end in range(0 if self._plain else len(refs) - 1):
            if self._one_in(6):
                return Spec(Act(Kind.SUM, self._tag()), tuple(refs[:end]), after=tuple(refs[end:]))
        return Spec(Act(Kind.SUM, self._tag()), tuple(refs))

    def _act(self, mapped: bool) -> Act:
        kinds = [*(Kind.SUM,) * 6, *(Kind.CONSTANT,) * 2, *(Kind.ITEMS,) * 2]
        if self._depth:
            kinds += [Kind.TAIL, Kind.TAIL, Kind.LOOP, Kind.BOX]
            if not self._plain:
                kinds.append(Kind.CHOICE)
        if self._troubled:
            kinds.append(Kind.FAIL)
        if self._unique and not mapped:
            kinds.append(Kind.FLAKY)
        kind = self._pick(*kinds)
        constant = self._pick(1, 2, *FALSY) if kind is Kind.CONSTANT else None
        below = self._below(self._unique and not mapped) if kind in (Kind.TAIL, Kind.BOX) else None
        if kind in (Kind.LOOP, Kind.CHOICE):
            below = self._below(unique=False)
        number = self._number(1, 3) if kind in (Kind.LOOP, Kind.FLAKY) else 0
        is_async = self._flavour == "async" or (self._flavour == "mixed" and self._pick(False, True))
        return Act(kind, self._tag(), number, constant, below, is_async)

    def _part(self, depth: int = 2) -> Part:
        simple = ("number", "input")
        others = ("nest",) if self._plain else ("route", "route", "nest", "sequence", "quote")
        shape = self._pick(*simple, *("ref",) * 4, *others) if self._nodes else self._pick(*simple)
        match shape:
            case "ref":
                return self._ref()
            case "input":
                return Input(self._number(0, 1))
            case "route":
                return self._route()
            case "sequence":
                return self._sequence()
            case "quote":
                return Quote(self._pick(1, [2, 3], {"k": (4,)}))
            case "nest" if depth:
                parts = tuple(self._part(depth - 1) for _ in range(self._number(0, 2)))
                return Nest(self._pick(list, tuple, dict), parts)
        return self._number(0, 4)

    def _route(self) -> Route:
        keys = KEYS[::2] if self._troubled and self._one_in(4) else KEYS
        routes = [self._ref() for _ in range(self._number(1, 3))]
        numbers = self._numbers(Kind.SUM, Kind.FLAKY, Kind.LOOP)
        selector = Ref(self._pick(*numbers)) if numbers and not self._one_in(20) else self._ref()
        if self._one_in(4):
            routes.append(self._pick(2, None, [1, (3,)]))
        return Route(selector, tuple((key, routes[at % len(routes)]) for at, key in enumerate(keys)))

    def _condition(self) -> Ref | Route:
        return self._route() if self._one_in(6) else self._ref()

    def _numbers(self, *kinds: Kind) -> list[int]:
        """Return the nodes that give a number from 0 to 4, or at most a falsy value in its place."""
        return [
            at
            for at, each in enumerate(self._nodes)
            if each.act.kind in kinds and not each.over and not each.gather and not each.param
        ]

    def _over(self) -> Over:
        lists = [
            at
            for at, spec in enumerate(self._nodes)
            if self._troubled or (spec.act.kind is Kind.ITEMS and not spec.over and spec.otherwise is MISSING)
        ]
        limit = self._number(1, 2) if self._one_in(4) else None
        if lists and self._one_in(3):
            items = Ref(self._pick(*lists))
            return Over(items, items if self._one_in(3) else MISSING, limit)
        length = self._number(0, 3)
        x = Nest(list, tuple(self._part(1) for _ in range(length)))
        uneven = self._troubled and self._one_in(8)
        y = Nest(list, tuple(range(length))) if self._one_in(3) and not uneven else MISSING
        return Over(x, y, limit)

    def _with_policies(self, spec: Spec) -> Spec:
        if self._plain:
            return spec
        if self._one_in(4) or spec.act.kind is Kind.FLAKY:
            least = 0 if self._troubled else spec.act.number
            spec = replace(spec, retry=self._number(least, 3))
        if not self._nodes:
            return spec
        if self._one_in(3):
            conditions = tuple(self._condition() for _ in range(self._pick(1, 1, 2)))
            otherwise = self._pick(*(MISSING,) * 5, 3, *FALSY)
            spec = replace(spec, conditions=conditions, otherwise=otherwise)
        if self._one_in(4):
            after = tuple(self._pick(self._condition(), self._sequence()) for _ in range(self._number(1, 2)))
            spec = replace(spec, after=after)
        if self._one_in(6):
            spec = replace(spec, gpu=self._amount())
        return spec

    def _amount(self) -> Part:
        """Draw an amount: a number, or a node that gives one of the capacity at most."""
        small = [at for at in self._numbers(Kind.SUM) if self._nodes[at].otherwise is MISSING]
        return Ref(self._pick(*small)) if small and self._pick(False, True) else self._number(0, 4)
