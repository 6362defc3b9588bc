"""Claims about what is public: the spec wheel's list and the facade's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cascade as cs
from cascade import spec

SPEC_NAMES = [
    "MISSING",
    "ByInputs",
    "CacheBackend",
    "CacheEntry",
    "CacheKey",
    "CachePolicy",
    "CachedCall",
    "CallError",
    "CascadeError",
    "Codec",
    "CodecError",
    "Constraints",
    "ContractConflictError",
    "DamagedDataError",
    "DataVersionError",
    "DurableStateBackend",
    "EncodedValue",
    "Env",
    "EnvContract",
    "File",
    "FileChangedError",
    "FileExists",
    "FileUnreadableError",
    "Hit",
    "Inject",
    "InputError",
    "KeptInputError",
    "KeyPart",
    "LazyAttributeError",
    "LazyResult",
    "LazyUseError",
    "MapError",
    "MapLengthError",
    "MappedLazyResult",
    "MissingExtraError",
    "MissingSecretError",
    "MissingWheelError",
    "Mode",
    "NotLazyError",
    "Param",
    "ParamContract",
    "ParamLazyResult",
    "PartKind",
    "PartialTask",
    "Policies",
    "PolicyError",
    "Resource",
    "ResourceReferenceError",
    "RetryPolicy",
    "Router",
    "RunActiveError",
    "RunDamagedError",
    "RunLostError",
    "RunNotFoundError",
    "RunRulesError",
    "RunStatus",
    "RunValuesError",
    "Scope",
    "Secret",
    "SecretValue",
    "SequenceLazyResult",
    "SourceMissingError",
    "SpecError",
    "StateBackend",
    "StoreError",
    "StoreFormatError",
    "StoreNotFoundError",
    "StoredReferenceError",
    "Task",
    "TaskReferenceError",
    "UncacheableError",
    "UnknownSettingError",
    "UnpackError",
    "Where",
    "WorkflowSpec",
    "gather",
    "inject",
    "map",
    "pipeline",
    "quote",
    "resource",
    "sequence",
    "task",
    "unpack",
]

FACADE_NAMES = [
    "ByInputs",
    "CallLogFilter",
    "CascadeError",
    "DependencyMissingError",
    "Engine",
    "Env",
    "File",
    "FileExists",
    "Graph",
    "LazyResult",
    "MappedLazyResult",
    "MessageBus",
    "Param",
    "Picture",
    "RetryPolicy",
    "Router",
    "Secret",
    "Timeline",
    "Task",
    "arun",
    "build_graph",
    "cli",
    "current_call",
    "draw",
    "gather",
    "inject",
    "map",
    "pipeline",
    "quote",
    "plan",
    "resource",
    "run",
    "sequence",
    "task",
    "unpack",
    "visualize",
]


def test_the_public_names_of_the_spec_wheel() -> None:
    """`cascade.spec.__all__` is this list, sorted, and each name is there."""
    assert list(spec.__all__) == SPEC_NAMES
    assert all(hasattr(spec, name) for name in SPEC_NAMES)


def test_the_public_names_of_the_facade() -> None:
    """`import cascade as cs` gives these names, and `dir` shows them before they are loaded."""
    assert sorted(cs.__all__) == sorted(FACADE_NAMES)
    assert set(FACADE_NAMES) <= set(dir(cs))


def test_the_facade_and_the_wheel_share_their_objects() -> None:
    """A name of the facade is the very object of its wheel."""
    for name in set(FACADE_NAMES) & set(SPEC_NAMES):
        assert getattr(cs, name) is getattr(spec, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that no wheel and no provider has is an `AttributeError` that names it."""
    with pytest.raises(AttributeError, match="module 'cascade' has no attribute 'tsak'"):
        cs.tsak  # noqa: B018 - the claim


def test_importing_the_facade_loads_nothing_else() -> None:
    """`import cascade` loads no wheel and hardly a module of Python; the spec wheel no asyncio and no threads."""
    script = (
        "import sys; started = set(sys.modules); import cascade; new = set(sys.modules) - started;"
        "assert not any(n.startswith('cascade.') for n in new), new;"
        "assert not new & {'typing', 'pkgutil', 'inspect', 'enum', 're', 'functools'}, new;"
        "before = set(sys.modules); import cascade.spec; new = set(sys.modules) - before;"
        "print(sorted(new & {'asyncio', 'concurrent', 'networkx', 'typer', 'cascade.graph', 'cascade.runtime'}))"
    )
    assert python(script) == "[]"


def test_other_portions_may_join(tmp_path: Path) -> None:
    """A folder `cascade` without an `__init__` of its own is a part of the package, wherever `sys.path` leads to it."""
    (tmp_path / "one" / "cascade").mkdir(parents=True)
    (tmp_path / "one" / "cascade" / "extra.py").write_text("value = 7")
    (tmp_path / "two").mkdir()
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path / 'one')!r}, {str(tmp_path / 'two')!r}, 'nowhere'];"
        "import cascade, cascade.spec; from cascade.extra import value;"
        "print(value, len(set(cascade.__path__)) == len(cascade.__path__))"
    )
    told = python(script).split()
    assert told[:2] == ["7", "True"]


@pytest.mark.parametrize(
    ("name", "module", "wheel"),
    [
        ("run", "cascade.runtime", "cascade-engine"),
        ("build_graph", "cascade.graph", "cascade-graph"),
        ("cli", "cascade.cli", "cascade-cli"),
    ],
)
def test_a_name_whose_wheel_is_missing_says_so(name: str, module: str, wheel: str) -> None:
    """A name of a wheel that is not installed is an `ImportError` with the command that installs it."""
    script = f"""if True:
        import sys, cascade as cs
        sys.modules[{module!r}] = None
        try:
            cs.{name}
        except ImportError as error:
            assert isinstance(error, cs.CascadeError)
            print(error)
    """
    assert python(script) == f"cs.{name} needs {wheel}: pip install {wheel}"


def test_a_third_party_adds_names(tmp_path: Path) -> None:
    """A wheel with an entry point in `cascade.providers` gives the facade a name of its own."""
    described = tmp_path / "addition-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: addition\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[cascade.providers]\nsomething = addition:something\n")
    (tmp_path / "addition.py").write_text("something = 'from elsewhere'\n")
    assert python("import cascade as cs; print(cs.something)", tmp_path) == "from elsewhere"


def python(script: str, *folders: Path) -> str:
    """Run a script in a fresh interpreter and return what it prints."""
    path = os.pathsep.join([*map(str, folders), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()
