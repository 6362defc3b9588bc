"""The base of lazy results and routers, which stand for a value that is not there yet.

Whatever needs the value before a run (arithmetic, iteration, `await`, an f-string) raises a clear error. These keep
working: `==`, `hash`, `repr`, `str`, `copy`, `pickle` and `hasattr`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from cascade.spec.errors import LazyAttributeError, LazyUseError

_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "divmod": "divmod()",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "xor": "^",
    "or": "|",
}
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNARY = {"neg": "-", "pos": "+", "invert": "~", "abs": "abs()", "round": "round()", "trunc": "math.trunc()"}
_UNARY |= {"floor": "math.floor()", "ceil": "math.ceil()"}
_CONVERSIONS = {"int": "an int", "float": "a float", "complex": "a complex number", "bytes": "bytes"}
_CONVERSIONS |= {"index": "an index or a length", "fspath": "a path"}


class StandsForValue:
    """Stands for a value: a use that only the value itself allows raises `LazyUseError`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def as_lazy(self) -> StandsForValue:
            """Return the lazy result that this is, or that stands for it."""

    def name_in_errors(self) -> str:
        """Return how errors name this."""
        return f"the {type(self).__name__}"

    def attribute_remedy(self, name: str) -> str:
        """Return what to do in place of asking for an attribute of that name."""
        return f"take .{name} inside a task that gets the lazy result as an argument"

    def truth_error(self) -> LazyUseError:
        """Return the error for using this as a truth value."""
        return LazyUseError(
            f"{self.name_in_errors()} has no truth value",
            "use .run_if(condition) or cs.Router; cs.run(...) gives the value",
        )

    def __bool__(self) -> NoReturn:
        raise self.truth_error()

    def __iter__(self) -> NoReturn:
        raise LazyUseError(
            f"{self.name_in_errors()} can't be iterated over",
            "use cs.unpack(lazy, n) for a known number of values, another_task.map(lazy), or iterate inside a task",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return what a notebook shows: a picture if `cascade-graph` is installed, and the text."""
        from cascade.spec.notebooks import bundle_of  # noqa: PLC0415 - only notebooks need it

        return bundle_of(self)

    if not TYPE_CHECKING:  # a type checker is to refuse these by itself

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or name in _slots_of(type(self)):
                # Others look for such names to find out what an object can do; and half made copies have no slots yet.
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise LazyAttributeError(
                f"{self.name_in_errors()} has no attribute {name!r}", self.attribute_remedy(name)
            )

        def __format__(self, spec: str) -> NoReturn:
            raise LazyUseError(
                f"{self.name_in_errors()} stands in a text, as in an f-string",
                "make the text inside a task; for a log write {lazy!r}",
            )

        def __await__(self) -> NoReturn:
            raise LazyUseError(
                f"{self.name_in_errors()} can't be awaited",
                "write await cs.arun(lazy), or give it to another task as an argument",
            )


def _slots_of(kind: type) -> set[str]:
    return {name for base in kind.__mro__ for name in getattr(base, "__slots__", ())}


def _refusing(
    problem: str, remedy: str = "do that inside a task; cs.run(...) gives the value"
) -> Callable[..., NoReturn]:
    """Return a method that raises an error with the lazy result's name and the problem."""

    def refuse(self: StandsForValue, *_: object) -> NoReturn:
        raise LazyUseError(f"{self.name_in_errors()} {problem}", remedy)

    return refuse


def _methods() -> dict[str, Callable[..., NoReturn]]:
    operators = {**_BINARY, **_COMPARISONS, **_UNARY, **{f"r{name}": sign for name, sign in _BINARY.items()}}
    methods = {name: f"can't be used with `{sign}`" for name, sign in operators.items()}
    methods |= {name: f"can't be turned into {what}" for name, what in _CONVERSIONS.items()}
    methods |= {
        "len": "has no length",
        "contains": "can't be searched with `in`",
        "reversed": "can't be reversed",
        "next": "is not an iterator",
        "call": "can't be called",
        "setitem": "can't be changed",
        "delitem": "can't be changed",
        "enter": "is not a context manager",
        "exit": "is not a context manager",
        "aenter": "is not a context manager",
        "aexit": "is not a context manager",
        "aiter": "can't be iterated over",
        "anext": "is not an iterator",
    }
    return {f"__{name}__": _refusing(problem) for name, problem in methods.items()}


for _name, _method in _methods().items():
    setattr(StandsForValue, _name, _method)
