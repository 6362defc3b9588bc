"""Workers: processes that make calls for this process, as this process sees them.

Methods that wait must be called in a thread. If a worker fails in any way, it ends, and only the call that it was
making fails. `kill` ends a worker from any thread.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import TypeAlias

from cascade.adapters.executors.boundary_errors import UnguardedMainError, WorkerDiedError
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.waiting import Outcome
from cascade.adapters.executors.worker_processes import main_guard as guard
from cascade.adapters.executors.worker_processes.crash_record import CrashRecord, make_shared_memory
from cascade.adapters.executors.worker_processes.locations import main_location, odd_locations, reference_here
from cascade.adapters.executors.worker_processes.messages import ChunkReply, Reply, ReplyKind, Request, Setup
from cascade.adapters.executors.worker_processes.sent_chunk import SentChunk, load_failure
from cascade.adapters.executors.worker_slots import WorkerSlot
from cascade.adapters.travelling.luggage import Luggage
from cascade.adapters.travelling.open_resources import RELEASE_SECONDS
from cascade.spec.task import AnyTask, TaskReference

_BOOT = (
    "import sys; from multiprocessing import connection as c;"
    "ch = getattr(c, 'PipeConnection', c.Connection)(int(sys.argv[1])); sys.path[:] = ch.recv();"
    "from cascade.adapters.executors.worker_processes.serving import serve; serve(ch, sys.argv[2])"
)
"""Run with `-P`: no module of the current folder stands in for those that Python itself needs to begin."""

_LOOK_SECONDS = 0.5
"""How often to look whether a worker lives that does not answer: a process that it forked may hold its channel open."""

_END_SECONDS = 5.0
"""What the end of an idle worker may take before it is killed."""

Report: TypeAlias = Callable[[Progress, bool], None]
"""Called with what has happened to a chunk, and whether that is all: the worker is free then."""


class Worker:
    """One process, started by the first request. `slot` is the slot that it is used in."""

    def __init__(self) -> None:
        self.slot = WorkerSlot()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None
        self._is_killed = False
        self._record: CrashRecord | None = None
        self._loaded: set[TaskReference] = set()
        self._end_seconds = _END_SECONDS

    @property
    def lives(self) -> bool:
        """Whether the worker can take another request, as far as is known: it may have died since its last one."""
        return not self._is_killed

    def has_loaded(self, task: AnyTask) -> bool:
        """Tell whether the process knows a task, so that a call of it begins at once."""
        return reference_here(task) in self._loaded

    def load(self, task: AnyTask) -> Outcome:
        """Start the process if need be, and import the task's module there."""
        name = "" if self._process is None else task.name
        try:
            channel = self._started()
            name = task.name
            channel.send_bytes(pickle.dumps(Request(*reference_here(task))))
            reply: Reply = pickle.loads(self._receive(channel))
        except UnguardedMainError as error:
            return False, error
        except Exception:  # noqa: BLE001 - it is gone, or what it sends is no answer
            return False, WorkerDiedError(name, self._reap())
        if reply.kind is ReplyKind.DONE:
            self._loaded.add(reference_here(task))
            return True, None
        return False, load_failure(task, reply)

    def call_chunk(
        self,
        task: AnyTask,
        calls: Sequence[ChunkCall],
        luggage: Luggage | None,
        report: Report,
    ) -> None:
        """Make calls one after the other and wait for their end; report what happens to them.

        If the process dies, the call under way fails, and those that have not begun have no end.
        """
        sent = SentChunk(task, calls, luggage)
        if luggage is not None and luggage.resource_modules:
            self._end_seconds = RELEASE_SECONDS
        if sent.refused:
            report(Progress(sent.refused), not sent.sizes)
        if sent.sizes:
            self._call_chunk(sent, report)

    def call(self, task: AnyTask, call: ChunkCall, luggage: Luggage | None) -> Outcome:
        """Make a call and wait for its end; return its value or its exception."""
        ends: list[CallEnd] = []
        self.call_chunk(task, [call], luggage, lambda progress, is_last: ends.extend(progress.ends))
        if not ends:
            return False, WorkerDiedError(task.name, self._reap())  # it was killed
        end = ends.pop()
        return [True, end.value] if end.error is None else [False, end.error]

    def kill(self) -> None:
        """End the process, and those that its call has started, without asking."""
        with self._lock:
            self._is_killed = True
            process = self._process
        if process is not None and process.poll() is None:
            _kill(process)

    def leave(self) -> None:
        """Close the channel in a forked child, so that the process sees when the parent has gone."""
        if self._channel is not None:
            self._channel.close()

    def end(self) -> None:
        """Let the idle process end in order; kill it if it does not."""
        process, channel = self._process, self._channel
        self._is_killed = True
        if channel is not None:
            channel.close()
        if process is None:
            return
        try:
            process.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()

    def _call_chunk(self, sent: SentChunk, report: Report) -> None:
        name = "" if self._process is None else sent.task.name
        try:
            channel = self._started()
            name = sent.task.name
            # A worker that dies before it has got this chunk must not leave ends of the one before.
            if self._record is not None:
                self._record.begin_chunk()
            request = Request(*reference_here(sent.task), sent.sizes, sent.facts, sent.luggage)
            channel.send_bytes(pickle.dumps(request))
            channel.send_bytes(sent.take_payload())
            while True:
                answer = pickle.loads(self._receive(channel))
                if isinstance(answer, Reply):
                    report(sent.not_loaded(answer), True)
                    return
                reply = ChunkReply(*answer)
                report(sent.progress(reply, self._receive(channel), self._worker), reply.is_last)
                if reply.is_last:
                    return
        except UnguardedMainError as error:
            report(sent.not_loaded(Reply(ReplyKind.UNGUARDED, what=error.file)), True)
        except Exception:  # noqa: BLE001 - it is gone, or what it sends is no answer
            was_killed = self._is_killed
            died = WorkerDiedError(name, self._reap())
            begun, ends = (-1, b"") if self._record is None else self._record.read()
            report(sent.remains(begun, ends, None if was_killed else died, self._worker), True)

    @property
    def _worker(self) -> str:
        return "" if self._process is None else f"process {self._process.pid}"

    def _started(self) -> Connection:
        if self._channel is not None:
            return self._channel
        guard.check_not_loading()
        ours, theirs = Pipe()
        shared = make_shared_memory()
        try:
            process = _start(theirs, shared.handle)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            shared.close_handle()
        self._record = CrashRecord(shared.memory)
        with self._lock:
            self._process, self._channel = process, ours
            is_killed = self._is_killed
        if is_killed:
            _kill(process)
        ours.send([each or str(Path.cwd()) for each in sys.path])
        ours.send_bytes(pickle.dumps(Setup(os.getpid(), sys.argv, main_location(), odd_locations())))
        return ours

    def _receive(self, channel: Connection) -> bytes:
        assert self._process is not None
        while not channel.poll(_LOOK_SECONDS):
            if self._process.poll() is not None and not channel.poll(0):
                raise EOFError
        return channel.recv_bytes()

    def _reap(self) -> int | None:
        """Make sure that the process has ended; return its exit code."""
        self._is_killed = True
        process, channel = self._process, self._channel
        if channel is not None:
            channel.close()
        if process is None:
            return None
        try:
            return process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            return process.wait()


def _start(channel: Connection, memory: str) -> subprocess.Popen[bytes]:
    """Start a process that inherits the channel, the crash record, standard output and error, and nothing else.

    It leads a process group of its own: an interrupt at the terminal goes to this process alone, and processes that the
    worker starts end with it.
    """
    executable = os.fsdecode(get_executable())
    handle = channel.fileno()
    command = [executable, *_interpreter_flags(), "-P", "-c", _BOOT, str(handle), memory]
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, startupinfo=startup)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=(handle, int(memory)), process_group=0
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform != "win32":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        else:
            return
    process.kill()


def _interpreter_flags() -> list[str]:
    """Return the options of this interpreter that change what code does."""
    flags = [
        f"-{letter * int(getattr(sys.flags, name))}"
        for letter, name in _FLAGS.items()
        if int(getattr(sys.flags, name)) > 0
    ]
    warned = [f"-W{each}" for each in sys.warnoptions]
    extra = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]  # noqa: SLF001 - documented, in spite of its name
    return [*flags, *warned, *extra]


_FLAGS = {
    "B": "dont_write_bytecode",
    "E": "ignore_environment",
    "O": "optimize",
    "S": "no_site",
    "b": "bytes_warning",
    "s": "no_user_site",
}
