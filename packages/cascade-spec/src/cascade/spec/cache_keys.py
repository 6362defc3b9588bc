"""Cache keys: the task with its code, a version, and each argument. Each part has a digest of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache

from cascade.spec.calls.arguments import Arguments, Container, Keywords
from cascade.spec.code import code_of
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import UncacheableError
from cascade.spec.protocols import CachedCall, CacheKey, KeyPart, PartKind
from cascade.spec.tasks.definition import TaskDefinition


def make_key(task: TaskDefinition, arguments: Mapping[str, object], version: str = "") -> CacheKey:
    """Return the key for a task, a version and the values that the result depends on, by name in any order.

    The key is the same in every process for a task that is found by its module and name, and for a task inside a
    function that closes over plain values and code only. For other tasks it is valid in this process only. For a task
    of a script that reads something which a code version does not cover, it is valid for that file only.

    Raises:
        UncacheableError: If one of `arguments` has no canonical form; it names the argument and the type.
        SourceMissingError: If the text of the task is not there, and no version was given by hand.
    """
    code = code_of(task, version)
    parts = [KeyPart(PartKind.CODE, "", code.version), _version_part(version)]
    for name in sorted(arguments):
        try:
            parts.append(KeyPart(PartKind.ARGUMENT, name, digest(arguments[name]).hex()))
        except UncacheableError as problem:
            raise UncacheableError(problem.kind, name) from None
    if code.is_private:
        parts.append(KeyPart(PartKind.PROCESS, "", digest((_token(os.getpid()), task.serial)).hex()))
    if code.place:
        parts.append(KeyPart(PartKind.PLACE, "", digest(code.place).hex()))
    listed = "".join([f"{kind} {len(name)} {name} {part}" for kind, name, part in parts])
    return CacheKey(
        digest(f"{DIGEST_RULES} {len(code.reference)} {code.reference} {listed}").hex(),
        code.reference,
        tuple(parts),
    )


@lru_cache(maxsize=256)
def _version_part(version: str) -> KeyPart:
    return KeyPart(PartKind.VERSION, "", digest(version).hex())


@lru_cache(maxsize=1)
def _token(process: int) -> str:
    """Return a text that no other process has; a fork is another process."""
    return f"{process} {os.urandom(16).hex()}"


def key_of_call(call: CachedCall, version: str = "") -> CacheKey:
    """Return the key of a call: its arguments by parameter, with defaults filled in.

    Raises:
        UncacheableError: If an argument has no canonical form; it names the argument and the type.
    """
    return make_key(call.task, bound_arguments(call.task, call.args, call.kwargs), version)


def bound_arguments(task: TaskDefinition, args: Arguments, kwargs: Keywords) -> Mapping[str, object]:
    """Return the arguments by parameter, with defaults filled in."""
    names, parameters = task.positional, task.signature.parameters
    if not kwargs and len(args) == len(names) == len(parameters):
        return dict(zip(names, args, strict=True))
    if len(names) == len(parameters) and len(args) <= len(names) and kwargs.keys() <= set(names[len(args) :]):
        # What most tasks are; to bind a signature takes longer than to ask a cache.
        arguments = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(arguments) < len(names):
            for name, parameter in parameters.items():
                if name not in arguments and parameter.default is not parameter.empty:
                    arguments[name] = parameter.default
        return arguments
    bound = task.signature.bind_partial(*args, **kwargs)
    bound.apply_defaults()
    return {name: _by_name(task, name, value) for name, value in bound.arguments.items()}


def _by_name(task: TaskDefinition, name: str, value: Container) -> object:
    """Return the value of an argument; the keyword arguments of `**kwargs` are sorted by name."""
    parameter = task.signature.parameters[name]
    return tuple(sorted(value.items())) if parameter.kind is parameter.VAR_KEYWORD else value
