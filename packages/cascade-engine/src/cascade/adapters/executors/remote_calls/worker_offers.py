"""Offers: what the workers of a cluster have of the amounts that calls ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class WorkerOffers:
    """What workers have offered so far, also those that are gone just now: they may be starting again."""

    def __init__(self) -> None:
        self._offers: set[tuple[tuple[str, float], ...]] = set()

    def note(self, workers: Iterable[Mapping[str, float]]) -> None:
        """Note what workers have now."""
        self._offers.update(tuple(sorted(worker.items())) for worker in workers)

    def counted(self, amounts: Mapping[str, float]) -> dict[str, float]:
        """Return the amounts that the cluster counts, which some worker offers: the others only the engine does."""
        if not amounts:  # nearly all calls
            return {}
        names = {name for offer in self._offers for name, _ in offer}
        return {name: amount for name, amount in amounts.items() if name in names}

    def have(self, amounts: Mapping[str, float]) -> bool:
        """Tell whether one worker has all the amounts."""
        return any(
            all(dict(offer).get(name, 0) >= amount for name, amount in amounts.items())
            for offer in self._offers
        )

    def __str__(self) -> str:
        return "; ".join(sorted(listed(dict(offer)) for offer in self._offers if offer)) or "none"


def listed(amounts: Mapping[str, float]) -> str:
    """Return amounts as they are written: `gpu=1, licence=2`."""
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(amounts.items()))
