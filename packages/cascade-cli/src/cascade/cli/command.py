"""The `cascade` command: runs, draws and plans the workflow in a file or module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from cascade.cli.app import cli, declared
from cascade.cli.event_log import LogFormat, LogLevel
from cascade.cli.execution import ExitCode, is_plain, report
from cascade.cli.loading import load
from cascade.cli.plan_table import plan_table
from cascade.graph import Graph, build_graph, stages, to_dot, to_json, to_mermaid, with_tail_calls

_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run, draw and plan Cascade workflows.",
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the `cascade` command with these arguments, or those of the process; ends in `SystemExit`."""
    _app(args=args, prog_name="cascade")


class GraphFormat(StrEnum):
    """How `cascade graph` writes a graph."""

    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"


_WRITERS: dict[GraphFormat, Callable[[Graph], str]] = {
    GraphFormat.MERMAID: to_mermaid,
    GraphFormat.DOT: to_dot,
    GraphFormat.JSON: to_json,
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


# What follows the target is the workflow's own business: `--help` too.
@_app.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    options_metavar="",
)
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
    log_level: Annotated[
        LogLevel | None, typer.Option(help="As after the target.", show_default=False)
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="As after the target.", show_default=False)
    ] = None,
) -> None:
    """Run a workflow and print its result."""
    own = {"--log-level": log_level, "--log-format": log_format}
    before = [text for flag, value in own.items() if value is not None for text in (flag, value.value)]
    with _reported():
        loaded = load(target)
        app = cli(loaded.workflow, resources=loaded.resources)
    app(args=[*before, *(arguments or ())], prog_name=f"cascade run {target}")


@_app.command()
def graph(
    target: Target,
    form: Annotated[GraphFormat, typer.Option("--format", help="What to write.")] = GraphFormat.MERMAID,
) -> None:
    """Draw the graph of a workflow, with the tail calls that its source shows; runs nothing."""
    with _reported():
        lazy, _ = declared(load(target).workflow)
        text = _WRITERS[form](with_tail_calls(build_graph(lazy)))
    typer.echo(text.rstrip("\n"))


@_app.command()
def plan(target: Target) -> None:
    """Show what would run and in which order; runs nothing."""
    with _reported():
        lazy, _ = declared(load(target).workflow)
        text = plan_table(stages(build_graph(lazy)))
    typer.echo(text)


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what goes wrong before a run into a message and an exit code: 1 if it is the file's own code, else 2."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - whatever the user's file raises
        report(error)
        raise typer.Exit(ExitCode.USAGE if is_plain(error) else ExitCode.FAILED) from None
