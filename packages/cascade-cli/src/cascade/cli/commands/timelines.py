"""`cascade timeline`: compares the timelines of two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cascade.cli.failures import reported
from cascade.cli.tables.run_tables import ListFormat
from cascade.cli.tables.timeline_table import TaskDifference, difference_json, difference_table
from cascade.cli.typer_app import HELP_FLAGS
from cascade.spec import SpecError

timeline_app = typer.Typer(
    context_settings=HELP_FLAGS,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare the timelines that `cascade run --calls FILE` has written.",
)


@timeline_app.callback()
def _timeline() -> None:
    """Keep `diff` a command of its own: Typer would make an app of one command that command."""


File = Annotated[
    Path, typer.Argument(metavar="FILE.json", exists=True, dir_okay=False, readable=True, show_default=False)
]


@timeline_app.command("diff", context_settings=HELP_FLAGS)
def diff(
    before: File,
    after: File,
    form: Annotated[ListFormat, typer.Option("--format", help="A table, or JSON.")] = ListFormat.HUMAN,
) -> None:
    """Show which tasks got slower and which faster from the first run to the second; the greatest change first."""
    with reported():
        found = _differences(_tasks(before), _tasks(after))
    typer.echo(difference_json(found) if form is ListFormat.JSON else difference_table(found))


def _tasks(path: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of the tasks in a timeline's file, by name.

    Raises:
        SpecError: If it is no timeline, or has not one run.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read["kind"] != "timeline" or read["schema"] != 1:
            raise ValueError
        runs = read["runs"]
        found = {task["task"]: task for run in runs for task in run["tasks"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        problem, remedy = f"{path} is no timeline", "write one with cascade run FILE --calls run.json"
        raise SpecError(problem, remedy) from None
    if len(runs) != 1:
        raise SpecError(f"{path} has {len(runs)} runs", "give the timeline of one run")
    return found


def _differences(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[TaskDifference]:
    names = dict.fromkeys((*before, *after))
    found = [TaskDifference.of(name, before.get(name), after.get(name)) for name in names]
    return sorted(found, key=lambda each: -abs(each.change))
