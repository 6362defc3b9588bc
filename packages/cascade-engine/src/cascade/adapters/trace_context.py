"""The trace context of a call in another process: there, the span that was current here is current again.

Loaded where there is one: it brings OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import context, propagate


def call_within(carrier: Iterable[tuple[str, str]], call: Callable[[], Any]) -> Any:
    """Make a call with the span current that is named by what `propagate.inject` has given."""
    token = context.attach(propagate.extract(dict(carrier)))
    try:
        return call()
    finally:
        context.detach(token)
