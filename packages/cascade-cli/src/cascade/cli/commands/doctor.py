"""`cascade doctor`: checks the installation, what Cascade needs from Python and its libraries, and a store."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from cascade.adapters.addresses import address_of
from cascade.adapters.state import Catalog, Finding, Inspectable
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec import CascadeError, RunStatus, SpecError, StoreNotFoundError
from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.terminal_text import shown

_WHEELS = ("cascade-spec", "cascade-graph", "cascade-engine", "cascade-cli")


def diagnose(state: str | None) -> Iterator[Finding]:
    """Look at the installation, and at the store of a URL if there is one; give a finding for each thing looked at.

    Raises:
        SpecError: If the URL names no store.
    """
    yield Finding("python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield Finding("platform", platform.platform())
    yield wheels(installed(*_WHEELS))
    yield from _library()
    yield _package("msgspec", "", "pip install --force-reinstall cascade-engine")
    yield _package(
        "psycopg", "not installed; for postgresql:// stores: pip install 'cascade-engine[postgres]'", ""
    )
    yield _package("redis", "not installed; for redis:// stores: pip install 'cascade-engine[redis]'", "")
    if state is not None:
        yield from _store(state)


def installed(*names: str) -> dict[str, str]:
    """Return the versions of distributions, by name; empty for one that is not installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def wheels(versions: dict[str, str]) -> Finding:
    """Return a finding about the versions of Cascade's wheels, which have to be equal."""
    told = ", ".join(f"{name} {number or 'not installed'}" for name, number in versions.items())
    if len(set(versions.values())) == 1:
        return Finding(
            "cascade", told if any(versions.values()) else "not installed: it runs from its sources"
        )
    wanted = max(versions.values(), key=lambda number: [*versions.values()].count(number) if number else 0)
    commands = " ".join(f"{name}=={wanted}" for name in versions)
    return Finding("cascade", told, f"give all the same version: pip install {commands}")


def _library() -> list[Finding]:
    """Return findings about SQLite: whether this Python has it, and whether it is new enough."""
    if find_spec("_sqlite3") is None and find_spec("apsw") is None:
        return [Finding("sqlite", "this Python has none", "pip install 'cascade-engine[sqlite]'")]
    from cascade.adapters.state.sqlite.sqlite_library import inspect_library  # noqa: PLC0415 - needs sqlite3

    return inspect_library()


def _package(name: str, without: str, remedy: str) -> Finding:
    (number,) = installed(name).values()
    return Finding(name, number) if number else Finding(name, without or "not installed", remedy)


def _store(url: str) -> Iterator[Finding]:
    """Give findings about a store.

    Raises:
        SpecError: If the URL names none: that says nothing about the installation, the word is wrong.
    """
    try:
        with closing(catalog_from_url(url)) as catalog:
            yield Finding("store", address_of(url))
            yield from _contents(catalog)
    except StoreNotFoundError as problem:
        yield Finding("store", str(problem), "correct the URL; a run that is recorded there makes it")
    except SpecError:
        raise
    except CascadeError as problem:
        yield Finding(
            "store",
            str(problem),
            getattr(problem, "remedy", "")
            or "check the URL and who may read it; restore a damaged store from a copy",
        )


def _contents(catalog: Catalog) -> Iterator[Finding]:
    """Give findings about the runs in a store: how many there are, those of other versions, and damaged ones."""
    if isinstance(catalog, Inspectable):
        yield from catalog.inspect()
    runs = catalog.runs()
    driven = sum(bool(run.driver) for run in runs)
    interrupted = sum(run.is_interrupted for run in runs)
    told = f"{len(runs)}, {driven} driven now, {interrupted} interrupted"
    older = sorted({made_by(run.rules) for run in runs if run.rules != DIGEST_RULES})
    yield Finding("runs", told + (f"; some recorded by {', '.join(older)} can't go on" if older else ""))
    for run in runs:
        if run.status is RunStatus.DAMAGED:
            remedy = f"begin it anew with --restart, or cascade runs delete {shown(run.run_id)}"
            yield Finding("run", f"'{shown(run.run_id)}' is damaged", remedy)
