"""Pages of catalogs: runs and facts some at a time, the same in every kind of store."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state import Catalog, FactSummary
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec import SpecError
from cascade.spec.errors import RunNotFoundError


@cs.task(version="1")
def give(value: Any) -> Any:
    return value


@cs.task(version="1")
def total(values: list[int]) -> int:
    return sum(values)


def _in_order(facts: list[FactSummary]) -> list[FactSummary]:
    return sorted(facts, key=lambda fact: (fact.round, fact.place, fact.kind))


def _paged(catalog: Catalog, run_id: str, count: int) -> list[FactSummary]:
    found: list[FactSummary] = []
    after = None
    while True:
        page = catalog.fact_page(run_id, after, count)
        assert len(page.facts) <= count
        found += page.facts
        after = page.after
        if after is None:
            return found


def test_runs_come_page_by_page(every_url: str) -> None:
    """A page has the runs that `runs` has at its place, without their facts counted, and how many there are."""
    for number in range(5):
        cs.run(give(number), state=every_url, run_id=f"r{number}")
    with closing(catalog_from_url(every_url)) as catalog:
        whole = [run.run_id for run in catalog.runs()]
        pages = [catalog.run_page(first, 2) for first in (0, 2, 4, 6)]
        assert [run.run_id for page in pages for run in page.runs] == whole
        assert {page.total for page in pages} == {5}
        assert catalog.find("r3") == next(run for run in catalog.runs() if run.run_id == "r3")
        assert catalog.find("r3", counted=False).status == "succeeded"
        with pytest.raises(RunNotFoundError):
            catalog.find("r9")
        with pytest.raises(RunNotFoundError):
            catalog.timeline("r9")


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_facts_come_page_by_page(every_url: str, count: int) -> None:
    """All pages together have each fact once, whatever the size of a page."""
    cs.run(total([give(number) for number in range(20)]), state=every_url, run_id="r")
    with closing(catalog_from_url(every_url)) as catalog:
        assert _in_order(_paged(catalog, "r", count)) == _in_order(catalog.facts("r"))
        with pytest.raises(RunNotFoundError):
            catalog.fact_page("none", None, count)
        with pytest.raises(SpecError, match="give the mark of an earlier page"):
            catalog.fact_page("r", "nonsense", count)


def test_the_sums_of_a_timeline_come_alone(every_url: str) -> None:
    """Who wants to know how far a run has come reads a short part of its timeline."""
    cs.run(total([give(number) for number in range(20)]), state=every_url, run_id="r")
    with closing(catalog_from_url(every_url)) as catalog:
        whole = catalog.timeline("r")
        assert len(whole) == 2
        assert catalog.timeline("r", sums=True) == [part for part in whole if not part.number]
