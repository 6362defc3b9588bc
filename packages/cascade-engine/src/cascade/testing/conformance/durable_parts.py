"""What the tests of durable state backends share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from cascade.adapters.state.keys import FrameKey, NodeKey
from cascade.graph.path import ROOT
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import (
    CodeRecord,
    DurableStateBackend,
    FactLabel,
    Note,
    RunRecord,
)
from cascade.spec.errors import CascadeError, StoreError
from cascade.testing.conformance.sample_keys import item_of, node_at, round_at
from cascade.testing.conformance.state_conformance import StateBackendConformance

Check = Callable[[], Coroutine[object, object, None]]

LABEL = FactLabel("task", "root.args.0")
"""The label of every fact."""


class DurableParts(StateBackendConformance):
    """The tests for a `StateBackend`, and what those for a `DurableStateBackend` share."""

    def make_backend(self, run_id: str = "run") -> DurableStateBackend:
        """Return a backend for a run, not opened, on the store of the test."""
        raise NotImplementedError("say in make_backend how to make a backend")

    def damage(self, run_id: str) -> bool:
        """Change one bit in each stored value of a run that nobody drives; return `False` if that is not possible."""
        return False

    def swap(self, run_id: str) -> bool:
        """Exchange the stored values of a run, so that none is in its place; return `False` if that is not possible."""
        return False

    async def _opened(self, expected: RunRecord | None = None) -> DurableStateBackend:
        """Return a backend that is open and has the record that is expected."""
        backend = self.make_backend()
        assert await backend.open() == (expected or record())
        return backend

    async def _opened_new(self) -> DurableStateBackend:
        """Return a backend that is open and has no record."""
        backend = self.make_backend()
        assert await backend.open() is None
        return backend

    async def _begun(self, keep: Callable[[DurableStateBackend], None] = lambda _: None) -> None:
        """Begin the run, keep something, commit and close."""
        backend = await self._opened_new()
        backend.begin(record())
        keep(backend)
        await backend.commit()
        await backend.close()

    async def _changed(self, change: Callable[[DurableStateBackend], None]) -> None:
        """Open the run, change something, commit and close."""
        backend = await self._opened()
        change(backend)
        await backend.commit()
        await backend.close()

    def _check_forgotten(
        self, gone: list[NodeKey], stay: list[NodeKey], forget: Callable[[DurableStateBackend], None]
    ) -> None:
        """Check what is forgotten, at once and in the store: of what was just kept, committed, and loaded."""

        def keep(backend: DurableStateBackend) -> None:
            for key in (*gone, *stay):
                backend.keep_result(key, str(key), LABEL)
                backend.put_note(key, Note.SIZE, (1,), LABEL)

        def verify(backend: DurableStateBackend) -> None:
            assert [key for key in gone if backend.has_result(key)] == []
            assert [key for key in gone if backend.get_note(key, Note.SIZE) is not None] == []
            assert [key for key in stay if backend.get_result(key) != str(key)] == []

        async def check(commit_first: bool, open_first: bool) -> None:
            backend = self.make_backend()
            await backend.open()
            backend.begin(record())
            keep(backend)
            if commit_first:
                await backend.commit()
            if open_first:
                await backend.close()
                backend = await self._opened()
            forget(backend)
            verify(backend)
            await backend.commit()
            await backend.close()
            backend = await self._opened()
            verify(backend)
            await backend.close()

        for stage in ((False, False), (True, False), (True, True)):
            asyncio.run(check(*stage))

    def _check_unreadable(self, spoil: Callable[[str], bool]) -> None:
        def keep(backend: DurableStateBackend) -> None:
            for number in range(10):
                backend.keep_result(node_at(number), number, LABEL)

        async def check() -> None:
            await self._begun(keep)
            if not await asyncio.to_thread(spoil, "run"):
                return
            backend = self.make_backend()
            try:
                await backend.open()
                for number in range(10):
                    try:
                        value = backend.get_result(node_at(number))
                    except CascadeError:
                        continue
                    raise AssertionError(
                        f"get_result gave {value!r} for a spoilt value; it must raise CascadeError"
                    )
            except StoreError:
                pass  # found out when it was opened
            finally:
                await backend.close()

        run_check(check)


def run_check(check: Check) -> None:
    """Run a check in an event loop of its own."""
    asyncio.run(check())


async def check_refused(doing: Awaitable[object], error: type[CascadeError]) -> CascadeError:
    """Return the error that something is refused with."""
    try:
        await doing
    except error as refused:
        return refused
    raise AssertionError(f"nothing was refused; it must raise {error.__name__}")


def record(target: str = "target") -> RunRecord:
    """Return a record of a run."""
    return RunRecord(
        target,
        "structure",
        (CodeRecord("module", "qualname", "1"), CodeRecord("module", "qualname.other", "")),
        {"name": b"\x00\xff", "": b""},
        {b"\x00" * 16: b"\xff" * 16, b"": b""},
        b"\xfesalt",
        DIGEST_RULES,
    )


def round_of(frame: FrameKey) -> int:
    """Return the round of the run's own loop that a frame belongs to."""
    while frame.parent is not None:
        frame = frame.parent
    return frame.number


def frames_below(node: NodeKey) -> list[FrameKey]:
    """Return three frames below a node, each in the one before: a round, an item of a map, and a round again."""
    loop = round_at(node)
    item = item_of(loop, 2)
    return [loop, item, round_at(NodeKey(item, ROOT), 1)]
