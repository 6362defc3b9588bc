"""`cascade why`: compares a workflow with a cache. It takes the options of its parameters, as `cascade run` does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import typer

from cascade.adapters.addresses import CACHE_URLS, VALUE_EXAMPLES
from cascade.cli.app import declared_inputs
from cascade.cli.common_options import VARIABLES, CommonOption
from cascade.cli.failures import reported
from cascade.cli.option_help import environment_help
from cascade.cli.tables.run_tables import ListFormat
from cascade.cli.tables.why_table import why_json, why_table
from cascade.cli.typer_app import app_of
from cascade.cli.workflow_options import input_options
from cascade.runtime.why import explain
from cascade.spec import SpecError

_PURPOSE = (
    "Show, for each task, whether its value is in the cache, and if not, what has changed. Runs nothing."
)
_PANEL = "Cache"

WHY_OPTIONS = (
    CommonOption(
        "cache",
        str,
        f"The cache to look into: {CACHE_URLS}.",
        _PANEL,
        metavar="URL",
        variable=VARIABLES["cache"],
    ),
    CommonOption(
        "codec",
        str,
        "The codec of its values, if it is not data: pickle, module:name.",
        _PANEL,
        metavar="CODEC",
    ),
    CommonOption(
        "values",
        str,
        f"Where its large values are: {VALUE_EXAMPLES}.",
        _PANEL,
        metavar="URL",
    ),
    CommonOption("format", ListFormat, "A table, or JSON; a table unless told.", _PANEL),
)
"""The options of `why` itself, which may stand before the target or behind it."""


def why_app(target: object, before: Mapping[str, object]) -> typer.Typer:
    """Make the app that explains a workflow; `before` are the values of the options before the target.

    A parameter may have the name of one of these options: behind the target the option is the parameter's then.

    Raises:
        NotLazyError: If the workflow needs arguments, or gives no lazy result.
    """
    lazy, spec = declared_inputs(target)
    inputs = input_options(spec.contracts, {}, reserved=("--help",))
    taken = {flag for option in inputs for flag in option.flags}
    own = [option for option in WHY_OPTIONS if option.flag not in taken]

    def act(params: dict[str, object], **given: object) -> None:
        options = {**before, **{name: value for name, value in given.items() if value is not None}}
        cache, codec = options.get("cache"), options.get("codec")
        with reported():
            if not isinstance(cache, str):
                raise SpecError("nothing to look into", "give the URL of a cache, --cache sqlite:///cache.db")
            word = codec if isinstance(codec, str) else None
            values = options.get("values")
            large = values if isinstance(values, str) else None
            judgements = asyncio.run(explain(lazy, cache, params=params, spec=spec, codec=word, values=large))
        is_json = options.get("format") is ListFormat.JSON
        typer.echo(why_json(judgements) if is_json else why_table(judgements))

    return app_of(_PURPOSE, environment_help(spec.contracts), inputs, own, act)
