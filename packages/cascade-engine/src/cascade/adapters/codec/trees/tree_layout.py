"""The layout of a record: lists of plain values around the literals.

A record is `[MARK, VERSION, tasks, rows]`. A task is `[module, qualified name]`, or `[None, name]` for one of Cascade's
own. Rows come in an order in which each refers to earlier ones by number; the last is the target.
"""

from __future__ import annotations

from enum import StrEnum

from cascade.spec.internal_tasks import INTERNAL as INTERNAL

MARK = "cascade target"
VERSION = 1


class Row(StrEnum):
    """What a row stands for, and what follows the kind in it."""

    CALL = "call"  # task, args, kwargs, fills
    CONFIGURED = "configured"  # task, args, kwargs, fills, policies
    MAP = "map"  # task, args, kwargs, fills, policies, mapped arguments, max_concurrency
    PARAM = "param"  # policies, contract
    SEQUENCE = "sequence"  # rows of the members


class Fill(StrEnum):
    """What goes into a place of the arguments: `[argument, steps, fill, content]`."""

    LAZY = "lazy"  # its row
    ROUTER = "router"  # [row of the selector, {key: row of the route}]
    INJECT = "inject"  # name of the resource
    QUOTED = "quoted"  # the value
    TASK = "task"  # number of the task
    PARTIAL = "partial"  # row of the call with the arguments that are fixed
    FUNCTION = "function"  # [module, qualified name]


class Whose(StrEnum):
    """Policies that are not written out."""

    NONE = "none"
    TASK = "task"  # those that each call of the task starts with


class Contract(StrEnum):
    """What an input is read from."""

    PARAM = "param"
    ENV = "env"


class Expression(StrEnum):
    """How the type of an input is put together."""

    NOTHING = "nothing"  # None
    NONE_TYPE = "none type"
    CLASS = "class"  # [module, qualified name]
    GENERIC = "generic"  # [origin, arguments]
    UNION = "union"  # members
    LITERAL = "literal"  # values
