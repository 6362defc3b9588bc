"""Which binding this process uses: `apsw` where it is installed, or else the `sqlite3` of this Python.

It is one for the whole process. A process has its locks on a file only once, so two libraries in it would not see each
other's, and each would drop those of the other.

Source: https://www.sqlite.org/howtocorrupt.html, "Multiple copies of SQLite linked into the same application".
"""

from __future__ import annotations

from functools import cache

from cascade.adapters.sqlite_bindings.connection import Binding


@cache
def binding() -> Binding:
    """Return the binding of this process."""
    try:
        from cascade.adapters.sqlite_bindings.apsw_binding import ApswBinding  # noqa: PLC0415 - may be missing
    except ImportError:
        from cascade.adapters.sqlite_bindings.standard_binding import StandardBinding  # noqa: PLC0415 - brings SQLite

        return StandardBinding()
    return ApswBinding()
