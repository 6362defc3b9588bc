"""`cs.cli`: a Typer app made from the inputs that a workflow declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from cascade.cli.event_log import LogFormat, LogLevel
from cascade.cli.execution import Invocation, execute
from cascade.cli.options import Option, environment, options
from cascade.graph import build_graph
from cascade.runtime import Engine, Executor, OnFailure
from cascade.runtime.protocols import CacheBackend, StateBackendFactory
from cascade.spec import MISSING, LazyResult, NotLazyError, ParamLazyResult, Resource, WorkflowSpec
from cascade.spec.compose import as_target
from cascade.spec.workflow import collect

# Typer names only this one of its usage errors; the base is where an unknown option belongs too.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_OWN_FLAGS = ("--help", "--log-level", "--log-format")


def cli(
    target: Any,
    *,
    params: Mapping[str, object] | None = None,
    resources: Iterable[Resource] = (),
    system_resources: Mapping[str, float] | None = None,
    state: StateBackendFactory | None = None,
    run_id: str | None = None,
    cache: CacheBackend | None = None,
    executor: Executor | None = None,
    on_failure: str | OnFailure = OnFailure.STOP,
) -> typer.Typer:
    """Make a Typer app of a workflow function, or of a ready lazy result; calling it parses `sys.argv` and runs.

    Each `Param` that the workflow declares is an option. `params` sets some of them beforehand: their options may
    then be left out, and win where they are given. A workflow function is called once and no graph is built for it.
    The other options are those of `cs.run`.

    Raises:
        NotLazyError: If the workflow needs arguments, or gives no lazy result.
        SpecError: If two options would have one name.
    """
    presets = dict(params or {})
    workflow, spec = declared(target)
    # Backends only if they are given: the engine has its own defaults.
    backends: dict[str, Any] = {"state_backend_cls": state, "cache_backend": cache, "executor": executor}
    given = {name: backend for name, backend in backends.items() if backend is not None}
    engine = partial(Engine, system_resources=system_resources, **given)
    invocation = Invocation(workflow, spec, presets, tuple(resources), engine, run_id, on_failure)
    found = options(spec.contracts, presets, reserved=_OWN_FLAGS)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(cls=_Command, help=escape(_purpose(target)), epilog=environment(spec.contracts))(
        _command(invocation, found)
    )
    return app


def declared(target: Any) -> tuple[LazyResult[Any], WorkflowSpec]:
    """Return the lazy result that `target` is or gives, and the inputs that it declares."""
    if callable(target):
        _check_no_arguments(target)
        made, spec = collect(target)
        return as_target(made), spec
    lazy = as_target(target)
    spec = WorkflowSpec()
    tree = build_graph(lazy).tree
    for node in tree.lazies if tree is not None else ():
        if isinstance(node, ParamLazyResult):
            spec.add(node.contract)
    return lazy, spec


def _check_no_arguments(workflow: Callable[..., Any]) -> None:
    try:
        inspect.signature(workflow).bind()
    except TypeError as problem:
        name = getattr(workflow, "__name__", repr(workflow))
        raise NotLazyError(
            f"'{name}' can't be called without arguments: {problem}", "use cs.Param(...)"
        ) from None


def _purpose(target: Any) -> str:
    if callable(target):
        return inspect.getdoc(target) or f"Run {getattr(target, '__name__', 'the workflow')}."
    return f"Run {target.task.name}." if isinstance(target, LazyResult) else "Run the workflow."


def _command(invocation: Invocation, found: list[Option]) -> Callable[..., None]:
    """Return the function that Typer calls: its signature has a parameter for each option."""
    by_name = {f"input_{position}": option for position, option in enumerate(found)}

    def command(log_level: LogLevel, log_format: LogFormat, **given: object) -> None:
        values = {option.contract.name: option.value(given[name]) for name, option in by_name.items()}
        known = {name: value for name, value in values.items() if value is not MISSING}
        execute(invocation.with_params(known), log_level, log_format)

    parameters = [*(option.parameter(name) for name, option in by_name.items()), *_LOG_OPTIONS]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _log_option(name: str, default: LogLevel | LogFormat, told: str) -> inspect.Parameter:
    info = typer.Option(default, help=told, rich_help_panel="Log")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=type(default))


_LOG_OPTIONS = (
    _log_option("log_level", LogLevel.WARNING, "How much to tell on stderr while it runs."),
    _log_option("log_format", LogFormat.HUMAN, "Sentences, or a JSON object per line."),
)


class _Command(TyperCommand):
    """A command that lists its options where one is not known."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if hasattr(error, "possibilities"):
                error.possibilities = [
                    flag for each in self.params for flag in (*each.opts, *each.secondary_opts)
                ]
            raise
