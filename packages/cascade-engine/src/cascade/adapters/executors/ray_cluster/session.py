"""A session: one connection of this process to Ray, from its opening to its end.

Ray ends with its session if it is ours, also when its processes have died: Ray would end this process otherwise, a
minute after its control service (GCS) has gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

import ray

from cascade.adapters.addresses import address_of, check_place
from cascade.adapters.executors.boundary_errors import ClusterGoneError
from cascade.adapters.executors.ray_cluster.liveness import LOOK_SECONDS, Door, Liveness

T = TypeVar("T")

_OWN = "local"
"""Ray's word for a Ray of this process. Without it Ray looks for one that runs on this machine, and waits long for one
that has crashed."""

_CLIENT = "ray://"

_SERVICE = "control service (GCS)"

_IDLE_LOOK_SECONDS = 10.0
"""How often to look whether Ray is there while nobody uses it."""

_END_SECONDS = 20.0
"""How long to wait for the end of a Ray: it ends within two, unless the machine is very busy."""

_RESTART_SECONDS = 10.0
"""How long the control service of a cluster may be away: it may be one that is started again, and remembers."""

_RECONNECT_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""How long Ray itself waits for that service before it ends this process."""


class Target(NamedTuple):
    """What an executor connects to: an address, or `None` for the one in `RAY_ADDRESS` or a Ray of its own.

    `runtime_env` says what the workers need, in Ray's words.
    """

    address: str | None
    runtime_env: Mapping[str, Any] | None

    def __str__(self) -> str:
        return "a Ray of this process" if self.resolved == _OWN else self.resolved

    @property
    def resolved(self) -> str:
        """The address as Ray takes it."""
        return self.address or os.environ.get("RAY_ADDRESS") or _OWN

    @property
    def remedy(self) -> str:
        """What to check if nobody answers at the address."""
        if self.resolved.startswith(_CLIENT):
            server = "Ray Client server, 10001 unless `ray start --ray-client-server-port` says otherwise"
        else:
            server = f"{_SERVICE}, 6379 unless `ray start --port` says otherwise"
        where = self.resolved if self.address else f"RAY_ADDRESS={self.resolved}"
        return (
            f"check that `ray start --head` runs there, that the port in {where} is that of its {server}, "
            f"and that this machine can reach it"
        )

    def check(self) -> None:
        """Check the address, as far as it says where somebody has to listen.

        Raises:
            SpecError: If it has no host, or no port that there can be.
        """
        address = self.resolved
        if address.startswith(_CLIENT) or ":" in address.partition("://")[0]:
            given = "RayExecutor" if self.address else "RAY_ADDRESS"
            problem = f"{given}: {address_of(address)!r} is not the address of a cluster"
            check_place(address, problem, "ray://host:10001 or host:6379")

    def doors(self) -> list[Door]:
        """Return where somebody has to listen before this process connects, as far as the address says it."""
        address = self.resolved
        if address.startswith(_CLIENT):
            return [_door("Ray Client server", address.removeprefix(_CLIENT).partition("/")[0])]
        is_named = address.rpartition(":")[2].isdecimal()
        return [_door(_SERVICE, address)] if is_named else []

    def connect(self) -> None:
        """Initialise Ray. Say nothing, and leave logging and signal handlers as they are."""
        options: dict[str, Any] = {"configure_logging": False}
        if self.runtime_env is not None:
            options["runtime_env"] = dict(self.runtime_env)
        if self.resolved == _OWN:
            options["include_dashboard"] = False
        with _quiet():
            ray.init(self.resolved, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class KeptReference:
    """Ray's name of a value, and the session that it was made in: another one knows nothing of it."""

    __slots__ = ("__weakref__", "name", "session")

    def __init__(self, name: Any, session: Session) -> None:
        self.name = name
        self.session = session


_buried: list[Any] = []
"""Names that have outlived their session. Nobody lets go of them: the next Ray of this process gives the same names to
its own values, and would take it for one of these that is not needed any more."""


class Session:
    """Knows whether Ray can be used, and lets nobody wait for one that is gone.

    With a `target` it has one thread initialise Ray, stay, and shut it down. Linux ends the processes that Ray starts
    as soon as the thread ends that has started them. It is a daemon thread: so it is still there when Ray's own exit
    handler runs in a program that has not closed its executor. Without one, Ray is what the program has initialised.

    `opened` is done as soon as Ray can be used, `ended` as soon as nothing is left here of a Ray that is ours.
    """

    def __init__(self, target: Target | None, before: Future[None] | None = None) -> None:
        self.target = target
        self.users = 0
        self.opened: Future[None] = Future()
        self.ended: Future[None] = Future()
        self.resources: Mapping[str, float] = {}
        self._program_address = "" if target is not None else program_address()
        self._liveness = Liveness([])
        self._before = before
        self._leave = threading.Event()
        self._kept: WeakSet[KeptReference] = WeakSet()
        work = self._look_around if target is None else self._keep
        threading.Thread(target=self._run, args=[work], name="cascade-ray", daemon=True).start()

    def __str__(self) -> str:
        return "the Ray of this program" if self.target is None else str(self.target)

    def kept(self, name: Any) -> KeptReference:
        """Return a reference to a value."""
        reference = KeptReference(name, self)
        self._kept.add(reference)
        return reference

    def bury(self) -> None:
        """Keep the names of values from being let go of when Ray is another one."""
        _buried.extend(each.name for each in [*self._kept])

    @property
    def is_over(self) -> bool:
        """Whether there should be another one."""
        has_failed = self.opened.done() and not self.was_open
        is_another = self.target is None and self._program_address != program_address()
        return has_failed or is_another or self._leave.is_set() or self._liveness.problem is not None

    @property
    def was_open(self) -> bool:
        """Whether Ray could be used at first."""
        return self.opened.done() and self.opened.exception() is None

    def leave(self) -> None:
        """Have Ray shut down if it is ours."""
        self._leave.set()

    # For those who wait

    async def open(self) -> None:
        """Wait until Ray can be used.

        Raises:
            ClusterGoneError: If it can't be.
        """
        if self.was_open:
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self.opened))
        except Exception as problem:
            text = str(problem).strip().partition("\n")[0] or type(problem).__name__
            if (
                isinstance(problem, ConnectionError)
                and self.target is not None
                and self.target.resolved != _OWN
            ):
                text = f"{text}; {self.target.remedy}"
            raise ClusterGoneError(str(self), text) from problem

    async def check(self, age: float = LOOK_SECONDS) -> None:
        """Look whether Ray is there, unless somebody has done so within the last `age` seconds.

        Raises:
            ClusterGoneError: If it is gone. If it is ours, all that is left of it has ended.
        """
        problem = await self._liveness.look(age)
        if problem is not None:
            self.leave()
            await self.end()
            raise ClusterGoneError(str(self), problem)

    async def end(self) -> None:
        """Wait until Ray has ended, within reason."""
        await asyncio.wait([asyncio.wrap_future(self.ended)], timeout=_END_SECONDS)

    async def until_done(self, work: asyncio.Future[Any]) -> None:
        """Wait until work of Ray's is done.

        Raises:
            ClusterGoneError: If Ray has gone meanwhile.
        """
        while not work.done():
            await asyncio.wait([work], timeout=LOOK_SECONDS)
            if work.done():
                return
            try:
                await self.check()
            except ClusterGoneError:
                work.cancel()
                raise

    async def ask(self, question: Callable[[], T]) -> T:
        """Return the answer to a question that Ray itself would wait for in this thread, without end.

        Raises:
            ClusterGoneError: If Ray has gone, or goes meanwhile.
        """
        await self.check()
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()  # so that who does not wait any more leaves the thread alone

        def run() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                answer.set_exception(error)

        threading.Thread(target=run, name="cascade-ray-question", daemon=True).start()
        waiting = asyncio.wrap_future(answer)
        await self.until_done(waiting)
        return waiting.result()

    # In the thread

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if self.opened.done():
                raise
            self.opened.set_exception(error)  # raised where it is waited for
        finally:
            self.ended.set_result(None)

    def _keep(self) -> None:
        assert self.target is not None
        if self._before is not None:
            self._before.result(_END_SECONDS)
        _knock(self.target.doors())  # Ray takes long to say that nobody is there
        self.target.connect()
        try:
            self._look_around()
            while not self._leave.wait(_IDLE_LOOK_SECONDS):
                if asyncio.run(self._liveness.look()) is not None:
                    break
        finally:
            self.bury()
            with _quiet():
                ray.shutdown()

    def _look_around(self) -> None:
        """Find out where Ray listens and what it has; see that it is there."""
        doors = [] if self.target is None else self.target.doors()
        if not _is_client():
            is_own = self.target is not None and self.target.resolved == _OWN
            doors = [_door(_SERVICE, _control_service(), 0.0 if is_own else _restart_seconds())]
            _knock(doors)
            doors.append(_raylet_door())
        _knock(doors)
        self._liveness = Liveness(doors)
        resources: Callable[[], Mapping[str, float]] = ray.cluster_resources
        self.resources = resources()
        self.opened.set_result(None)


