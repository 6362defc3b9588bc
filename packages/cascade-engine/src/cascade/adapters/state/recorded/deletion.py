"""Deletion: a run is deleted with all that is recorded of it, in its store and in its value store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from cascade.adapters.state.catalog import Catalog
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import DamagedDataError, RunDamagedError, RunNotFoundError, SpecError, StoreError

DELETED = "deleted"
"""The folder of marks in a value store: each names a folder of values that is to be removed."""


def folders_of_values(catalog: Catalog, run_id: str) -> list[str]:
    """Return the folders of a run's large values in a value store; none if it has none, or its record is damaged.

    There may be some of earlier runs of its id, which was begun anew without the value store.
    """
    try:
        data = catalog.record(run_id)
        if data is None:
            return []
        record = FactCodec(None, run_id, "").decode_record(data)
    except RunDamagedError:
        return []
    return [*filter(None, (record.values, *record.left))]


def check_has_no_values(catalog: Catalog, run_id: str) -> None:
    """Check that a run can be deleted without a value store.

    Raises:
        SpecError: If it has values in one.
    """
    if folders_of_values(catalog, run_id):
        raise SpecError(
            f"run '{run_id}' keeps large values in a value store",
            "give its URL too, --values URL, so that they are deleted with the run",
        )


def delete_run(catalog: Catalog, run_id: str, values: ValueStore | None) -> None:
    """Delete a run. Its values go after its facts: so no fact points to a value that is gone.

    A process that is killed between the two leaves a mark in the value store. Who deletes the run again, which is not
    there any more, finishes that.

    Raises:
        RunNotFoundError: If the store has no such run, and there is no such mark.
        RunActiveError: If somebody drives it.
        SpecError: If it has values in a value store, and none is given.
        StoreError: If some of these can't be deleted; it names their folder.
    """
    if values is None:
        check_has_no_values(catalog, run_id)
        catalog.delete(run_id)
        return
    marks = _Marks(values, catalog, run_id)
    folders = folders_of_values(catalog, run_id)
    marks.put(folders)
    try:
        catalog.delete(run_id)
    except RunNotFoundError:
        if not marks.folders():
            raise
    for folder in {*folders, *marks.folders()}:
        values.delete(folder)
        if next(iter(values.names(folder)), None) is not None:
            raise StoreError(
                f"{values}", f"the run is deleted, but not all of its values: delete the folder {folder}"
            )
        marks.remove(folder)


def is_half_deleted(catalog: Catalog, run_id: str, values: ValueStore) -> bool:
    """Tell whether values of a run are left that was deleted by a process which was killed meanwhile."""
    return bool(_Marks(values, catalog, run_id).folders())


class _Mark(NamedTuple):
    """Says that a folder is to be removed, with the run of a store whose values it has."""

    store: str
    run_id: str
    folder: str


class _Marks:
    """The marks of one run: it is deleted, or about to be. A store that does not tell its address has none."""

    def __init__(self, values: ValueStore, catalog: Catalog, run_id: str) -> None:
        self._values = values
        self._store = str(getattr(catalog, "address", ""))
        self._run_id = run_id

    def put(self, folders: Iterable[str]) -> None:
        """Mark folders."""
        for folder in folders if self._store else ():
            mark = _Mark(self._store, self._run_id, folder)
            self._values.put(_name_of(folder), msgspec.json.encode(mark), safe=True)

    def remove(self, folder: str) -> None:
        """Remove the mark of a folder that is gone."""
        if self._store:
            self._values.delete(_name_of(folder))

    def folders(self) -> list[str]:
        """Return the folders that are marked."""
        found = []
        for name, _, size in self._values.names(DELETED) if self._store else ():
            with suppress(DamagedDataError, msgspec.DecodeError):  # another process has just removed it
                mark = msgspec.json.decode(self._values.get(name, size), type=_Mark)
                if (mark.store, mark.run_id) == (self._store, self._run_id):
                    found.append(mark.folder)
        return found


def _name_of(folder: str) -> str:
    return f"{DELETED}/{folder.rpartition('/')[2]}"
