"""Pandas' frames and series as data. A frame is its columns; one whose columns are all of one type is one block."""

from __future__ import annotations

from cascade.adapters.codec.leaves import PLAIN
from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.library_types.pandas_parts import check, content_of, is_content, pandas
from cascade.adapters.codec.untyped import Foreign


def _label_place(label: object, number: int) -> str:
    return f"[{label!r}]" if type(label) in PLAIN else f".iloc[:, {number}]"


def _pack_frame(value: Foreign) -> Packed:
    flags = bool(value.flags.allows_duplicate_labels)
    kinds = set(value.dtypes)
    if len(kinds) == 1 and type(next(iter(kinds))).__module__.startswith("numpy"):
        columns, places = [value.to_numpy()], [".values"]  # all of one type: one block, however many they are
    else:
        columns = [content_of(value.iloc[:, number]) for number in range(value.shape[1])]
        places = [_label_place(label, number) for number, label in enumerate(value.columns)]
    head = [len(value.columns), flags]
    return Packed(
        head,
        [value.columns, value.index, dict(value.attrs), *columns],
        [".columns", ".index", ".attrs", *places],
    )


def _unpack_frame(head: list[Foreign], parts: list[Foreign]) -> object:
    width, flags = head
    labels, index, attrs, *columns = parts
    check(isinstance(labels, pandas().Index) and isinstance(index, pandas().Index) and type(attrs) is dict)
    if len(columns) == 1 and getattr(columns[0], "ndim", 0) == 2:
        made = pandas().DataFrame(columns[0], index=index, dtype=columns[0].dtype, copy=False)
        check(made.shape == (len(index), width))
    else:
        check(len(columns) == width and all(len(each) == len(index) for each in columns))
        series = {number: _series_of(each, index) for number, each in enumerate(columns)}
        made = pandas().DataFrame(series, index=index, columns=range(width), copy=False)
    made.columns = labels
    made = made if flags else made.set_flags(allows_duplicate_labels=False)
    made.attrs = attrs  # last: a copy of the frame would copy these, in their own way
    return made


def _pack_series(value: Foreign) -> Packed:
    return Packed(
        bool(value.flags.allows_duplicate_labels),
        [value.name, value.index, dict(value.attrs), content_of(value)],
        [".name", ".index", ".attrs", ""],
    )


def _unpack_series(head: bool, parts: list[Foreign]) -> object:
    name, index, attrs, content = parts
    check(isinstance(index, pandas().Index) and type(attrs) is dict and len(content) == len(index))
    made = _series_of(content, index, name)
    made = made if head else made.set_flags(allows_duplicate_labels=False)
    made.attrs = attrs
    return made


def _series_of(content: Foreign, index: Foreign, name: object = None) -> Foreign:
    check(is_content(content))
    return pandas().Series(content, index=index, name=name, dtype=content.dtype, copy=False)


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    "pandas.DataFrame": (_pack_frame, _unpack_frame),
    "pandas.Series": (_pack_series, _unpack_series),
}
"""By name, how values of each type are packed and unpacked."""