def _knock(doors: Sequence[Door]) -> None:
    """See that somebody is there: Ray itself would wait for that.

    Raises:
        ConnectionError: If not.
    """
    at_once = [each._replace(patience=0.0) for each in doors]
    problem = asyncio.run(Liveness(at_once, was_there=False).look())
    if problem is not None:
        raise ConnectionError(problem)


def _raylet_door() -> Door:
    """Return that of the raylet on this machine, which all that is sent goes through."""
    here = ray.get_runtime_context().get_node_id()
    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    node = next(each for each in nodes() if each["NodeID"] == here)
    return Door("raylet", node["NodeManagerAddress"], node["NodeManagerPort"])


def program_address() -> str:
    """Return the address of the Ray that this process is connected to, none if it is not."""
    if not ray.is_initialized():
        return ""
    return _CLIENT if _is_client() else _control_service()


def _is_client() -> bool:
    connected: Callable[[], bool] = ray.util.client.ray.is_connected
    return connected()


def _control_service() -> str:
    return str(ray.get_runtime_context().gcs_address)


def _restart_seconds() -> float:
    given = os.environ.get(_RECONNECT_VARIABLE, "")
    seconds = float(given) - 2 * _IDLE_LOOK_SECONDS if given.isdecimal() else _RESTART_SECONDS
    return max(seconds, _RESTART_SECONDS)


def _door(process: str, address: str, patience: float = 0.0) -> Door:
    host, _, port = address.rpartition(":")
    return Door(process, host.strip("[]"), int(port), patience)
