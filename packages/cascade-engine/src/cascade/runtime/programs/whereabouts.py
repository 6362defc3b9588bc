"""Whereabouts: where the values of a structure have to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Whereabouts(NamedTuple):
    """The nodes of a structure, by position, as to where their values have to be.

    Attributes:
        looked_at: Those whose value is looked at here.
        used_there: Those whose value a call on another worker takes.
        handed_on: Internal tasks that may take a handle, and so are no plain calls.
        sent: Those whose calls are made by an executor that may leave values elsewhere.
        followers: The call that may go to a worker together with one whose value it alone takes.
    """

    looked_at: frozenset[int]
    used_there: frozenset[int]
    handed_on: frozenset[int]
    sent: frozenset[int]
    followers: Mapping[int, int]
