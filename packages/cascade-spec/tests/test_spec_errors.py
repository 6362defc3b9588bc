"""Claims about errors: one root, builtins beside it, and facts that survive pickling."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import cascade as cs
from cascade import spec
from cascade.spec import errors

EXAMPLES: list[tuple[cs.CascadeError, type[Exception]]] = [
    (errors.MissingWheelError("run", "cascade-engine"), ImportError),
    (errors.SpecError("a problem", "a remedy"), TypeError),
    (errors.LazyUseError("a problem", "a remedy"), TypeError),
    (errors.LazyAttributeError("a problem", "a remedy"), AttributeError),
    (errors.UnpackError(2, 3), ValueError),
    (errors.NotLazyError("a problem", "a remedy"), TypeError),
    (errors.PolicyError("a problem", remedy="a remedy"), ValueError),
    (errors.MapError("a problem", "a remedy"), ValueError),
    (errors.CallError("f", "(x)", "missing x"), TypeError),
    (errors.CallError("f", "(x)", "missing x", "root.args.0"), TypeError),
    (errors.UnknownSettingError("cs.run", "sate", ("params", "state"), "state"), TypeError),
    (errors.UnknownSettingError("cs.run", "n", ("params", "state")), TypeError),
    (errors.UnknownSettingError("Engine(...)", "params", ("state",), "", "engine.run(...)"), TypeError),
    (errors.MapLengthError("f", {"x": 1, "y": 2}), ValueError),
    (errors.InputError("Param('p')", "no value"), ValueError),
    (errors.MissingSecretError("Secret('token')", "no value", "token"), ValueError),
    (errors.KeptInputError("the parameter 'day'", "it has no form"), ValueError),
    (errors.ResourceReferenceError("model", "m.model"), TypeError),
    (errors.ContractConflictError("Param('p')", "Secret('p')"), ValueError),
    (errors.UnknownSettingError("cs.run", "sate", ("state",), "state"), TypeError),
    (errors.FileUnreadableError("data.csv", "No such file or directory"), OSError),
    (errors.FileChangedError("f", ("data",)), Exception),
    (errors.TaskReferenceError("f", "m.f"), TypeError),
    (spec.UncacheableError("module.Thing"), TypeError),
    (spec.SourceMissingError("load", "load"), TypeError),
    (errors.CodecError("module.Thing", "value[0]", "a remedy"), TypeError),
    (errors.DamagedDataError("it is cut"), ValueError),
    (errors.DataVersionError(2, 1), ValueError),
    (errors.StoredReferenceError("module.Thing", "it is gone", "a remedy"), LookupError),
    (errors.MissingExtraError("Redis", "redis"), ImportError),
    (errors.StoreError("runs.db", "disk full"), OSError),
    (errors.RunLostError("runs.db", "the run 'r' has been taken over", "r", "process 1"), OSError),
    (errors.StoreNotFoundError("runs.db", "there is no such file"), FileNotFoundError),
    (errors.StoreFormatError("runs.db", "is no store", "a remedy"), ValueError),
    (errors.RunActiveError("nightly", "runs.db", "process 1"), OSError),
    (errors.RunDamagedError("runs.db", "it is cut", "nightly"), OSError),
    (errors.RunNotFoundError("nightly", "runs.db"), LookupError),
    (errors.UnknownSettingError("cs.run", "parms", ("params",), "params"), TypeError),
    (errors.RunRulesError("nightly", "Cascade 0.1"), ValueError),
    (errors.RunValuesError("nightly"), ValueError),
]


@pytest.mark.parametrize(
    ("error", "builtin"), EXAMPLES, ids=lambda value: getattr(type(value), "__name__", "")
)
def test_an_error_survives_pickling(error: cs.CascadeError, builtin: type[Exception]) -> None:
    """A pickled error has its class, text, facts and notes; it is a `CascadeError` and the fitting builtin."""
    original = copy.copy(error)
    original.add_note("task 'f' at root")
    for read in (pickle.loads(pickle.dumps(original)), copy.copy(original), copy.deepcopy(original)):
        assert type(read) is type(error)
        assert str(read) == str(error) != ""
        assert vars(read) == vars(original)
        assert read.__notes__ == ["task 'f' at root"]
        assert isinstance(read, cs.CascadeError)
        assert isinstance(read, builtin)


def test_every_error_of_the_wheel_is_tried() -> None:
    """No error class of the spec wheel is left out above."""
    public = {
        each for each in vars(spec).values() if inspect.isclass(each) and issubclass(each, cs.CascadeError)
    }
    assert public == {type(error) for error, _ in EXAMPLES} | {cs.CascadeError}


def test_an_error_with_a_plain_text_survives_pickling() -> None:
    """A `CascadeError` made with a message, by a framework on top for example, keeps it."""
    assert str(pickle.loads(pickle.dumps(cs.CascadeError("boom")))) == "boom"
