"""`cascade runs`: lists, shows, resumes and deletes what a store has of runs.

Only `resume` loads a workflow. The others read no value, so they need neither the code nor the codec of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cascade.adapters.addresses import STATE_URLS, VALUE_EXAMPLES, address_of
from cascade.adapters.state import Catalog, RunSummary
from cascade.adapters.state.damage import checking
from cascade.adapters.state.recorded.deletion import check_has_no_values, delete_run, is_half_deleted
from cascade.adapters.store_urls import catalog_from_url
from cascade.adapters.values import ValueStore, value_store_from_url
from cascade.cli.app import make_app
from cascade.cli.commands.ages import moment
from cascade.cli.commands.watched_run import WatchedRun
from cascade.cli.common_options import (
    COMMON_OPTIONS,
    RESTART,
    RUN_ID,
    VARIABLES,
    as_words,
    check_file,
    with_options,
)
from cascade.cli.failures import ExitCode, reported
from cascade.cli.tables.run_tables import (
    ListFormat,
    ShownRun,
    ShownStatus,
    run_json,
    run_page,
    runs_json,
    runs_table,
    size_text,
)
from cascade.cli.target_loading import load
from cascade.cli.typer_app import HELP_FLAGS, WORKFLOW_BEHIND
from cascade.runtime.recorded_runs.found_inputs import found_inputs
from cascade.runtime.recorded_runs.recorded_run import RecordedRun, shown_status
from cascade.runtime.settings import RunSettings
from cascade.spec import RunStatus, SpecError
from cascade.spec.errors import RunActiveError, RunNotFoundError
from cascade.spec.terminal_text import shown

runs_app = typer.Typer(
    context_settings=HELP_FLAGS,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="List, show, resume and delete recorded runs.",
)

State = Annotated[
    str,
    typer.Option(
        "--state",
        metavar="URL",
        help=f"The store: {STATE_URLS}.",
        show_default=False,
        envvar=VARIABLES["state"],
    ),
]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The id of the run.", show_default=False)]
Form = Annotated[ListFormat, typer.Option("--format", help="A table, or JSON.")]

_NEED_NO_INPUTS = (RunStatus.SUCCEEDED, RunStatus.DAMAGED)
"""How a run is with which nobody goes on."""

_RESUME_OPTIONS = tuple(each for each in COMMON_OPTIONS if each not in (RUN_ID, RESTART))
"""The options of `resume`: its argument names the run, and a run that goes on does not begin anew."""


@runs_app.command("list", context_settings=HELP_FLAGS)
def list_runs(
    state: State,
    form: Form = ListFormat.HUMAN,
    status: Annotated[
        list[ShownStatus] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help=f"Only runs of this status, or these: {', '.join(ShownStatus)}.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        float | None,
        typer.Option(
            parser=moment,
            metavar="AGE",
            help="Only runs updated since: 2h, 7d, 2026-11-30.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many.", show_default=False)
    ] = None,
) -> None:
    """List the runs of a store, the last updated first. Columns that don't fit the terminal are left out."""
    with _catalog(state) as catalog:
        found = catalog.runs()
    wanted = [
        run
        for run in found
        if (not status or shown_status(run) in status) and (since is None or run.updated >= since)
    ][:limit]
    typer.echo(runs_json(wanted) if form is ListFormat.JSON else runs_table(wanted))


@runs_app.command(context_settings=HELP_FLAGS)
def show(run_id: RunId, state: State, form: Form = ListFormat.HUMAN) -> None:
    """Show a run, how far it has come, and what is recorded of it, without the values."""
    with _catalog(state) as catalog:
        run = _find(catalog, run_id, state)
        with checking(address_of(state), run_id):
            progress = RecordedRun.read(run, catalog.timeline(run_id)).progress()
        facts = catalog.facts(run_id)
        inputs = None if run.status in _NEED_NO_INPUTS else found_inputs(catalog, run, address_of(state))
    write = run_json if form is ListFormat.JSON else run_page
    typer.echo(write(ShownRun(run, facts, progress, inputs)))


@runs_app.command(context_settings=HELP_FLAGS)
def watch(run_id: RunId, state: State) -> None:
    """Show how far a run has come until it ends, live, whoever drives it; end with 1 if it does not succeed."""
    with _catalog(state) as catalog:
        run = WatchedRun(catalog, run_id, address_of(state))
        if not run.follow():
            raise typer.Exit(ExitCode.FAILED)


@runs_app.command(context_settings=HELP_FLAGS)
def report(
    run_id: RunId,
    state: State,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="Where to write it.",
            show_default=False,
            callback=check_file,
        ),
    ],
) -> None:
    """Write the report of a run as a page, as far as the store knows the run. It has names and times, no values."""
    with _catalog(state) as catalog:
        run = _find(catalog, run_id, state)
        with checking(address_of(state), run_id):
            page = RecordedRun.read(run, catalog.timeline(run_id)).report(catalog.facts(run_id))
        output.write_text(page, encoding="utf-8")


