"""Found inputs: which of its inputs a run keeps in its store, by name, and which somebody has to give it again."""

from __future__ import annotations

from cascade.adapters.state.catalog import Catalog, RunSummary
from cascade.adapters.state.damage import checking
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.kept_inputs import InputNames, input_names
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """The inputs that a run was begun with. Of those that are `missing` the store has no value.

    A run that `are_kept` is false of keeps none, and not where its workflow is: no worker goes on with it. A secret is
    always missing, and so is a variable of the environment: who goes on with the run has its own.
    """

    are_kept: bool
    kept: tuple[str, ...]
    missing: tuple[str, ...]


def found_inputs(catalog: Catalog, run: RunSummary, store: str) -> FoundInputs:
    """Return which inputs a run keeps. No value of them is decoded.

    Raises:
        RunDamagedError: If what is stored can't be read.
        StoreError: If the store can't be read.
    """
    run_id = run.run_id
    codec = FactCodec(None, run_id, store)
    data = catalog.inputs(run_id)
    sealed = catalog.record(run_id) if run.rules == DIGEST_RULES else None
    names = InputNames((), ()) if data is None else input_names(data, codec, store, run_id)
    with checking(store, run_id):
        record = codec.decode_record(sealed) if sealed else None
    begun_with = () if record is None else record.inputs
    missing = {*begun_with, *names.secrets} - {*names.params}
    return FoundInputs(data is not None, tuple(sorted(names.params)), tuple(sorted(missing)))
