"""How many random examples a test looks at: under the profile `portable` a fifth of those under `ci`.

Hypothesis' own profile `ci` is for the Python that runs all tests. `portable` is for the Pythons beside it: there the
same random tests look for what another Python does differently, and examples that differ from each other tell less.
"""

from __future__ import annotations

from hypothesis import settings

ALL = settings.get_profile("ci").max_examples

settings.register_profile("portable", settings.get_profile("ci"), max_examples=ALL // 5)


def examples(wanted: int) -> int:
    """Return how many examples to look at under the profile in use, for a test that wants so many under `ci`."""
    return max(1, wanted * settings().max_examples // ALL)
