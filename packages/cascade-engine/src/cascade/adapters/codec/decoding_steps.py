"""Programs: a value as a flat list of steps for a stack machine. So a deep value needs no recursion.

Steps come in pairs: a `Step` and its operand, which is plain data. Parts come before the whole: a `BUILD_*` takes its
parts from the top of the stack, and puts the value there that it has made. Built values are numbered in order, and
`SAME` puts the value of a number on the stack once more: so an object that is in two places stays one object.
"""

from __future__ import annotations

from enum import IntEnum


class Step(IntEnum):
    """What a step does. The numbers are stored: a new step gets a new number, and none changes its meaning."""

    PUSH = 0  # operand: a plain value
    PUSH_ALL = 1  # operand: a list of plain values
    LEAF = 2  # operand: [name of its type, packed content]
    SAME = 3  # operand: number of a built value
    MEMBER = 4  # operand: [module, qualified name of an enum, name of the member]
    FLAGS = 5  # operand: [module, qualified name, names of the members, bits that have no name]
    BUILD_LIST = 6  # operand: how many parts
    BUILD_TUPLE = 7
    BUILD_SET = 8
    BUILD_FROZENSET = 9
    BUILD_DICT = 10  # operand: how many entries; the parts are key, value, key, value
    BUILD_BYTEARRAY = 11  # operand: bytes
    BUILD_DATACLASS = (
        12  # operand: [module, qualified name, names of all fields, names of those that are set]
    )
    BUILD_NAMEDTUPLE = 13  # operand: [module, qualified name, names of the fields]
    BUILD_REGISTERED = 14  # operand: its name; one part
    BUILD_LIBRARY_TYPE = 15  # operand: [name of the type, head, how many parts]
    BUILD_MODEL = (
        16  # operand: [module, qualified name, names of all fields, of those that are set, of those given]
    )
    BUILD_STRUCT = 17  # operand: [module, qualified name, names of the fields]


DEEPEST_KEY = 100
"""How deep a dict key or a set member may be nested: hashing recurses in Python itself, at the cost of the C stack."""
