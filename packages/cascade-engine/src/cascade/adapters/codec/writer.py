"""The writer makes a program from a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import chain

import msgspec

from cascade.adapters.codec.data_type import DataType
from cascade.adapters.codec.decoding_steps import Step
from cascade.adapters.codec.hash_checks import Parts, check_hashed, numbered, path_to
from cascade.adapters.codec.leaves import LEAVES, PLAIN
from cascade.adapters.codec.library_types.registry import LibraryType, library_type_of
from cascade.adapters.codec.shapes.class_shapes import EnumShape, NamedTupleShape, Shapes
from cascade.adapters.codec.shapes.models import ModelShape, StructShape
from cascade.adapters.codec.unsupported import LAZY, SECRET, UnsupportedError
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.calls.arguments import is_marker
from cascade.spec.calls.missing import MISSING
from cascade.spec.common import SecretValue
from cascade.spec.errors import CodecError
from cascade.spec.source.references import name_of

_PUSH, _PUSH_ALL, _LEAF, _SAME = int(Step.PUSH), int(Step.PUSH_ALL), int(Step.LEAF), int(Step.SAME)
_COUNTED = {
    list: int(Step.BUILD_LIST),
    tuple: int(Step.BUILD_TUPLE),
    set: int(Step.BUILD_SET),
    frozenset: int(Step.BUILD_FROZENSET),
}
_EXACT = frozenset({type(None), bool, float, bytes})
"""The types of which msgpack keeps every value."""


class _Open:
    """A value whose parts are being written, and the step that builds it after them."""

    __slots__ = ("begun", "operand", "parts", "places", "step", "value")

    def __init__(
        self, value: object, step: int, operand: object, parts: Iterable[object], places: Iterable[str] = ()
    ) -> None:
        self.value = value
        self.step = step
        self.operand = operand
        self.parts: Iterator[object] = iter(parts)
        self.places = places
        self.begun = 0

    def template(self) -> str:
        """Return how the part that was begun last is reached from the value `{}`: `{}[0]`, `{}.name`."""
        at = self.begun - 1
        if self.places:
            return "{}" + list(self.places)[at]
        if type(self.value) is dict:
            key = list(self.value)[at // 2]
            if at % 2 == 0:
                return f"list({{}})[{at // 2}]"
            return f"{{}}[{key!r}]" if type(key) in PLAIN else f"{{}}[entry {at // 2}]"
        return f"list({{}})[{at}]" if type(self.value) in (set, frozenset) else f"{{}}[{at}]"


class Writer:
    """Writes the program of one value. Nothing recurses, however deep the value is."""

    def __init__(self, shapes: Shapes, registered: Mapping[type, DataType]) -> None:
        self._shapes = shapes
        self._registered = registered
        self._steps: list[object] = []
        self._numbers: dict[int, int] = {}  # of what is built, by id
        self._inside: set[int] = set()
        self._path: list[_Open] = []
        self._part: object = None  # what was looked at last: the culprit, if it is refused
        self._hashed: Parts = []  # of what was looked at last: the culprit may be among them

    def write(self, value: object) -> list[object]:
        """Return the steps.

        Raises:
            CodecError: If a part is of an unknown type, or contains itself.
        """
        try:
            self._write(value)
        except UnsupportedError as problem:
            raise self._refusal(problem) from None
        except CodecError as problem:
            problem.path = f"{problem.path} of {self._place()}"
            raise
        return self._steps

    def _write(self, value: object) -> None:
        # Once per part of every value that is more than plain: exact leaves go straight through.
        # Watched by observatory/benchmarks/bench_codec.py.
        steps, numbers, inside, path = self._steps, self._numbers, self._inside, self._path
        kept: list[object] = []  # data of registered types is kept alive: its id must stay its own
        path.append(_Open(None, _PUSH, None, (value,)))
        while True:
            top = path[-1]
            for part in top.parts:
                top.begun += 1
                kind = type(part)
                if kind in _EXACT:
                    steps += (_PUSH, part)
                    continue
                if kind in LEAVES:
                    self._write_leaf(part, kind)
                    continue
                self._part = part
                if id(part) in numbers:
                    steps += (_SAME, numbers[id(part)])
                elif id(part) in inside:
                    raise UnsupportedError("break the circle: a value that contains itself can't be stored")
                elif issubclass(kind, Enum) and kind not in self._registered:
                    self._write_member(part, kind)
                else:
                    opened = self._opened(part, kind)
                    kept.append(part)
                    inside.add(id(part))
                    path.append(opened)
                    break
            else:
                if len(path) == 1:
                    return
                path.pop()
                steps += (top.step, top.operand)
                inside.discard(id(top.value))
                numbers[id(top.value)] = len(numbers)

    def _write_leaf(self, part: object, kind: type) -> None:
        packed = LEAVES[kind].pack(part)
        # Whole numbers and text are their own packed form, as long as msgpack has room for them.
        self._steps += (_PUSH, packed) if packed is part else (_LEAF, [kind.__name__, packed])

    def _write_member(self, part: object, kind: type) -> None:
        module, qualname, shape = self._shapes.of(kind)
        assert isinstance(shape, EnumShape)
        names = shape.names(part)
        if isinstance(names, str):
            self._steps += (int(Step.MEMBER), [module, qualname, names])
        else:
            self._steps += (int(Step.FLAGS), [module, qualname, *names])

    def _opened(self, part: Foreign, kind: type) -> _Open:
        if kind in _COUNTED:
            if kind in (set, frozenset):
                self._check_hashed(part)
            return _Open(part, _COUNTED[kind], len(part), self._unless_pushed(part))
        if kind is dict:
            self._check_hashed(part)
            parts = self._unless_pushed(chain.from_iterable(part.items()))
            return _Open(part, int(Step.BUILD_DICT), len(part), parts)
        if kind is bytearray:
            return _Open(part, int(Step.BUILD_BYTEARRAY), bytes(part), ())
        registered = self._registered.get(kind)
        if registered is not None:
            data = registered.encode(part)
            return _Open(part, int(Step.BUILD_REGISTERED), registered.name, (data,), (" as data",))
        known = library_type_of(kind)
        if known is not None:
            return self._opened_library_value(part, known)
        return self._opened_record(part, kind)

    def _opened_library_value(self, part: object, library_type: LibraryType) -> _Open:
        head, parts, places = library_type.pack(part)
        if library_type.hashed is not None:
            _, *labels = hashed = library_type.hashed(parts)
            templates = [f"{{}}{places[0]}", *(f"{{}}[{number}]" for number in range(len(labels)))]
            self._check_hashed(hashed, list(zip(templates, hashed, strict=True)))
        return _Open(part, int(Step.BUILD_LIBRARY_TYPE), [library_type.name, head, len(parts)], parts, places)

    def _opened_record(self, part: object, kind: type) -> _Open:
        if is_marker(part):
            raise UnsupportedError(LAZY)
        module, qualname, shape = self._shapes.of(kind)
        assert not isinstance(shape, EnumShape)
        names = list(shape.names)
        if isinstance(shape, NamedTupleShape):
            values = shape.read(part)
            places = [f".{name}" for name in names]
            return _Open(part, int(Step.BUILD_NAMEDTUPLE), [module, qualname, names], values, places)
        found = shape.read(part)
        places = [f".{name}" for name in found]
        if isinstance(shape, StructShape):
            return _Open(part, int(Step.BUILD_STRUCT), [module, qualname, names], found.values(), places)
        operand = [module, qualname, names, list(found)]
        if isinstance(shape, ModelShape):
            operand.append(shape.given(part))
            more = shape.read_more(part)
            return _Open(
                part,
                int(Step.BUILD_MODEL),
                operand,
                [*found.values(), *more.values()],
                [*places, *(f".{name}" for name in more)],
            )
        return _Open(part, int(Step.BUILD_DATACLASS), operand, found.values(), places)

    def _check_hashed(self, values: Iterable[object], parts: Parts | None = None) -> None:
        if not PLAIN.issuperset(map(type, values)):
            try:
                check_hashed(values, self._shapes, self._registered)
            except UnsupportedError:
                self._hashed = numbered(values) if parts is None else parts
                raise

    def _unless_pushed(self, parts: Iterable[object]) -> Iterable[object]:
        """Write all parts in one step, if msgpack keeps them all exactly; if not, return them."""
        parts = list(parts)
        if len(parts) < 2 or not PLAIN.issuperset(map(type, parts)):
            return parts
        try:
            packed = msgspec.msgpack.encode(parts)
        except (OverflowError, UnicodeEncodeError):
            return parts
        self._steps += (_PUSH_ALL, msgspec.Raw(packed))
        return ()

    def _place(self) -> str:
        place = "value"
        for each in self._path[1:]:
            if each.begun:
                place = each.template().replace("{}", place)
        return place

    def _refusal(self, problem: UnsupportedError) -> CodecError:
        part, place, remedy = self._part, self._place(), problem.remedy
        if problem.culprit is not MISSING:
            part = problem.culprit
            template = path_to(part, self._hashed, self._shapes)
            place = f"a part of {place}" if template is None else template.replace("{}", place)
        if type(part) is SecretValue:
            remedy = SECRET
        elif is_marker(part):
            remedy = LAZY
        return CodecError(name_of(type(part)), place, remedy)
