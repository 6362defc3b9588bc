"""Policies: how a call is to be made. Plain values; the engine gives them their meaning.

Each policy has its field and its row here, and its keyword in `@cs.task(...)`. Structure keys, digests, matchers,
records, pictures and the analysis of source walk the rows. So a new policy is added here, gets its method in
`chaining` and what pictures show of it in `pictures`, and has its effect in the engine. Its name stands nowhere else,
and `tests/test_policy_table.py` fails for what was forgotten.
"""

# Annotations are evaluated here, unlike elsewhere: the rows are read at run time.

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.constraint import Constraints
from cascade.spec.policies.checks import check_cache, check_timeout
from cascade.spec.policies.forms import (
    AmountsForm,
    CacheForm,
    Constant,
    EdgesForm,
    Form,
    LiteralForm,
    ModeForm,
    RetryForm,
    SecondsForm,
)
from cascade.spec.policies.mode import Mode, parse_mode
from cascade.spec.policies.retry import RetryPolicy, as_retry
from cascade.spec.protocols import CachePolicy


class PolicyRow(NamedTuple):
    """What is true of one policy wherever policies are written, compared or shown.

    `method` is how it is chained to a lazy result, and `keyword` checks what `@cs.task(...)` is given for it; each may
    be missing. The four questions have no default:

    - `in_fast_ways`: compiled loops know the policy. A tree with another one is run by the scheduler.
    - `in_stretches`: plain calls with the policy are made in one loop, which looks at it once for many of them.
    - `just_called`: once a call with the policy may start, its function is called and nothing else. With another policy
      the call is an asyncio task of its own, which makes attempts, has a time limit, waits or asks a cache.
    - `answers`: the policy may decide what the node gives, so the record of a run tells its values apart.
    """

    form: Form[Any]
    method: str | None
    keyword: Callable[[Any], object] | None
    in_fast_ways: bool
    in_stretches: bool
    just_called: bool
    answers: bool
    name: str = ""
    default: object = None

    def match(self, name: str, value: object, constant: Constant) -> str:
        """Return a Python expression that is true where `name` has the key of `value`; as `Form.match`."""
        if value is self.default:
            return f"{name} is {'None' if value is None else constant(value)}"
        return self.form.match(name, value, constant)


class Policies(NamedTuple):
    """All policies of one lazy result. `conditions` and `after` hold lazy results.

    It never changes. `@cs.task(...)` holds the one that the calls of its task start with.
    """

    # A named tuple: three times as fast to change as a frozen dataclass, and chains of policies change it often. What
    # loops change in every round has a method that knows the order of the fields; `_replace` costs five times as much.

    retry: Annotated[
        RetryPolicy | None,
        # A retry begins with a failure, and goes on from there in a frame.
        PolicyRow(
            RetryForm(),
            "with_retry",
            as_retry,
            in_fast_ways=True,
            in_stretches=True,
            just_called=False,
            answers=False,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        PolicyRow(
            SecondsForm(),
            "with_timeout",
            check_timeout,
            in_fast_ways=False,
            in_stretches=False,
            just_called=False,
            answers=False,
        ),
    ] = None
    cache: Annotated[
        CachePolicy | None,
        PolicyRow(
            CacheForm(),
            "with_cache",
            check_cache,
            in_fast_ways=False,
            in_stretches=False,
            just_called=False,
            answers=False,
        ),
    ] = None
    mode: Annotated[
        Mode | None,
        PolicyRow(
            ModeForm(),
            None,
            parse_mode,
            in_fast_ways=True,
            in_stretches=True,
            just_called=True,
            answers=False,
        ),
    ] = None
    constraints: Annotated[
        Constraints | None,
        PolicyRow(
            AmountsForm(),
            "with_constraints",
            None,
            in_fast_ways=False,
            in_stretches=True,
            just_called=False,
            answers=False,
        ),
    ] = None
    conditions: Annotated[
        tuple[object, ...],
        PolicyRow(
            EdgesForm(), "run_if", None, in_fast_ways=True, in_stretches=False, just_called=True, answers=True
        ),
    ] = ()
    otherwise: Annotated[
        object | Missing,
        PolicyRow(
            LiteralForm("`otherwise`"),
            "run_if",
            None,
            in_fast_ways=True,
            in_stretches=False,
            just_called=True,
            answers=True,
        ),
    ] = MISSING
    after: Annotated[
        tuple[object, ...],
        PolicyRow(
            EdgesForm(), "after", None, in_fast_ways=True, in_stretches=False, just_called=True, answers=False
        ),
    ] = ()

    def with_retry(self, retry: RetryPolicy) -> "Policies":
        """Return these policies with another retry policy; one object for all calls that have no others."""
        if self is not NO_POLICIES:
            return _new(Policies, (retry, *self[1:]))
        known = _with_retry_alone.get(id(retry))
        if known is None:
            if len(_with_retry_alone) == _KEPT:
                _with_retry_alone.clear()
            known = _with_retry_alone[id(retry)] = _new(Policies, (retry, *self[1:]))
        return known

    def with_constraints(self, constraints: Constraints) -> "Policies":
        """Return these policies with other constraints."""
        return _new(Policies, (*self[:4], constraints, *self[5:]))

    def with_condition(self, condition: object, otherwise: object | Missing) -> "Policies":
        """Return these policies with one more condition; `otherwise` replaces the one before unless it is missing."""
        retry, timeout, cache, mode, amounts, conditions, before, after = self
        kept = before if otherwise is MISSING else otherwise
        return _new(Policies, (retry, timeout, cache, mode, amounts, (*conditions, condition), kept, after))


_new = tuple.__new__

NO_POLICIES = Policies()

_KEPT = 256
_with_retry_alone: dict[int, Policies] = {}
"""Policies that are a retry and nothing else, by its id; each keeps its retry alive."""

POLICIES: tuple[PolicyRow, ...] = tuple(
    hint.__metadata__[0]._replace(name=name, default=NO_POLICIES._asdict()[name])
    for name, hint in Policies.__annotations__.items()
)
"""The rows, in the order of the fields."""

ALWAYS_WRITTEN = 8
"""The first rows are in every digest and record of policies. Those that came later are there by name, where they are
given: so what was written before they were known stays equal."""


class PolicyKeywords(TypedDict, total=False):
    """What `@cs.task(...)` takes for the policies that each call of the task starts with."""

    retry: RetryPolicy | int | None
    timeout: float | None
    cache: CachePolicy | None
    mode: Literal["inline", "thread", "process"] | Mode | None


def policies_of(keywords: PolicyKeywords) -> Policies:
    """Return the policies that the keywords of `@cs.task(...)` mean.

    Raises:
        PolicyError: If one of them makes no sense.
        TypeError: If there is no such keyword.
    """
    for name in keywords:
        if name not in PolicyKeywords.__annotations__:
            raise TypeError(f"task() got an unexpected keyword argument {name!r}")
    given: dict[str, Any] = {
        row.name: row.keyword(keywords[row.name])  # type: ignore[literal-required]  # the rows are the keywords
        for row in POLICIES
        if row.keyword is not None and keywords.get(row.name) is not None
    }
    return NO_POLICIES._replace(**given) if given else NO_POLICIES