@runs_app.command(context_settings=HELP_FLAGS)
def delete(
    state: State,
    run_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The id of the run.", show_default=False)
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            parser=moment,
            metavar="AGE",
            help="All runs that were not updated since, but those that are driven: 30d, 2026-11-30.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"The value store of the runs, if they have one: {VALUE_EXAMPLES}.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run, or all old ones, and all that is recorded of them."""
    with _catalog(state) as catalog:
        store = None if values is None else value_store_from_url(values)
        if (run_id is None) == (older_than is None):
            raise SpecError(
                "nothing to delete is named, or two things", "give an ID or --older-than, one of them"
            )
        if run_id is not None:
            _delete_one(catalog, run_id, store, state, yes)
        elif older_than is not None:
            _delete_old(catalog, older_than, store, yes)


def _delete_one(catalog: Catalog, run_id: str, values: ValueStore | None, state: str, yes: bool) -> None:
    """Delete a run, unless somebody drives it or does not confirm; `yes` asks nobody."""
    try:
        run = _find(catalog, run_id, state)
    except RunNotFoundError:
        if values is None or not is_half_deleted(catalog, run_id, values):
            raise
        delete_run(catalog, run_id, values)  # a process that was killed has begun that
        return
    if run.driver:
        raise RunActiveError(run_id, address_of(state), run.driver)
    if values is None:
        check_has_no_values(catalog, run_id)
    if not yes:
        what = f"run '{shown(run_id)}' with {run.facts} facts ({size_text(run.size)})"
        typer.confirm(f"Delete {what}?", abort=True, err=True)
    delete_run(catalog, run_id, values)


def _delete_old(catalog: Catalog, before: float, values: ValueStore | None, yes: bool) -> None:
    """Delete all runs that were last updated before a time, in seconds since the epoch, and that nobody drives."""
    old = [run for run in catalog.runs() if run.updated < before and not run.driver]
    if values is None:
        for run in old:
            check_has_no_values(catalog, run.run_id)
    if old and not yes:
        size = size_text(sum(run.size for run in old))
        typer.confirm(f"Delete {len(old)} runs ({size})?", abort=True, err=True)
    deleted = 0
    for run in old:
        try:
            delete_run(catalog, run.run_id, values)
        except (RunActiveError, RunNotFoundError):
            continue  # somebody has begun to drive it, or deleted it, since the list was made
        deleted += 1
    typer.echo(f"deleted {deleted} runs")


@runs_app.command(context_settings=WORKFLOW_BEHIND, options_metavar="[OPTIONS]")
@with_options(_RESUME_OPTIONS)
def resume(
    run_id: RunId,
    target: Annotated[
        str,
        typer.Argument(metavar="FILE_OR_MODULE[:NAME]", help="Where its workflow is.", show_default=False),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="--PARAM VALUE",
            help="The workflow's parameters, as the run began with them: a store does not have them.",
            show_default=False,
        ),
    ] = None,
    **given: object,
) -> None:
    """Go on with a run, and print its result. The options may stand after the target too."""

    def check(settings: RunSettings) -> None:
        _check_is_there(run_id, settings.get("state"))

    with reported():
        loaded = load(target)
        app = make_app(
            loaded.workflow, {"run_id": run_id, "resources": loaded.resources}, _RESUME_OPTIONS, check
        )
    app(
        args=[*as_words(_RESUME_OPTIONS, given), *(arguments or ())],
        prog_name=f"cascade runs resume {run_id} {target}",
    )


@contextmanager
def _catalog(url: str) -> Iterator[Catalog]:
    """Open the catalog of a store for a `with` block; what goes wrong there ends the command."""
    with reported(), closing(catalog_from_url(url)) as catalog:
        yield catalog


def _find(catalog: Catalog, run_id: str, url: str) -> RunSummary:
    """Return the run of this id.

    Raises:
        RunNotFoundError: If the store does not have it; it names the store as the command line does.
    """
    try:
        return catalog.find(run_id)
    except RunNotFoundError:
        raise RunNotFoundError(run_id, address_of(url)) from None


def _check_is_there(run_id: str, url: object) -> None:
    """Check that a store has a run.

    Raises:
        SpecError: If no store is given.
        RunNotFoundError: If the store does not have it.
    """
    if not isinstance(url, str):
        raise SpecError(f"run '{run_id}' without a store", "give its URL, --state sqlite:///runs.db")
    try:
        with closing(catalog_from_url(url)) as catalog:
            _find(catalog, run_id, url)
    except RunNotFoundError as missing:
        missing.add_note("to begin it: cascade run FILE --state URL --run-id ID")
        raise
