"""`cascade ui`: serves a local page over a store."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from typing import Annotated

import typer

from cascade.adapters.addresses import STATE_URLS
from cascade.cli.common_options import VARIABLES
from cascade.cli.failures import reported
from cascade.spec import SpecError

_NEEDED = ("starlette", "uvicorn")


def ui(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE_URL",
            help=f"The store: {STATE_URLS}.",
            envvar=VARIABLES["state"],
            show_default=False,
        ),
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes one that is free.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Show the runs of a store as a page in the browser, on this machine alone; it reads names and times, no values."""
    with reported():
        if any(find_spec(name) is None for name in _NEEDED):
            raise SpecError("`cascade ui` needs Starlette and uvicorn", "pip install 'cascade-cli[ui]'")
        from cascade.cli.ui.server import Server  # noqa: PLC0415 - of an extra
        from cascade.cli.ui.store_reading import StoreReader  # noqa: PLC0415 - for this command alone

        reader = StoreReader(store)
        reader.check()
        server = Server(reader, port)
        typer.echo(f"{server.address}\nThe address is good for one use. Ctrl-C ends the page.")
        if not no_open:
            webbrowser.open(server.address)
        server.serve()
