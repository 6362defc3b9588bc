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
from multiprocessing.connection import Connection, Pipe
from multiprocessing.spawn import get_executable
from pathlib import Path

from cascade.adapters.executors import main_guard as guard
from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    UnguardedMainError,
    WorkerDiedError,
    WorkerLoadError,
)
from cascade.adapters.executors.locations import main_location, odd_locations, reference_here
from cascade.adapters.executors.messages import ErrorReport, Reply, ReplyKind, Request, Setup, report_of
from cascade.adapters.executors.waiting import Outcome
from cascade.adapters.executors.worker_slots import WorkerSlot
from cascade.spec.calls.error_text import add_note
from cascade.spec.task import AnyTask, TaskReference

_BOOT = (
    "import sys; from multiprocessing import connection as c;"
    "ch = getattr(c, 'PipeConnection', c.Connection)(int(sys.argv[1])); sys.path[:] = ch.recv();"
    "from cascade.adapters.executors.serving import serve; serve(ch)"
)
"""Run with `-P`: no module of the current folder stands in for those that Python itself needs to begin."""

_LOOK_SECONDS = 0.5
"""How often to look whether a worker lives that does not answer: a process that it forked may hold its channel open."""

_END_SECONDS = 5.0
"""What the end of an idle worker may take before it is killed."""


class Worker:
    """One process, started by the first request. `slot` is the slot that it is used in."""

    def __init__(self) -> None:
        self.slot = WorkerSlot()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None
        self._is_killed = False
        self._loaded: set[TaskReference] = set()

    @property
    def lives(self) -> bool:
        """Whether the worker can take another request."""
        process = self._process
        return not self._is_killed and (process is None or process.poll() is None)

    def has_loaded(self, task: AnyTask) -> bool:
        """Tell whether the process knows a task, so that a call of it begins at once."""
        return reference_here(task) in self._loaded

    def load(self, task: AnyTask) -> Outcome:
        """Start the process if need be, and import the task's module there."""
        return self._ask(task, None)

    def call(self, task: AnyTask, args: tuple[object, ...], kwargs: dict[str, object]) -> Outcome:
        """Make a call and wait for its end; return its value or its exception."""
        try:
            payload = pickle.dumps((args, kwargs), pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # noqa: BLE001 - a user's object may do anything
            return False, _refusal(task, _culprit(task, args, kwargs), report_of(error))
        return self._ask(task, payload)

    def kill(self) -> None:
        """End the process, and those that its call has started, without asking."""
        with self._lock:
            self._is_killed = True
            process = self._process
        if process is not None and process.poll() is None:
            _kill(process)

    def end(self) -> None:
        """Let the idle process end in order; kill it if it does not."""
        process, channel = self._process, self._channel
        self._is_killed = True
        if channel is not None:
            channel.close()
        if process is None:
            return
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()

    def _ask(self, task: AnyTask, payload: bytes | None) -> Outcome:
        name = "" if self._process is None else task.name
        try:
            channel = self._started()
            name = task.name
            channel.send_bytes(pickle.dumps(Request(*reference_here(task), payload is not None)))
            if payload is not None:
                channel.send_bytes(payload)
            reply: Reply = pickle.loads(self._receive(channel))
            body = self._receive(channel)
        except UnguardedMainError as error:
            return False, error
        except Exception:  # noqa: BLE001 - it is gone, or what it sends is no answer
            return False, WorkerDiedError(name, self._reap())
        if reply.kind is ReplyKind.DONE:
            self._loaded.add(reference_here(task))
            return (True, None) if payload is None else _value(task, body)
        return False, _failure(task, reply, body)

    def _started(self) -> Connection:
        if self._channel is not None:
            return self._channel
        guard.check_not_loading()
        ours, theirs = Pipe()
        try:
            process = _start(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
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


def _start(channel: Connection) -> subprocess.Popen[bytes]:
    """Start a process that inherits the channel, standard output and standard error, and nothing else.

    It leads a process group of its own: an interrupt at the terminal goes to this process alone, and processes that the
    worker starts end with it.
    """
    executable = os.fsdecode(get_executable())
    handle = channel.fileno()
    command = [executable, *_interpreter_flags(), "-P", "-c", _BOOT, str(handle)]
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, startupinfo=startup)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(handle,), process_group=0)


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


def _value(task: AnyTask, body: bytes) -> Outcome:
    try:
        return True, pickle.loads(body)
    except BaseException as error:  # noqa: BLE001 - a user's object may do anything
        return False, _refusal(task, "the result", report_of(error))


def _failure(task: AnyTask, reply: Reply, body: bytes) -> BaseException:
    if reply.kind is ReplyKind.UNGUARDED:
        return UnguardedMainError(reply.what)
    error = reply.error
    assert error is not None
    if reply.kind is ReplyKind.NOT_LOADED:
        return WorkerLoadError(
            task.name, str(reference_here(task)), f"{error.kind}: {error.text}", error.trace
        )
    if reply.kind is ReplyKind.REFUSED:
        return _refusal(task, reply.what, error)
    return _noted(_exception(task, error, body), error.trace)


def _exception(task: AnyTask, report: ErrorReport, body: bytes) -> BaseException:
    try:
        error = pickle.loads(body) if body else None
    except BaseException:  # noqa: BLE001 - as for a value
        error = None
    return error if isinstance(error, BaseException) else RemoteError(task.name, *report)


def _refusal(task: AnyTask, what: str, report: ErrorReport) -> BaseException:
    return _noted(BoundaryError(task.name, what, *report), report.trace)


def _noted(error: BaseException, trace: str) -> BaseException:
    """Add the traceback in the other process to an error, as a note: frames can't be sent."""
    if trace:
        add_note(error, f"in another process:\n{trace}")
    return error


def _culprit(task: AnyTask, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Return which argument can't be pickled."""
    given: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    for argument, value in given:
        try:
            pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except BaseException:  # noqa: BLE001 - as above
            return f"argument '{task.parameter_at(argument)}'"
    return "an argument"
