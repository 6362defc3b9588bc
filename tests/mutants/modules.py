"""Which modules are mutated: where a fault would be delicate. Of written code, the generator is mutated."""

from __future__ import annotations

from pathlib import Path

MODULES = (
    "packages/cascade-graph/src/cascade/graph/**/*.py",
    "packages/cascade-engine/src/cascade/runtime/flow.py",
    "packages/cascade-engine/src/cascade/runtime/resource_manager.py",
    "packages/cascade-engine/src/cascade/runtime/frames/*.py",
    "packages/cascade-engine/src/cascade/runtime/running/open_frames.py",
    "packages/cascade-engine/src/cascade/runtime/recording/*.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/capacity.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/resource_registry.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/resource_registry.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/single_flight.py",
    "packages/cascade-engine/src/cascade/runtime/fast/matcher_source.py",
    "packages/cascade-engine/src/cascade/runtime/fast/loop_source.py",
    "packages/cascade-engine/src/cascade/adapters/cache/*.py",
)


def modules(root: Path, patterns: tuple[str, ...] = MODULES) -> list[Path]:
    """Return the files that are mutated, relative to the root of the repository.

    Raises:
        ValueError: If a pattern matches no file: a module was moved, and would no longer be mutated.
    """
    found: set[Path] = set()
    for pattern in patterns:
        matched = {path.relative_to(root) for path in root.glob(pattern) if path.name != "__init__.py"}
        if not matched:
            raise ValueError(
                f"no module to mutate matches {pattern!r}: adapt MODULES in {Path(__file__).name}"
            )
        found |= matched
    return sorted(found)
