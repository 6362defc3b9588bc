"""The message bus: hands events to those who subscribed to their type.

Handlers are plain functions. They are called at once, in the thread of the event loop, and so hold up the run for as
long as they take. No event is made that nobody hears.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, TypeAlias, TypeVar

from cascade.runtime.events import Event
from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import SpecError

E = TypeVar("E", bound=Event)
_Handler: TypeAlias = Callable[[Any], object]
"""Takes an event of the type that it subscribed to."""

_logger = logging.getLogger(__name__)


class MessageBus:
    """The handlers of events, by the type of event that they subscribed to.

    Who subscribes to a base class hears all classes below it; `Event` is the base of all. One bus may serve many
    engines.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[_Handler]] = {}
        self._listening: dict[type[Event], tuple[_Handler, ...]] = {}

    def subscribe(self, event_type: type[E], handler: Callable[[E], object]) -> Callable[[], None]:
        """Call `handler` with each event of that type, or a type below it; return a function that ends this.

        Handlers of one type are called in the order of their subscription, those of a base class after them.

        Raises:
            SpecError: If the type is no event, or the handler a coroutine function.
        """
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise SpecError(f"subscribe({event_type!r}, ...)", "give Event or a class below it")
        if not callable(handler):
            raise SpecError(f"an event handler is {handler!r}", "give a function that takes an event")
        if _is_async(handler):
            raise SpecError("an event handler is async", "give a plain function that starts a task")
        handlers = self._handlers.setdefault(event_type, [])
        handlers.append(handler)
        self._listening.clear()

        def unsubscribe() -> None:
            if handler in handlers:
                handlers.remove(handler)
                self._listening.clear()

        return unsubscribe

    @property
    def is_heard(self) -> bool:
        """Whether anybody has ever subscribed."""
        return bool(self._handlers)

    @property
    def heard_types(self) -> Collection[type[Event]]:
        """The types of events that anybody has ever subscribed to: a view that grows with them."""
        return self._handlers.keys()

    def hears(self, event_type: type[Event]) -> bool:
        """Tell whether somebody listens to that type, so that no event is made for nobody."""
        if not self._handlers:
            return False
        found = self._listening.get(event_type)
        return bool(self._handlers_of(event_type) if found is None else found)

    def publish(self, event: Event) -> None:
        """Hand over an event. What a handler raises is logged; it stops neither the run nor the other handlers.

        Raises:
            KeyboardInterrupt, SystemExit: If a handler raised it; when all handlers have been called.
        """
        interrupt = self.deliver(event)
        if interrupt is not None:
            raise interrupt

    def deliver(self, event: Event) -> BaseException | None:
        """Hand over an event as `publish` does; return what `publish` would raise."""
        # Once per event of every run: watched by observatory/benchmarks/bench_events.py.
        interrupt: BaseException | None = None
        found = self._listening.get(type(event))
        for handler in self._handlers_of(type(event)) if found is None else found:
            try:
                handler(event)
            except (KeyboardInterrupt, SystemExit) as error:
                interrupt = error if interrupt is None else interrupt
            except BaseException as error:  # noqa: BLE001 - CancelledError among them: no handler can be cancelled
                log_failure(_logger, f"a subscriber failed on {type(event).__name__}", error)
        return interrupt

    def _handlers_of(self, event_type: type[Event]) -> tuple[_Handler, ...]:
        wanted = (self._handlers.get(cls, ()) for cls in event_type.__mro__)
        found = self._listening[event_type] = tuple(handler for each in wanted for handler in each)
        return found


def log_failure(logger: logging.Logger, message: str, error: BaseException) -> None:
    """Log what the user's own code raised beside a run, with its traceback if that can be had."""
    try:
        traceback.format_exception(error)
    except BaseException:  # noqa: BLE001 - the attributes of an exception may be the user's own code
        logger.error("%s: %s", message, error_text(error))
    else:
        logger.error(message, exc_info=error)


def _is_async(handler: object) -> bool:
    """Tell whether calling the handler gives something to be awaited: also for partials, wrappers and objects."""
    while isinstance(handler, partial):
        handler = handler.func
    found = [handler, getattr(handler, "__wrapped__", None), getattr(handler, "__call__", None)]  # noqa: B004 - an object
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in found)
