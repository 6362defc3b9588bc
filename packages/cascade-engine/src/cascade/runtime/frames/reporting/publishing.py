"""Publishing: what all reports of a run go through, to its timeline and to those who listen."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cascade.runtime.bus import MessageBus, log_failure
from cascade.runtime.events import Event, TaskExecutionFinished, TaskExecutionStarted
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.timeline_of_runs import KeepsRuns

Preview = Callable[[object], str]
_logger = logging.getLogger(__name__)


class Publisher:
    """Fills the timeline of a run, if it has one, and builds events only if somebody listens to them.

    A listener, or the preview, may raise `KeyboardInterrupt` or `SystemExit`, wherever the run is at that moment: the
    error goes to `interrupt`, and never into the code that has something to tell.
    """

    def __init__(
        self,
        bus: MessageBus,
        timeline: KeepsRuns | None,
        run_id: str,
        preview: Preview | None,
        interrupt: Callable[[BaseException], None],
    ) -> None:
        self.bus = bus
        self.began = 0.0  # when the run began
        self.is_recorded = False  # whether the run's store is to have its timeline
        self.is_unseen = False  # whether nobody else has it
        self._timelines = timeline
        self._timeline: RunTimeline | None = None  # made when the run begins
        self._interrupt = interrupt
        self._run_id = run_id
        self._preview = preview

    @property
    def shows(self) -> bool:
        """Whether the values of calls are to be shown, so that reports need them."""
        return self._preview is not None and self.bus.hears(TaskExecutionFinished)

    @property
    def keeps_times(self) -> bool:
        """Whether a timeline, or the store of the run, keeps the times of calls."""
        return self.is_recorded or (self._timelines is not None and self._timelines.timed)

    @property
    def timeline(self) -> RunTimeline | None:
        """What is told to the run's timeline; `None` if it has none, or has not begun."""
        return self._timeline

    def _hears_calls(self) -> bool:
        return self.bus.hears(TaskExecutionStarted) or self.bus.hears(TaskExecutionFinished)

    def _shown(self, value: object) -> str | None:
        """Return the preview of a result; what making it raises is logged, as what a subscriber raises is."""
        if self._preview is None:
            return None
        try:
            return self._preview(value)
        except (KeyboardInterrupt, SystemExit) as error:
            self._interrupt(error)
        except BaseException as error:  # noqa: BLE001 - the user's own code
            log_failure(_logger, "the preview of a result failed", error)
        return None

    def _publish(self, event: Event) -> None:
        interrupt = self.bus.deliver(event)
        if interrupt is not None:
            self._interrupt(interrupt)
