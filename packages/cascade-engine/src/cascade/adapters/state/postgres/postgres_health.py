"""What the settings of a PostgreSQL server mean for the runs that are recorded in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.adapters.state.catalog import Finding

if TYPE_CHECKING:
    import psycopg

_SUBJECT = "store persistence"
_SETTINGS = ("fsync", "full_page_writes")
"""What a commit that waits for the disk needs to survive the loss of power."""


def inspect_server(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Finding]:
    """Return a server's version, and whether its settings keep what `durability="sync"` promises."""
    version, *settings = (
        str(row[0])
        for name in ("server_version", *_SETTINGS)
        for row in connection.execute(f"SHOW {name}".encode()).fetchall()
    )
    return [
        Finding("store version", f"PostgreSQL {version}"),
        _persistence(dict(zip(_SETTINGS, settings, strict=True))),
    ]


def _persistence(settings: dict[str, str]) -> Finding:
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    wrong = [name for name, value in settings.items() if value != "on"]
    if wrong:
        remedy = " and ".join(f"set {name} on" for name in wrong)
        return Finding(_SUBJECT, f"{shown}: loss of power may damage the whole database", remedy)
    return Finding(
        _SUBJECT, f"{shown}: durability sync survives loss of power, each commit waits for the disk"
    )
