"""Tables of `cascade runs` and `cascade doctor`: runs, facts and findings, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from cascade.adapters.state import FactSummary, Finding, RunSummary
from cascade.cli.progress_display.pace import Pace
from cascade.cli.progress_display.progress_lines import progress_lines
from cascade.cli.progress_display.summary_lines import summary_lines
from cascade.cli.tables.text_table import fitted_table, terminal_width, text_table
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.recorded_runs.found_inputs import FoundInputs
from cascade.runtime.recorded_runs.recorded_run import INTERRUPTED, shown_status, status_text
from cascade.spec import RunStatus
from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.terminal_text import shown

_MOST_TASKS = 40
"""How far a run has come is shown in so many lines."""

ShownStatus = StrEnum(  # type: ignore[misc]  # mypy reads only literal members
    "ShownStatus", [(each.name, each.value) for each in RunStatus] + [("INTERRUPTED", INTERRUPTED)]
)
"""All that may be shown as the status of a run."""


class ListFormat(StrEnum):
    """How a command lists something: as a table for people, or as one JSON value."""

    HUMAN = "human"
    JSON = "json"


def runs_table(runs: Sequence[RunSummary]) -> str:
    """Return a line for each run; columns that the terminal has no room for are left out."""
    head = ("RUN", "STATUS", "TASK", "ROUND", "BEGAN", "UPDATED", "FACTS", "SIZE", "BY")
    rows = [
        (
            shown(run.run_id),
            shown(status_text(run)),
            shown(run.task),
            str(run.round),
            local_time(run.began),
            local_time(run.updated),
            str(run.facts),
            size_text(run.size),
            shown(run.driver),
        )
        for run in runs
    ]
    drop = ("BEGAN", "FACTS", "SIZE", *(() if any(run.driver for run in runs) else ("BY",)), "ROUND")
    return fitted_table(head, rows, drop=drop, broken=("TASK", "BY", "UPDATED"))


class ShownRun(NamedTuple):
    """What is shown of a run; `inputs` is `None` if nobody needs them any more."""

    run: RunSummary
    facts: list[FactSummary]
    progress: RunProgress
    inputs: FoundInputs | None


def run_page(found: ShownRun) -> str:
    """Return a page about a run: a line for each property that is there, how far it has come, a table of the facts."""
    run, facts, progress, inputs = found
    properties = [
        ("run", shown(run.run_id)),
        ("status", shown(status_text(run))),
        ("task", shown(run.task)),
        ("round", str(run.round)),
        ("began", local_time(run.began)),
        ("updated", local_time(run.updated)),
        ("error", shown(run.error)),
        ("remedy", _ABANDONED if run.status is RunStatus.ABANDONED else ""),
        ("inputs", "" if inputs is None else _inputs_text(inputs)),
        ("needs", "" if inputs is None else shown(", ".join(inputs.missing))),
        ("driven by", shown(run.driver)),
        ("recorded by", "" if run.rules == DIGEST_RULES else f"{made_by(run.rules)}: it can't go on"),
        ("size", size_text(run.size)),
        ("facts", str(len(facts))),
    ]
    page = text_table([(name, value) for name, value in properties if value])
    if progress.tasks:
        width = terminal_width()
        if progress.status is None:
            lines = progress_lines(progress, Pace(), width, _MOST_TASKS)
        else:
            lines = summary_lines(progress, width, _MOST_TASKS)
        page += "\n\n" + "\n".join(line.plain for line in lines)
    if not facts:
        return page
    head = ("ROUND", "TASK", "PLACE", "KIND", "AT", "SIZE")
    rows = [
        (
            str(fact.round),
            shown(fact.task),
            shown(fact.place),
            fact.kind.name.lower(),
            local_time(fact.at),
            size_text(fact.size),
        )
        for fact in facts
    ]
    return page + "\n\n" + fitted_table(head, rows, drop=("AT",), broken=("TASK", "PLACE"))


_ABANDONED = "mend what ends its processes, then `cascade runs resume` goes on"


def _inputs_text(inputs: FoundInputs) -> str:
    if not inputs.are_kept:
        return "not kept: only `cascade runs resume` goes on with it"
    return f"kept: {shown(', '.join(inputs.kept))}" if inputs.kept else "kept"


def runs_json(runs: Iterable[RunSummary]) -> str:
    """Return the runs as a JSON list."""
    return json.dumps([_run_data(run) for run in runs], indent=2)


def run_json(found: ShownRun) -> str:
    """Return a run as a JSON object, with its facts, how far it has come, and which inputs it keeps."""
    run, facts, progress, inputs = found
    told = [{**asdict(fact), "kind": fact.kind.name.lower(), "at": utc_time(fact.at)} for fact in facts]
    far = asdict(progress) if progress.tasks else None
    kept = None if inputs is None else asdict(inputs)
    return json.dumps({**_run_data(run), "inputs": kept, "progress": far, "recorded": told}, indent=2)


def findings_table(findings: Iterable[Finding]) -> str:
    """Return a line for each finding of `cascade doctor`, and one more for each remedy."""
    rows = []
    for each in findings:
        rows.append(("WRONG" if each.remedy else "ok", each.subject, shown(each.told)))
        if each.remedy:
            rows.append(("", "", f"-> {shown(each.remedy)}"))
    return fitted_table(("", "subject", "told"), rows, broken=("told",), show_head=False)


def findings_json(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON list."""
    return json.dumps([asdict(each) for each in findings], indent=2)


def _run_data(run: RunSummary) -> dict[str, object]:
    """Return a run as plain data; its keys are listed in the reference of the command."""
    return {
        **asdict(run),
        "status": shown_status(run),
        "began": utc_time(run.began),
        "updated": utc_time(run.updated),
    }


def local_time(seconds: float) -> str:
    """Return a time of a store as local time, with its zone; the number itself if it is no time."""
    moment = _moment(seconds)
    return str(seconds) if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def utc_time(seconds: float) -> str | None:
    """Return a time of a store in UTC, as ISO 8601; `None` if the number is no time."""
    moment = _moment(seconds)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _moment(seconds: float) -> datetime | None:
    """Return a time of a store, in seconds since the epoch; `None` if the number is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def size_text(size: int) -> str:
    """Return a number of bytes in the unit that suits it: `512 B`, `1.5 KiB`."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}" if unit != "B" else f"{size} B"
        amount /= 1024
    return f"{amount:.1f} TiB"
