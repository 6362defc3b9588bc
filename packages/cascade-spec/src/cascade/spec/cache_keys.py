"""Cache keys: the task with its code, a version, and each argument. Each part has a digest of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from hashlib import sha256
from typing import TypeAlias

from cascade.spec.calls.arguments import Arguments, Container, Keywords
from cascade.spec.code import code_of
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.encoding.canonical import digest, text_head
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
    names = tuple(sorted(arguments))
    layout = _Layout(task, version, names)
    return layout.key([arguments[name] for name in names])


def key_of_call(call: CachedCall, version: str = "") -> CacheKey:
    """Return the key of a call: its arguments by parameter, with defaults filled in.

    Raises:
        UncacheableError: If an argument has no canonical form; it names the argument and the type.
    """
    # Once per call with a cache: watched by observatory/benchmarks/bench_durability.py.
    task, args, kwargs = call
    form = (task.serial, version, len(args), *kwargs)
    known = _known.get(form)
    if known is None:
        arguments = bound_arguments(task, args, kwargs)
        layout = _Layout(task, version, tuple(sorted(arguments)))
        if not layout.is_lasting or not task.has_plain_parameters:
            return layout.key([arguments[name] for name in layout.names])
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[form] = layout, _places_in(call, layout.names)
    layout, places = known
    return layout.key(args if places is None else _in_order(places, call, layout.names))


_Places: TypeAlias = tuple[int | str | None, ...]
"""Where each argument of a layout stands in a call: an index, a keyword, or `None` for the default."""


def _places_in(call: CachedCall, names: tuple[str, ...]) -> _Places | None:
    """Return the places of these arguments; `None` if they are the positional ones in order, and all."""
    at = {name: index for index, name in enumerate(call.task.positional[: len(call.args)])}
    places = tuple(at.get(name, name if name in call.kwargs else None) for name in names)
    return None if places == tuple(range(len(call.args))) else places


def _in_order(places: _Places, call: CachedCall, names: tuple[str, ...]) -> Iterator[object]:
    for name, place in zip(names, places, strict=True):
        if place is None:
            yield call.task.signature.parameters[name].default
        else:
            yield call.args[place] if isinstance(place, int) else call.kwargs[place]


class _Layout:
    """What the keys of one task have in common for calls with the same arguments: all but the digests of these.

    A key is the digest of a text, in which the digests of the arguments stand. They all have the same length, and so
    have all such texts: what stands around the digests is made once, as the bytes that are hashed.
    """

    __slots__ = ("_after", "_before", "_texts", "is_lasting", "names", "task")

    def __init__(self, task: TaskDefinition, version: str, names: tuple[str, ...]) -> None:
        code = code_of(task, version)
        self.names = names
        self.task = code.reference
        self.is_lasting = not code.is_private
        self._before = [
            KeyPart(PartKind.CODE, "", code.version),
            KeyPart(PartKind.VERSION, "", digest(version).hex()),
        ]
        self._after = []
        if code.is_private:
            own = digest((_token(os.getpid()), task.serial)).hex()
            self._after.append(KeyPart(PartKind.PROCESS, "", own))
        if code.place:
            self._after.append(KeyPart(PartKind.PLACE, "", digest(code.place).hex()))
        self._texts = self._around_digests()

    def _around_digests(self) -> list[bytes]:
        """Return what is hashed before each digest of an argument, and after the last."""
        texts = [f"{DIGEST_RULES} {len(self.task)} {self.task} {_listed(self._before)}"]
        for name in self.names:
            texts[-1] += f"{PartKind.ARGUMENT} {len(name)} {name} "
            texts.append("")
        texts[-1] += _listed(self._after)
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        length = sum(map(len, encoded)) + len(self.names) * _DIGITS
        return [text_head(length) + encoded[0], *encoded[1:]]

    def key(self, values: Iterable[object]) -> CacheKey:
        """Return the key of a call with these arguments, in the order of the names.

        Raises:
            UncacheableError: If one has no canonical form; it names the argument and the type.
        """
        texts = self._texts
        digests: list[str] = []
        hashed = texts[0]
        for value in values:
            try:
                own = digest(value).hex()
            except UncacheableError as problem:
                raise UncacheableError(problem.kind, self.names[len(digests)]) from None
            digests.append(own)
            hashed += own.encode() + texts[len(digests)]
        return CacheKey(sha256(hashed).hexdigest(), self.task, partial(self._parts, digests))

    def _parts(self, digests: list[str]) -> tuple[KeyPart, ...]:
        pairs = zip(self.names, digests, strict=True)
        arguments = [KeyPart(PartKind.ARGUMENT, name, own) for name, own in pairs]
        return (*self._before, *arguments, *self._after)


def _listed(parts: Iterable[KeyPart]) -> str:
    return "".join([f"{kind} {len(name)} {name} {part}" for kind, name, part in parts])


_DIGITS = 64
"""The hex digits of a digest."""

_known: dict[tuple[object, ...], tuple[_Layout, _Places | None]] = {}
"""By task, version, number of positional arguments and keywords: how the keys of such calls are made."""

_MOST_KNOWN = 1024


@lru_cache(maxsize=1)
def _token(process: int) -> str:
    """Return a text that no other process has; a fork is another process."""
    return f"{process} {os.urandom(16).hex()}"


def bound_arguments(task: TaskDefinition, args: Arguments, kwargs: Keywords) -> Mapping[str, object]:
    """Return the arguments by parameter, with defaults filled in."""
    names = task.positional
    if task.has_plain_parameters and len(args) <= len(names) and kwargs.keys() <= set(names[len(args) :]):
        # What most tasks are; to bind a signature takes longer than to ask a cache.
        arguments = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(arguments) < len(names):
            for name, parameter in task.signature.parameters.items():
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
