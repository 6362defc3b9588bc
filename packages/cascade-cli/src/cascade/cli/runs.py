"""`cascade runs`: what a store has of its runs. Only `resume` loads a workflow; the others look at no value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from cascade.adapters.addresses import address_of
from cascade.adapters.state import Catalog, RunSummary
from cascade.adapters.urls import catalog_from_url
from cascade.cli.app import make_app
from cascade.cli.execution import reported
from cascade.cli.loading import load
from cascade.cli.run_tables import ListFormat, run_json, run_page, runs_json, runs_table, size_text
from cascade.cli.settings import RESTART, RUN_ID, SETTINGS, before_target, with_settings
from cascade.cli.text_table import shown
from cascade.runtime.settings import RunSettings
from cascade.spec import SpecError
from cascade.spec.errors import RunActiveError, RunNotFoundError

runs_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="List, show, resume and delete recorded runs.",
)

State = Annotated[
    str,
    typer.Option(
        "--state", metavar="URL", help="The store: sqlite:///runs.db, redis://localhost.", show_default=False
    ),
]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The id of the run.", show_default=False)]
Form = Annotated[ListFormat, typer.Option("--format", help="A table, or JSON.")]


@runs_app.command("list")
def list_runs(state: State, form: Form = ListFormat.HUMAN) -> None:
    """List the runs of a store, the last updated first."""
    with _catalog(state) as catalog:
        found = catalog.runs()
    typer.echo(runs_json(found) if form is ListFormat.JSON else runs_table(found))


@runs_app.command()
def show(run_id: RunId, state: State, form: Form = ListFormat.HUMAN) -> None:
    """Show a run and what is recorded of it, without the values."""
    with _catalog(state) as catalog:
        run = _find(catalog, run_id, state)
        facts = catalog.facts(run_id)
    typer.echo(run_json(run, facts) if form is ListFormat.JSON else run_page(run, facts))


@runs_app.command()
def delete(
    run_id: RunId,
    state: State,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run and all that is recorded of it."""
    with _catalog(state) as catalog:
        run = _find(catalog, run_id, state)
        if run.driver:
            raise RunActiveError(run_id, address_of(state), run.driver)
        if not yes:
            what = f"run '{shown(run_id)}' with {run.facts} facts ({size_text(run.size)})"
            typer.confirm(f"Delete {what}?", abort=True, err=True)
        catalog.delete(run_id)


# What follows the target is the workflow's own business: `--help` too.
@runs_app.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    options_metavar="[OPTIONS]",
)
@with_settings(_RESUMING := tuple(each for each in SETTINGS if each not in (RUN_ID, RESTART)))
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
        app = make_app(loaded.workflow, {"run_id": run_id, "resources": loaded.resources}, _RESUMING, check)
    app(
        args=[*before_target(_RESUMING, given), *(arguments or ())],
        prog_name=f"cascade runs resume {run_id} {target}",
    )


@contextmanager
def _catalog(url: str) -> Iterator[Catalog]:
    with reported(), closing(catalog_from_url(url)) as catalog:
        yield catalog


def _find(catalog: Catalog, run_id: str, url: str) -> RunSummary:
    for run in catalog.runs():
        if run.run_id == run_id:
            return run
    raise RunNotFoundError(run_id, address_of(url))


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
