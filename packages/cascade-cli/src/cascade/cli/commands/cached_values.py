"""`cascade cache`: removes what a cache does not need any more. It reads no value, and needs no code of a workflow."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cascade.adapters.addresses import CACHE_URLS, VALUE_EXAMPLES
from cascade.adapters.cache.pruning import Prunable, Pruned, PruneRule, prune
from cascade.adapters.store_urls import cache_factory
from cascade.adapters.values import KeptValues, value_store_from_url
from cascade.cli.commands.ages import moment
from cascade.cli.commands.sizes import size
from cascade.cli.common_options import VARIABLES
from cascade.cli.failures import reported
from cascade.cli.tables.run_tables import size_text
from cascade.cli.typer_app import HELP_FLAGS
from cascade.spec import SpecError

cache_app = typer.Typer(
    context_settings=HELP_FLAGS,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Remove what a cache does not need any more.",
)


@cache_app.callback()
def _cache() -> None:
    """Remove what a cache does not need any more."""


@cache_app.command("prune", context_settings=HELP_FLAGS)
def prune_cache(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help=f"The cache: {CACHE_URLS}.",
            show_default=False,
            envvar=VARIABLES["cache"],
        ),
    ],
    older_than: Annotated[
        float | None,
        typer.Option(
            parser=moment,
            metavar="AGE",
            help="Entries that were put before: 7d, 12h, 2026-11-30.",
            show_default=False,
        ),
    ] = None,
    larger_than: Annotated[
        int | None,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="Entries with more bytes: 10MB, 1GiB. With both options, those for which both hold.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help=f"The value store of the cache: {VALUE_EXAMPLES}.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
) -> None:
    """Remove old or large entries, expired ones, and values that no entry points to; say how many and how much."""
    with reported():
        kept = {} if values is None else {"values": KeptValues(value_store_from_url(values))}
        pruned = asyncio.run(_prune(store, kept, PruneRule(older_than, larger_than), dry_run))
    done = "would remove" if dry_run else "removed"
    typer.echo(
        f"{done} {_number(pruned.entries, 'entry', 'entries')} and "
        f"{_number(pruned.values, 'value', 'values')} without an entry, {size_text(pruned.size)}"
    )


async def _prune(store: str, kept: dict[str, KeptValues], rule: PruneRule, dry_run: bool) -> Pruned:
    cache = cache_factory(store, create=False, **kept)()
    try:
        if not isinstance(cache, Prunable):
            raise SpecError(f"a cache of type {type(cache).__name__}", "its entries can't be listed")
        return await prune(cache, rule, dry_run=dry_run)
    finally:
        await cache.close()


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
