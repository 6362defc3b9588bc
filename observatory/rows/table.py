"""The one table of what is measured."""

from __future__ import annotations

from observatory.rows import calls, clusters, durable, mixed, objects, pools, processes, progress, reports
from observatory.rows.row import Row

ROWS: tuple[Row, ...] = (
    *calls.ROWS,
    *mixed.ROWS,
    *pools.ROWS,
    *processes.ROWS,
    *clusters.ROWS,
    *durable.ROWS,
    *objects.ROWS,
    *progress.ROWS,
    *reports.ROWS,
)

BY_ROW = {row.name: row for row in ROWS}


def chosen(names: list[str]) -> list[Row]:
    """Return the rows whose names contain one of these texts; all if there is none.

    Raises:
        LookupError: If a text is in no name.
    """
    for name in names:
        if not any(name in row.name for row in ROWS):
            raise LookupError(name)
    return [row for row in ROWS if not names or any(name in row.name for name in names)]
