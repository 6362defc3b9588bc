"""`cs.cli`: a Typer app made from the inputs that a workflow declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Unpack

import typer
from typer.core import TyperCommand

from cascade.cli.common_options import SETTINGS, Setting
from cascade.cli.event_log import LogFormat, LogLevel
from cascade.cli.execution import Invocation, execute, reported
from cascade.cli.output import ResultFormat, forgiving_output
from cascade.cli.workflow_options import Option, environment, options, verbatim
from cascade.graph import build_graph
from cascade.runtime.settings import RUN_SETTINGS, RunSettings, check_known, documented
from cascade.spec import MISSING, LazyResult, ParamLazyResult, Resource, WorkflowSpec
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.compose import as_target
from cascade.spec.lazy_types import Lazy
from cascade.spec.targets import check_no_arguments, made_by

# Typer names only this one of its usage errors; the base is where an unknown option belongs too.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_OWN_FLAGS = ("-h", "--help", *(setting.flag for setting in SETTINGS))


@documented(RUN_SETTINGS)
def cli(target: Any, **settings: Unpack[RunSettings]) -> typer.Typer:
    """Make a Typer app of a workflow function, or of a ready lazy result; calling it parses `sys.argv` and runs.

    Each `Param` that the workflow declares is an option. `params` sets some of them beforehand: their options may
    then be left out, and win where they are given. So do the options for settings, which `--help` lists. A workflow
    function is called once and no graph is built for it.

    Raises:
        UnknownSettingError: If a keyword is no setting; it names the nearest one.
        NotLazyError: If the workflow needs arguments, or gives no lazy result.
        SpecError: If two options would have one name.
    """
    check_known("cs.cli", settings, RUN_SETTINGS)
    return make_app(target, settings)


def make_app(
    target: Any,
    settings: RunSettings,
    shown: Iterable[Setting] = SETTINGS,
    check: Callable[[RunSettings], None] | None = None,
) -> typer.Typer:
    """Make the app that `cli` describes, with options for the settings that are `shown`.

    `check` is called with the settings before the run.
    """
    presets = dict(settings.get("params") or {})
    workflow, spec = declared(target)
    for resource in (resources := tuple(settings.get("resources") or ())):
        for contract in resource.inputs.values() if isinstance(resource, Resource) else ():
            spec.add(contract)
    if resources:
        settings = {**settings, "resources": resources}
    invocation = Invocation(workflow, spec, settings)
    found = options(spec.contracts, presets, reserved=_OWN_FLAGS)

    def act(
        known: dict[str, object],
        log_level: LogLevel,
        log_format: LogFormat,
        result: ResultFormat,
        **given: object,
    ) -> None:
        with reported(log_format):
            complete = invocation.given(known, given)
            if check is not None:
                check(complete.settings)
        execute(complete, log_level, log_format, result)

    return app_of(verbatim(_purpose(target)), environment(spec.contracts), found, shown, act)


def app_of(
    purpose: str, epilog: str, found: list[Option], shown: Iterable[Setting], act: Callable[..., None]
) -> typer.Typer:
    """Make an app of one command, with an option for each parameter that was found and each setting that is shown.

    `act` is called with the values of the parameters that are given, by name, and the settings as keywords.
    """
    app = App(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=HELP_FLAGS,
    )
    app.command(cls=_Command, help=purpose, epilog=epilog, context_settings=HELP_FLAGS)(
        _command(found, tuple(shown), act)
    )
    return app


def declared(target: Any) -> tuple[Lazy, WorkflowSpec]:
    """Return the lazy result that `target` is or gives, and the inputs that it declares."""
    if callable(target) and not isinstance(target, StandsForValue):
        check_no_arguments(target)
        made, spec = made_by(target)
        return as_target(made), spec
    lazy = as_target(target)
    spec = WorkflowSpec()
    tree = build_graph(lazy).tree
    for node in tree.lazies if tree is not None else ():
        if isinstance(node, ParamLazyResult):
            spec.add(node.contract)
    return lazy, spec


def _purpose(target: Any) -> str:
    if callable(target) and not isinstance(target, StandsForValue):
        return inspect.getdoc(target) or f"Run {getattr(target, '__name__', 'the workflow')}."
    return f"Run {target.task.name}." if isinstance(target, LazyResult) else "Run the workflow."


def _command(
    found: list[Option], shown: tuple[Setting, ...], act: Callable[..., None]
) -> Callable[..., None]:
    """Return the function that Typer calls: its signature has a parameter for each option."""
    by_name = {f"input_{position}": option for position, option in enumerate(found)}

    def command(**given: Any) -> None:
        values = {
            option.contract.name: option.value(given.pop(name), *_file_of(name, given))
            for name, option in by_name.items()
        }
        act({name: value for name, value in values.items() if value is not MISSING}, **given)

    parameters = [
        *(each for name, option in by_name.items() for each in option.parameters(name)),
        *(setting.parameter(default=setting.default) for setting in shown),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _file_of(name: str, given: dict[str, Any]) -> list[str | None]:
    """Take the file of a secret out of what is given, if there is an option for one."""
    return [given.pop(f"{name}_file")] if f"{name}_file" in given else []


class App(typer.Typer):
    """A Typer app whose output never fails for a character that the terminal can't show."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with forgiving_output():
            return super().__call__(*args, **kwargs)


HELP_FLAGS = {"help_option_names": ["-h", "--help"]}
"""What Typer calls a command with, so that it has both flags for help."""


class _Command(TyperCommand):
    """A command that tells the nearest option where one is not known, and lists all where none is near."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if hasattr(error, "possibilities") and not error.possibilities:
                error.possibilities = [
                    flag for each in self.params for flag in (*each.opts, *each.secondary_opts)
                ]
            raise
