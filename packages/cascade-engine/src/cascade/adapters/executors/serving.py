"""What a worker process does: it makes one call at a time, in its main thread.

Objects of the user's are pickled, called and unpickled inside a `try`: whatever they raise goes back as data. The
process ends when its parent says so, or has ended itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pickle
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from cascade.adapters.executors.boundary_errors import UnguardedMainError
from cascade.adapters.executors.exception_pickling import encode_exception
from cascade.adapters.executors.messages import Reply, ReplyKind, Request, Setup, report_of
from cascade.adapters.executors.worker_loading import Loader
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.task import AnyTask

_LOOK_SECONDS = 2.0
"""How often to look whether the parent lives: a copy of its end of the channel may outlive it in a forked process."""

_PATIENCE_SECONDS = 5.0
"""What the end of an idle process may take whose parent is gone: threads that a task left behind, exit handlers."""


def serve(channel: Connection) -> None:
    """Answer requests until the parent closes the channel, or is gone."""
    # The parent decides what an interrupt means. A handler, as a process that a task starts would inherit "ignored".
    signal.signal(signal.SIGINT, lambda *_: None)
    setup: Setup = pickle.loads(channel.recv_bytes())
    sys.argv[:] = setup.argv
    worker = _Server(channel, setup)
    threading.Thread(target=worker.read, name="cascade-channel", daemon=True).start()
    worker.answer_all()


class _Server:
    def __init__(self, channel: Connection, setup: Setup) -> None:
        self._channel = channel
        self._parent = setup.parent
        self._loader = Loader(setup)
        self._requests: queue.SimpleQueue[tuple[Request, bytes] | None] = queue.SimpleQueue()
        self._is_busy = False

    def read(self) -> None:
        """Receive what the parent sends. A thread does that: so it notices during a call that the parent has ended."""
        try:
            while True:
                while not self._channel.poll(_LOOK_SECONDS):
                    if os.name == "posix" and os.getppid() != self._parent:
                        raise EOFError
                request = pickle.loads(self._channel.recv_bytes())
                self._requests.put((request, self._channel.recv_bytes() if request.is_call else b""))
        except (EOFError, OSError):
            if not self._is_busy:
                self._requests.put(None)
                time.sleep(_PATIENCE_SECONDS)
            _end_now()

    def answer_all(self) -> None:
        """Answer one request after the other."""
        while (asked := self._requests.get()) is not None:
            self._is_busy = True
            reply, body = self._answer(*asked)
            for stream in (sys.stdout, sys.stderr):
                _flush(stream)
            self._channel.send_bytes(pickle.dumps(reply))
            self._channel.send_bytes(body)
            del asked, body  # nothing of a call is kept until the next one
            self._is_busy = False

    def _answer(self, request: Request, payload: bytes) -> tuple[Reply, bytes]:
        try:
            task = self._loader.load(request.module, request.qualname)
        except UnguardedMainError as error:
            return Reply(ReplyKind.UNGUARDED, what=error.file), b""
        except BaseException as error:  # noqa: BLE001 - whatever the module's code raises
            return Reply(ReplyKind.NOT_LOADED, report_of(error, 1)), b""
        return self._call(task, payload) if request.is_call else (Reply(ReplyKind.DONE), b"")

    def _call(self, task: AnyTask, payload: bytes) -> tuple[Reply, bytes]:
        try:
            args, kwargs = self._loader.decode(payload)
        except BaseException as error:  # noqa: BLE001 - a user's object may do anything
            return Reply(ReplyKind.REFUSED, report_of(error, 1), "an argument"), b""
        try:
            value = task.func(*args, **kwargs)
            if inspect.isawaitable(value) and not isinstance(value, StandsForValue):
                value = asyncio.run(_wait_for(value))
        except BaseException as error:  # noqa: BLE001 - raised again in the parent
            return Reply(ReplyKind.RAISED, report_of(error, 1)), _encoded(error)
        try:
            return Reply(ReplyKind.DONE), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # noqa: BLE001 - as for arguments
            return Reply(ReplyKind.REFUSED, report_of(error, 1), "the result"), b""


async def _wait_for(value: Any) -> Any:
    return await value


def _encoded(error: BaseException) -> bytes:
    try:
        return encode_exception(error)
    except BaseException:  # noqa: BLE001 - what stands for it is its text
        return b""


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):  # closed or replaced by the task: its own affair
        stream.flush()


def _end_now() -> None:
    """End this process and those that its calls have started."""
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
