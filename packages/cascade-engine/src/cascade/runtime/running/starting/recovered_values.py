"""Recovered values: the large values that a run which goes on reads before it goes on in a tree."""

from __future__ import annotations

from contextlib import suppress

from cascade.runtime.frames.frame import Loop
from cascade.runtime.running.services import Services
from cascade.runtime.running.starting.preparation import Preparation
from cascade.runtime.sharing.time_slice import in_slices
from cascade.spec.errors import CascadeError


async def fetch_values(services: Services, preparation: Preparation, loop: Loop) -> None:
    """Read what will be looked at in the next tree of a loop that goes on, as far as that is recorded."""
    recording, handles = services.recording, services.handles
    if recording is None or not recording.resumption.has_unread:
        return
    with suppress(CascadeError):  # a tree that makes no sense: raised when the loop goes on
        prepared = await in_slices(preparation.ahead(loop))
        known = None if handles is None else handles.whereabouts(loop, prepared.program, prepared.lazies)
        await recording.resumption.fetch_values(loop.frame_key, prepared, known)
