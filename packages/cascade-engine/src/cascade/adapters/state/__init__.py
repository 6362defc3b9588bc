"""State backends: the facts of one run, in memory or beyond the process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cascade.adapters.state.memory_state import InMemoryStateBackend

if TYPE_CHECKING:
    from cascade.adapters.state.catalog import (
        Catalog,
        FactPage,
        FactSummary,
        Finding,
        Inspectable,
        RunPage,
        RunSummary,
    )
    from cascade.adapters.state.journal import (
        Changes,
        Durability,
        Fact,
        Head,
        Journal,
        Kind,
        Loaded,
        TimelinePart,
    )
    from cascade.adapters.state.postgres.postgres_catalog import PostgresCatalog
    from cascade.adapters.state.postgres.postgres_journal import (
        PostgresJournal,
        PostgresStateBackend,
        PostgresStates,
    )
    from cascade.adapters.state.recorded.durable_state import RecordedState
    from cascade.adapters.state.redis.redis_catalog import RedisCatalog
    from cascade.adapters.state.redis.redis_journal import RedisJournal, RedisStateBackend, RedisStates
    from cascade.adapters.state.sqlite.sqlite_catalog import SqliteCatalog
    from cascade.adapters.state.sqlite.sqlite_journal import SqliteStateBackend, SqliteStates
    from cascade.adapters.state.sqlite.sqlite_library import inspect_library

__all__ = [
    "Catalog",
    "Changes",
    "Durability",
    "Fact",
    "FactPage",
    "FactSummary",
    "Finding",
    "Head",
    "InMemoryStateBackend",
    "Inspectable",
    "Journal",
    "Kind",
    "Loaded",
    "PostgresCatalog",
    "PostgresJournal",
    "PostgresStateBackend",
    "PostgresStates",
    "RecordedState",
    "RedisCatalog",
    "RedisJournal",
    "RedisStateBackend",
    "RedisStates",
    "RunPage",
    "RunSummary",
    "SqliteCatalog",
    "SqliteStateBackend",
    "SqliteStates",
    "TimelinePart",
    "inspect_library",
]

# Loaded on first use: those who keep nothing need neither a codec nor a database.
_HOMES = {
    **dict.fromkeys(
        ("Catalog", "FactPage", "FactSummary", "Finding", "Inspectable", "RunPage", "RunSummary"), "catalog"
    ),
    **dict.fromkeys(
        ("Changes", "Durability", "Fact", "Head", "Journal", "Kind", "Loaded", "TimelinePart"), "journal"
    ),
    "PostgresCatalog": "postgres.postgres_catalog",
    **dict.fromkeys(
        ("PostgresJournal", "PostgresStateBackend", "PostgresStates"), "postgres.postgres_journal"
    ),
    "RecordedState": "recorded.durable_state",
    "RedisCatalog": "redis.redis_catalog",
    **dict.fromkeys(("RedisJournal", "RedisStateBackend", "RedisStates"), "redis.redis_journal"),
    "SqliteCatalog": "sqlite.sqlite_catalog",
    "inspect_library": "sqlite.sqlite_library",
    **dict.fromkeys(("SqliteStateBackend", "SqliteStates"), "sqlite.sqlite_journal"),
}

if not TYPE_CHECKING:  # hidden from type checkers, for whom every misspelt name would be found here

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{home}"), name)
