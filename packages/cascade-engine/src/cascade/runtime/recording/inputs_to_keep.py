"""Inputs to keep: the workflow of a run and the values of its parameters, checked before anything runs.

Values of secrets and of environment variables are never among them: who goes on with the run reads its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import FunctionType

from cascade.adapters.state.recorded.kept_inputs import KeptInputs
from cascade.spec.common import Contract, ParamContract, SecretValue
from cascade.spec.errors import KeptInputError
from cascade.spec.source.references import main_name, module_of
from cascade.spec.tasks.definition import TaskReference

_REMEDY = "give a function that stands at the top of a module and returns the lazy result"


def workflow_reference(workflow: object) -> TaskReference:
    """Return where another process finds a workflow function.

    Raises:
        KeptInputError: If it is no function, or does not stand at the top of a module under its own name.
    """
    if not isinstance(workflow, FunctionType):
        raise KeptInputError(
            f"a target of type {type(workflow).__name__}", f"no reference leads to it; {_REMEDY}"
        )
    reference = TaskReference(module_of(workflow), workflow.__qualname__)
    if "<" in reference.qualname or reference.find() is not workflow:
        raise KeptInputError(f"the workflow '{reference}'", f"it can't be found by that name; {_REMEDY}")
    if reference.module == main_name() == "__main__":
        raise KeptInputError(f"the workflow '{reference}'", "it was not read from a file; put it into one")
    return reference


def inputs_to_keep(
    workflow: TaskReference, params: Mapping[str, object], contracts: Iterable[Contract]
) -> KeptInputs:
    """Return what a run keeps of the inputs that it is given; `contracts` are those of its inputs.

    Raises:
        KeptInputError: If a secret stands in the value of a parameter that is none.
    """
    secrets = secret_params(contracts)
    kept = {name: value for name, value in params.items() if name not in secrets}
    for name, value in kept.items():
        if _has_secret(value):
            raise KeptInputError(
                f"the value of parameter '{name}'", "it has a secret; declare it with cs.Secret"
            )
    return KeptInputs(*workflow, kept, tuple(sorted(secrets & params.keys())))


def secret_params(contracts: Iterable[Contract]) -> set[str]:
    """Return the names of the parameters that are secrets."""
    return {each.name for each in contracts if isinstance(each, ParamContract) and each.secret}


def _has_secret(value: object) -> bool:
    """Tell whether a secret stands in a value, at any depth of plain containers."""
    pending, seen = [value], set[int]()
    while pending:
        each = pending.pop()
        if isinstance(each, SecretValue):
            return True
        if isinstance(each, (list, tuple, set, frozenset, dict)) and id(each) not in seen:
            seen.add(id(each))
            pending.extend(each)
            if isinstance(each, dict):
                pending.extend(each.values())
    return False
