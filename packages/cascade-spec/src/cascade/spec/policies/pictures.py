"""Policies as a picture shows them: plain names and numbers, no function and no value.

Loaded by whoever draws: writing a workflow needs no pictures.
"""

# Annotations are evaluated here: the types of the fields are read when a picture comes back from JSON.

from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeRetry:
    """A retry policy as a picture shows it: its numbers, as in `with_retry`, and the names of its exceptions.

    `delay` is `None` where the wait has no end.
    """

    max_attempts: int
    delay: float | None
    backoff: float
    jitter: float
    max_delay: float | None
    on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodePolicies:
    """The policies of a node, as a picture shows them: plain names and numbers, no function and no value.

    `timeout` is seconds, `cache` the name of the cache policy's class, `constraints` the names of the amounts that the
    call needs. `otherwise` says whether a value stands in for the call where a condition is false. `max_concurrency` is
    the bound of a map. Conditions and order are edges, and the mode is the node's own.
    """

    retry: NodeRetry | None = None
    timeout: float | None = None
    cache: str | None = None
    constraints: tuple[str, ...] = ()
    otherwise: bool = False
    max_concurrency: int | None = None
