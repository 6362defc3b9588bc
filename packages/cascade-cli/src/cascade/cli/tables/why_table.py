"""Tables of `cascade why`: what a cache has of the values of a workflow, as text and as JSON. No value is shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from cascade.cli.tables.run_tables import local_time, utc_time
from cascade.cli.tables.text_table import fitted_table
from cascade.graph.path import shortened
from cascade.runtime.explaining.key_differences import Change, KeyDifference
from cascade.runtime.why import Answer, Before, Judgement, Verdict
from cascade.spec.terminal_text import shown

_NAMED = 3
"""The most tasks that a line names as having to run first."""


def why_table(judgements: Sequence[Judgement]) -> str:
    """Return a line for each node: its id, its task, its place in the tree, and what the cache has for it."""
    names = Counter(each.task for each in judgements)
    head = ("NODE", "TASK", "PLACE", "CACHE")
    rows = [
        (each.node, shown(each.task), shown(shortened(each.place)), shown(_told(each, names)))
        for each in judgements
    ]
    return fitted_table(head, rows, broken=("TASK", "PLACE", "CACHE"))


def why_json(judgements: Iterable[Judgement]) -> str:
    """Return the judgements as a JSON list."""
    return json.dumps([_data(each) for each in judgements], indent=2)


def _told(judgement: Judgement, names: Counter[str]) -> str:
    """Return what the cache has for a node, in words; `names` counts the nodes of each task."""
    first = _runs_first([_name(each, names) for each in judgement.until])
    if judgement.verdict is Verdict.UNKNOWN:
        return f"unknown until {first}"
    told = _answer(judgement.answer)
    if judgement.items is not None:
        count = judgement.items
        told = f"{count.hits} of {count.total} hit" + (
            "" if count.first is None else f"; item {count.first}: {told}"
        )
    return f"{told}; wanted or not: unknown until {first}" if first else told


def _name(before: Before, names: Counter[str]) -> str:
    """Return the name of a task, with the node id where several nodes have that name."""
    return before.task if names[before.task] == 1 else f"{before.task} ({before.node})"


def _runs_first(names: list[str]) -> str:
    """Return the tasks that have to run first, as `a runs`, `a and b run`; empty for none."""
    if len(names) > _NAMED:
        names = [*names[:_NAMED], "others"]
    if len(names) < 2:
        return "".join(f"{name} runs" for name in names)
    return f"{', '.join(names[:-1])} and {names[-1]} run"


def _answer(answer: Answer) -> str:
    """Return what a cache has for one call, in words."""
    match answer.verdict:
        case Verdict.HIT if answer.stored_at is not None:
            holds = "for ever" if answer.expires_at is None else f"until {local_time(answer.expires_at)}"
            return f"hit: stored {local_time(answer.stored_at)}, holds {holds}"
        case Verdict.MISS:
            return f"miss: {_reasons(answer)}"
        case Verdict.MISSING:
            return "miss: there is no such file"
        case Verdict.UNCACHEABLE:
            which = f"argument '{answer.argument}' of " if answer.argument else ""
            return f"uncacheable: {which}type {answer.kind}"
        case Verdict.SKIPPED:
            return f"skipped: {answer.reason}"
        case Verdict.FAILS:
            return f"fails: {answer.kind}"
    return answer.verdict.value


def _reasons(answer: Answer) -> str:
    """Return why there is no value: all differences from the most similar call that is stored."""
    if answer.stored_at is None:
        return "never seen"
    told = [_reason(each, answer) for each in answer.differences]
    return f"{', '.join(told)} (last stored {local_time(answer.stored_at)})"


def _reason(difference: KeyDifference, answer: Answer) -> str:
    """Return why a stored value does not serve, in words."""
    match difference.change:
        case Change.ARGUMENT:
            return f"argument '{difference.name}' changed"
        case Change.EXPIRED if answer.expires_at is not None:
            return f"expired {local_time(answer.expires_at)}"
        case Change.PROCESS:
            return "made in another process, where alone it holds"
        case Change.PLACE:
            return "made by a file of that name elsewhere, and it reads what a key does not see"
        case Change.CLOCK:
            return "stored at a later time than now: the clock was set back"
        case Change.RULES:
            return f"stored by {difference.name}, which made its keys by other rules"
        case Change.VALUE:
            return "the value can't be read"
    return f"{difference.change.value} changed"


def _data(judgement: Judgement) -> dict[str, object]:
    """Return a judgement as plain data; its keys are listed in the reference of the command."""
    answer, items = judgement.answer, judgement.items
    return {
        "node": judgement.node,
        "task": judgement.task,
        "place": shortened(judgement.place),
        "verdict": answer.verdict.value,
        "stored_at": None if answer.stored_at is None else utc_time(answer.stored_at),
        "expires_at": None if answer.expires_at is None else utc_time(answer.expires_at),
        "changed": [{"part": each.change.value, "name": each.name} for each in answer.differences],
        "argument": answer.argument,
        "kind": answer.kind,
        "reason": None if answer.reason is None else answer.reason.value,
        "until": [each._asdict() for each in judgement.until],
        "items": None if items is None else {"total": items.total, "hits": items.hits, "first": items.first},
    }
