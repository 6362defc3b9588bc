"""State in PostgreSQL, shared by many hosts. Needs the extra `cascade-engine[postgres]`."""

from __future__ import annotations

from typing import Any

from cascade.adapters.postgres_server import PostgresServer
from cascade.adapters.state.journal import Durability
from cascade.adapters.state.postgres.postgres_layout import PREFIX
from cascade.adapters.state.postgres.postgres_runs import PostgresRuns
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.servers.server_journal import ServerJournal, ServerStates
from cascade.adapters.state.servers.sharing import RunsOfStore
from cascade.adapters.state.timed_lease import LEASE_SECONDS
from cascade.adapters.values.kept_values import KeptValues
from cascade.spec.protocols import Codec


class PostgresStateBackend(RecordedState):
    """The facts of one run in a PostgreSQL server, in tables whose names begin with `prefix`.

    `durability="sync"` waits until a commit is on the server's disk, `"async"` does not. The facts of the last
    `keep_rounds` rounds of the run's own loop stay in the store. A run whose process is gone can be taken over after
    `lease_seconds`.

    Raises:
        MissingExtraError: If the extra is not installed.
        SpecError: If `url` is none of PostgreSQL, or no table can have the `prefix`.
        PolicyError: If there is no such durability, or a lease is to last no time.
    """

    def __init__(  # noqa: PLR0913 - public settings
        self,
        url: str | PostgresServer,
        *,
        run_id: str,
        durability: str = Durability.SYNC,
        keep_rounds: int = 1,
        codec: Codec | None = None,
        values: KeptValues | None = None,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        journal = PostgresJournal(
            url, run_id, Durability.of(durability), lease_seconds=lease_seconds, prefix=prefix
        )
        super().__init__(journal, run_id, codec=codec, keep_rounds=keep_rounds, values=values)


class PostgresStates(ServerStates):
    """Makes the state backends of runs in one server. `options` are those of `PostgresStateBackend`.

    After `keep_open` the runs share connections, a writer and a keeper of their leases, until `close`: opening a
    connection takes longer than a short run.
    """

    def __init__(
        self,
        url: str,
        *,
        codec: Codec | None = None,
        keep_rounds: int = 1,
        values: KeptValues | None = None,
        **options: Any,
    ) -> None:
        super().__init__(lambda: _runs(url, **options), codec=codec, keep_rounds=keep_rounds, values=values)


class PostgresJournal(ServerJournal):
    """One run's rows in a PostgreSQL server. Given a `PostgresServer`, it leaves that open when it is closed."""

    def __init__(
        self,
        url: str | PostgresServer,
        run_id: str,
        durability: Durability,
        *,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        runs = _runs(url, durability, lease_seconds=lease_seconds, prefix=prefix)
        super().__init__(runs, run_id, closes=isinstance(url, str))


def _runs(
    url: str | PostgresServer,
    durability: str = Durability.SYNC,
    *,
    lease_seconds: float = LEASE_SECONDS,
    prefix: str = PREFIX,
) -> RunsOfStore:
    server = PostgresServer(url) if isinstance(url, str) else url
    return RunsOfStore(PostgresRuns(server, prefix, Durability.of(durability), lease_seconds))
