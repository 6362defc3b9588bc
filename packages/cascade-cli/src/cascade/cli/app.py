"""`cs.cli`: a Typer app whose options are the inputs that a workflow declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Unpack

import typer

from cascade.cli.common_options import COMMON_OPTIONS, CommonOption
from cascade.cli.execution import Invocation, execute
from cascade.cli.failures import reported
from cascade.cli.log_lines import LogFormat, LogLevel
from cascade.cli.option_help import environment_help, verbatim
from cascade.cli.outcome_files import run_files
from cascade.cli.output import ResultFormat
from cascade.cli.typer_app import app_of
from cascade.cli.workflow_options import input_options
from cascade.graph import build_graph
from cascade.runtime.settings import RUN_SETTINGS, RunSettings, check_known, documented
from cascade.spec import LazyResult, ParamLazyResult, Resource, WorkflowSpec
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.compose import as_target
from cascade.spec.lazy_types import Lazy
from cascade.spec.targets import check_no_arguments, made_by

_RESERVED_FLAGS = ("-h", "--help", *(option.flag for option in COMMON_OPTIONS))


@documented(RUN_SETTINGS)
def cli(target: object, **settings: Unpack[RunSettings]) -> typer.Typer:
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
    target: object,
    settings: RunSettings,
    common: Iterable[CommonOption] = COMMON_OPTIONS,
    check: Callable[[RunSettings], None] | None = None,
) -> typer.Typer:
    """Make the app that `cli` describes, with these of the common options.

    `check` is called with the settings of the run before it begins, and may raise.
    """
    presets = dict(settings.get("params") or {})
    workflow, spec = declared_inputs(target)
    # Resources that tasks have injected may have inputs too, which no workflow function declares.
    for resource in (resources := tuple(settings.get("resources") or ())):
        for contract in resource.inputs.values() if isinstance(resource, Resource) else ():
            spec.add(contract)
    if resources:
        settings = {**settings, "resources": resources}
    invocation = Invocation(workflow, spec, settings, target)

    def act(
        params: dict[str, object],
        log_level: LogLevel,
        log_format: LogFormat,
        result: ResultFormat,
        **given: object,
    ) -> None:
        with reported(log_format):
            files = run_files(given, invocation.settings)
            complete = invocation.given(params, given)
            if files.timeline is not None:
                complete.settings["timeline"] = files.timeline
            if check is not None:
                check(complete.settings)
        try:
            execute(complete, log_level, log_format, result)
        finally:
            with reported(log_format):
                files.write()

    return app_of(
        verbatim(_purpose(target)),
        environment_help(spec.contracts),
        input_options(spec.contracts, presets, reserved=_RESERVED_FLAGS),
        common,
        act,
    )


def declared_inputs(target: object) -> tuple[Lazy, WorkflowSpec]:
    """Return the lazy result that `target` is, or gives if it is a function, and the inputs that it declares.

    Raises:
        NotLazyError: If the function needs arguments, or gives no lazy result.
    """
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


def _purpose(target: object) -> str:
    """Return the first part of the help: the docstring of a workflow function, or what is run."""
    if callable(target) and not isinstance(target, StandsForValue):
        return inspect.getdoc(target) or f"Run {getattr(target, '__name__', 'the workflow')}."
    return f"Run {target.task.name}." if isinstance(target, LazyResult) else "Run the workflow."
