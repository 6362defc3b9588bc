"""The `cascade` command: runs, draws, plans and explains the workflow in a file or module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from cascade.cli.app import cli, declared_inputs
from cascade.cli.commands.cache_why import WHY_OPTIONS, why_app
from cascade.cli.commands.cached_values import cache_app
from cascade.cli.commands.doctor import diagnose
from cascade.cli.commands.page import ui
from cascade.cli.commands.stored_runs import runs_app
from cascade.cli.commands.timelines import timeline_app
from cascade.cli.commands.worker import worker
from cascade.cli.common_options import (
    COMMON_OPTIONS,
    VARIABLES,
    WORKER_OPTIONS,
    as_words,
    with_options,
)
from cascade.cli.failures import ExitCode, reported
from cascade.cli.tables.plan_table import plan_table
from cascade.cli.tables.run_tables import ListFormat, findings_json, findings_table
from cascade.cli.target_loading import load
from cascade.cli.typer_app import HELP_FLAGS, WORKFLOW_BEHIND, App
from cascade.graph import Graph, build_graph, draw, stages, to_dot, to_json, to_mermaid, with_tail_calls
from cascade.spec import SpecError
from cascade.spec.lazy_types import Lazy

_app = App(
    no_args_is_help=True,
    context_settings=HELP_FLAGS,
    pretty_exceptions_enable=False,
    help="Run, draw, plan and explain Cascade workflows; look at recorded runs.",
)
_app.add_typer(runs_app, name="runs")
_app.add_typer(timeline_app, name="timeline")
_app.add_typer(cache_app, name="cache")
_app.command(context_settings=HELP_FLAGS)(ui)
_app.command(context_settings=HELP_FLAGS)(with_options(WORKER_OPTIONS)(worker))


def main(args: Sequence[str] | None = None) -> None:
    """Run the `cascade` command with these arguments, or with those of the process; it ends in `SystemExit`."""
    _app(args=args, prog_name="cascade")


class GraphFormat(StrEnum):
    """How `cascade graph` writes a graph: in a language for graphs, as JSON, or as a picture."""

    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"
    SVG = "svg"
    PNG = "png"
    HTML = "html"


def _text(write: Callable[[Graph], str]) -> Callable[[Lazy], bytes]:
    return lambda lazy: f"{write(with_tail_calls(build_graph(lazy))).rstrip()}\n".encode()


_WRITERS: dict[GraphFormat, Callable[[Lazy], bytes]] = {
    GraphFormat.MERMAID: _text(to_mermaid),
    GraphFormat.DOT: _text(to_dot),
    GraphFormat.JSON: _text(to_json),
    GraphFormat.SVG: lambda lazy: draw(lazy).svg.encode(),
    GraphFormat.PNG: lambda lazy: draw(lazy).png(),
    GraphFormat.HTML: lambda lazy: draw(lazy).html.encode(),
}

Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_MODULE[:NAME]",
        help="Where the workflow is. Without a name: `workflow`, or the only function or lazy result there.",
        show_default=False,
    ),
]


def _show_version(wanted: bool) -> None:
    """Print the version and end; Typer calls this for `--version` before anything else."""
    if wanted:
        try:
            typer.echo(f"cascade {version('cascade-cli')}")
        except PackageNotFoundError:
            typer.echo("cascade (not installed: it runs from its sources)")
        raise typer.Exit


@_app.callback()
def _cascade(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@_app.command(
    context_settings=WORKFLOW_BEHIND,
    options_metavar="",
)
@with_options(COMMON_OPTIONS)
def run(
    target: Target,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="--PARAM VALUE",
            help="The workflow's parameters; `cascade run FILE --help` shows them.",
            show_default=False,
        ),
    ] = None,
    **given: object,
) -> None:
    """Run a workflow and print its result."""
    with reported():
        loaded = load(target)
        app = cli(loaded.workflow, resources=loaded.resources)
    app(args=[*as_words(COMMON_OPTIONS, given), *(arguments or ())], prog_name=f"cascade run {target}")


@_app.command(context_settings=HELP_FLAGS)
def graph(
    target: Target,
    form: Annotated[GraphFormat, typer.Option("--format", help="What to write.")] = GraphFormat.MERMAID,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file.", show_default=False),
    ] = None,
) -> None:
    """Draw the graph of a workflow, with the tail calls that its source shows; runs nothing."""
    with reported():
        if output is None and form is GraphFormat.PNG and sys.stdout.isatty():
            raise SpecError("a PNG is no text for a terminal", "give a file: -o flow.png")
        lazy, _ = declared_inputs(load(target).workflow)
        written = _WRITERS[form](lazy)
        if output is not None:
            output.write_bytes(written)
    if output is None:
        typer.echo(written, nl=False)


@_app.command(context_settings=HELP_FLAGS)
def plan(target: Target) -> None:
    """Show what would run and in which order; runs nothing."""
    with reported():
        lazy, _ = declared_inputs(load(target).workflow)
        text = plan_table(stages(build_graph(lazy)))
    typer.echo(text)


@_app.command(
    context_settings=WORKFLOW_BEHIND,
    options_metavar="",
)
@with_options(WHY_OPTIONS)
def why(
    target: Target,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="--cache URL --PARAM VALUE",
            help="The cache, and the workflow's parameters as `cascade run` takes them.",
            show_default=False,
        ),
    ] = None,
    **given: object,
) -> None:
    """Show, for each task, whether its value is in the cache, and if not, what has changed; runs nothing."""
    with reported():
        app = why_app(load(target).workflow, given)
    app(args=list(arguments or ()), prog_name=f"cascade why {target}")


@_app.command(context_settings=HELP_FLAGS)
def doctor(
    state: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Look at this store too.", show_default=False, envvar=VARIABLES["state"]
        ),
    ] = None,
    form: Annotated[ListFormat, typer.Option("--format", help="A table, or JSON.")] = ListFormat.HUMAN,
) -> None:
    """Check the installation and a store, and show what `durability` means here."""
    with reported():
        found = list(diagnose(state))
    typer.echo(findings_json(found) if form is ListFormat.JSON else findings_table(found))
    if any(finding.remedy for finding in found):
        raise typer.Exit(ExitCode.FAILED)
