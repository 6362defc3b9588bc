"""`python -m observatory.peers [peer ...] [--workload NAME]`: what each peer takes for each workload, as a table."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from observatory.peers.runner import PEERS, PeerFigure, climb
from observatory.work import ANSWERS


def row(figure: PeerFigure) -> list[str]:
    where = [figure.peer, figure.workload, f"{figure.size:,}"]
    if not figure.seconds:
        return [*where, "", "", figure.cannot or figure.failed]
    per_unit = (f"{figure.seconds[start].min / figure.units * 1e6:,.1f}" for start in ("cold", "again"))
    return [*where, *per_unit, ""]


def main() -> None:
    parser = argparse.ArgumentParser("observatory.peers", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="peer", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--workload", choices=sorted(ANSWERS), action="append")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--patience", type=float, default=12.0, help="seconds that a run may take")
    given = parser.parse_args()
    unknown = sorted(set(given.peers) - set(PEERS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PEERS)}")
    console = Console()
    table = Table("peer", "workload", "size", "cold, us per unit", "again, us per unit", "no figure, since")
    for peer in given.peers or PEERS:
        for workload in given.workload or ANSWERS:
            for figure in climb(peer, workload, tuple(given.sizes), given.seconds, given.patience):
                table.add_row(*row(figure))
    Console(width=max(console.width, 140)).print(table)


if __name__ == "__main__":
    main()
