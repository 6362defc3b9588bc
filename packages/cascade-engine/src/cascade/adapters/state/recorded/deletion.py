"""Deletion: a run is deleted with all that is recorded of it, in its store and in its value store."""

from __future__ import annotations

from cascade.adapters.state.catalog import Catalog
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import RunDamagedError, SpecError, StoreError


def folder_of_values(catalog: Catalog, run_id: str) -> str:
    """Return the folder of a run's large values in a value store; empty if it has none, or its record is damaged."""
    try:
        record = catalog.record(run_id)
        return "" if record is None else FactCodec(None, run_id, "").decode_record(record).values
    except RunDamagedError:
        return ""


def check_has_no_values(catalog: Catalog, run_id: str) -> None:
    """Check that a run can be deleted without a value store.

    Raises:
        SpecError: If it has values in one.
    """
    if folder_of_values(catalog, run_id):
        raise SpecError(
            f"run '{run_id}' keeps large values in a value store",
            "give its URL too, --values URL, so that they are deleted with the run",
        )


def delete_run(catalog: Catalog, run_id: str, values: ValueStore | None) -> None:
    """Delete a run. Its values go after its facts: so no fact points to a value that is gone.

    Raises:
        RunNotFoundError: If the store has no such run.
        RunActiveError: If somebody drives it.
        SpecError: If it has values in a value store, and none is given.
        StoreError: If some of these can't be deleted; it names their folder.
    """
    if values is None:
        check_has_no_values(catalog, run_id)
        catalog.delete(run_id)
        return
    folder = folder_of_values(catalog, run_id)
    catalog.delete(run_id)
    if folder:
        values.delete(folder)
        if next(iter(values.names(folder)), None) is not None:
            raise StoreError(
                f"{values}", f"the run is deleted, but not all of its values: delete the folder {folder}"
            )
