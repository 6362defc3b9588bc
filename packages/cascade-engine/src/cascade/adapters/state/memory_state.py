"""State in memory: the facts of one run, which are lost with the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey, NodeKey
    from cascade.graph.path import StructurePath

_Fact = TypeVar("_Fact")


class InMemoryStateBackend:
    """The facts of one run, by frame: forgetting a frame costs what it holds.

    Nothing recurses, however deep frames are nested.
    """

    def __init__(self, run_id: str = "") -> None:
        self.run_id = run_id
        self._results: dict[FrameKey, dict[StructurePath, object]] = {}
        self._skips: dict[FrameKey, dict[StructurePath, str]] = {}
        self._below: dict[FrameKey, set[FrameKey]] = {}

    def put_result(self, key: NodeKey, value: object) -> None:
        """Note a value."""
        self._of(self._results, key.frame)[key.path] = value

    def get_result(self, key: NodeKey) -> Any:
        """Return a value.

        Raises:
            KeyError: If there is none.
        """
        return self._results[key.frame][key.path]

    def let_go(self, key: NodeKey) -> None:
        """Drop a value that nobody will ask for; `has_result` is still true."""
        results = self._results.get(key.frame)
        if results is not None and key.path in results:
            results[key.path] = None

    def has_result(self, key: NodeKey) -> bool:
        """Tell whether there is a value."""
        return key.path in self._results.get(key.frame, ())

    def mark_skipped(self, key: NodeKey, reason: str) -> None:
        """Note a skip."""
        self._of(self._skips, key.frame)[key.path] = reason

    def get_skip_reason(self, key: NodeKey) -> str | None:
        """Return the reason of a skip, or `None`."""
        return self._skips.get(key.frame, {}).get(key.path)

    def clear(self, frame: FrameKey | None = None) -> None:
        """Forget a frame and what lies below it, or everything."""
        if frame is None:
            self._results.clear()
            self._skips.clear()
            self._below.clear()
            return
        pending = [frame]
        while pending:
            each = pending.pop()
            self._results.pop(each, None)
            self._skips.pop(each, None)
            pending.extend(self._below.pop(each, ()))
        if frame.parent is not None and frame.parent in self._below:
            self._below[frame.parent].discard(frame)

    def _of(
        self, table: dict[FrameKey, dict[StructurePath, _Fact]], frame: FrameKey
    ) -> dict[StructurePath, _Fact]:
        facts = table.get(frame)
        if facts is None:
            facts = table[frame] = {}
            while frame.parent is not None and frame not in self._below.setdefault(frame.parent, set()):
                self._below[frame.parent].add(frame)
                frame = frame.parent
        return facts
