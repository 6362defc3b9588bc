"""What the persistence of a Redis server means for the runs that are recorded in it."""

from __future__ import annotations

from cascade.adapters.redis_server import RedisServer
from cascade.adapters.state.catalog import Finding

_SUBJECT = "store persistence"
_ASKS_DISK = (7, 2)
"""The first version of the server that can be asked to wait for its disk."""


def inspect_server(server: RedisServer) -> list[Finding]:
    """Return a server's version, and whether its persistence keeps what `durability="sync"` promises.

    Raises:
        StoreError: If the server can't be read.
    """
    with server.blocking_client() as client:
        version = str(client.info("server")["redis_version"])
        try:
            settings = {**client.config_get("appendonly"), **client.config_get("appendfsync")}
        except server.refused:
            settings = {}
    return [Finding("store version", f"Redis {version}"), _persistence(version, settings)]


def _persistence(version: str, settings: dict[str, str]) -> Finding:
    if not settings:
        return Finding(_SUBJECT, "not known: the server refuses CONFIG; durability sync needs appendonly yes")
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    if settings.get("appendonly") != "yes":
        lost = f"{shown}: runs are lost when the server ends, durability sync is not kept"
        return Finding(_SUBJECT, lost, "set appendonly yes and appendfsync always")
    when = settings.get("appendfsync")
    if when == "always":
        return Finding(_SUBJECT, f"{shown}: durability sync survives loss of power")
    if when == "everysec" and tuple(map(int, version.split(".")[:2])) >= _ASKS_DISK:
        return Finding(_SUBJECT, f"{shown}: durability sync survives loss of power, each commit waits for it")
    return Finding(_SUBJECT, f"{shown}: durability sync is not kept", "set appendfsync always")
