"""What a worker process does: it answers one request at a time, in its main thread.

The process ends when its parent says so, or has ended itself.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from cascade.adapters.executors.boundary_errors import UnguardedMainError
from cascade.adapters.executors.chunks import CHUNK_SECONDS
from cascade.adapters.executors.worker_processes.crash_record import CrashRecord, open_shared_memory
from cascade.adapters.executors.worker_processes.messages import Reply, ReplyKind, Request, Setup, report_of
from cascade.adapters.executors.worker_processes.served_chunk import ServedChunk
from cascade.adapters.executors.worker_processes.worker_loading import Loader
from cascade.adapters.travelling.open_resources import OPEN_HERE, RELEASE_SECONDS
from cascade.spec.task import AnyTask

_LOOK_SECONDS = 2.0
"""How often to look whether the parent lives: a copy of its end of the channel may outlive it in a forked process."""

_PATIENCE_SECONDS = 5.0
"""What the end of an idle process may take: threads that a task left behind, exit handlers."""

_ROUND_SECONDS = 0.5
"""How long to wait for the end of a call whose parent is gone, before it is ended with the process."""


def serve(channel: Connection, memory: str) -> None:
    """Answer requests until the parent closes the channel, or is gone; `memory` is that of the crash record."""
    # The parent decides what an interrupt means. A handler, as a process that a task starts would inherit "ignored".
    signal.signal(signal.SIGINT, lambda *_: None)
    record = CrashRecord(open_shared_memory(memory))
    setup: Setup = pickle.loads(channel.recv_bytes())
    sys.argv[:] = setup.argv
    worker = _Server(channel, setup, record)
    threading.Thread(target=worker.read, name="cascade-channel", daemon=True).start()
    try:
        worker.answer_all()
    except BrokenPipeError:  # the parent is gone, and nobody waits for the answer
        _end_now()
    OPEN_HERE.close()


class _Server:
    def __init__(self, channel: Connection, setup: Setup, record: CrashRecord) -> None:
        self._channel = channel
        self._parent = setup.parent
        self._record = record
        self._loader = Loader(setup)
        self._requests: queue.SimpleQueue[tuple[Request, ServedChunk | None] | None] = queue.SimpleQueue()
        self._is_idle = threading.Event()
        self._is_idle.set()

    def read(self) -> None:
        """Receive what the parent sends. A thread does that: so it notices during a call that the parent has ended."""
        try:
            while True:
                while not self._channel.poll(_LOOK_SECONDS):
                    if os.name == "posix" and os.getppid() != self._parent:
                        raise EOFError
                self._receive()
        except (EOFError, OSError):
            # Its last answer may be out while it has not come round to wait for another request yet.
            if self._is_idle.wait(_ROUND_SECONDS):
                self._requests.put(None)
                time.sleep(RELEASE_SECONDS if OPEN_HERE.is_in_use else _PATIENCE_SECONDS)
            _end_now()

    def _receive(self) -> None:
        request: Request = pickle.loads(self._channel.recv_bytes())
        if not request.sizes:
            self._requests.put((request, None))
            return
        chunk = ServedChunk(self._channel, self._record, request, self._channel.recv_bytes())
        self._requests.put((request, chunk))
        # After this time the worker has one call left, whose end ends the chunk.
        if len(request.sizes) > 1 and not self._channel.poll(CHUNK_SECONDS):
            chunk.give_back()

    def answer_all(self) -> None:
        """Answer one request after the other."""
        while (asked := self._requests.get()) is not None:
            self._is_idle.clear()
            self._answer(*asked)
            del asked  # nothing of a call is kept until the next one
            self._is_idle.set()

    def _answer(self, request: Request, chunk: ServedChunk | None) -> None:
        loaded = self._load(request)
        if isinstance(loaded, Reply):
            if chunk is not None:
                chunk.drop()
            self._channel.send_bytes(pickle.dumps(loaded))
        elif chunk is None:
            self._channel.send_bytes(pickle.dumps(Reply(ReplyKind.DONE)))
        else:
            chunk.make_calls(loaded, self._loader)

    def _load(self, request: Request) -> AnyTask | Reply:
        try:
            return self._loader.load(request.module, request.qualname)
        except UnguardedMainError as error:
            return Reply(ReplyKind.UNGUARDED, what=error.file)
        except BaseException as error:  # noqa: BLE001 - whatever the module's code raises
            return Reply(ReplyKind.NOT_LOADED, report_of(error, 1))


def _end_now() -> None:
    """End this process and those that its calls have started."""
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
