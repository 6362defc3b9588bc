"""What a worker of Ray does: the calls of one request."""

from __future__ import annotations

from cascade.adapters.executors.ray_cluster.stayed_values import SharedValues, StayedValue, stayed
from cascade.adapters.executors.remote_calls.made_calls import make_calls


def make_calls_on_ray(request: bytes, *kept: StayedValue) -> tuple[bytes, object]:
    """Make the calls of a request; return the report, and what Ray keeps of the value that stays."""
    made = make_calls(request, SharedValues(kept), stayed)
    return made.report, made.staying
