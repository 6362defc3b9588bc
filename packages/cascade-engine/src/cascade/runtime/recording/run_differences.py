"""Run differences: what is different between a run as it was recorded and as it is asked for now."""

from __future__ import annotations

from dataclasses import replace

from cascade.graph.tree import Tree
from cascade.spec.code import code_version
from cascade.spec.durable import CodeRecord, RunRecord
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.task import Task, TaskReference


@dataclass(frozen=True, slots=True)
class Differences:
    """What is different between the record of a run and the run as it is asked for now.

    `texts` says it in words, for an error. `tasks` holds references (module, qualified name), `inputs` names, `nodes`
    the digests of paths in the first tree.
    """

    texts: tuple[str, ...] = ()
    tasks: frozenset[tuple[str, str]] = frozenset()
    inputs: frozenset[str] = frozenset()
    nodes: frozenset[bytes] = frozenset()


def compare(before: RunRecord, now: RunRecord, tree: Tree) -> Differences:
    """Return what is different between the record of a run and that of what it is to go on as, whose tree is `tree`."""
    found = _Found()
    then = {each[:2]: each.version for each in before.code}
    current = {each[:2]: each.version for each in merged(before, now).code}
    for reference in sorted(then):
        if then[reference] != current[reference]:
            found.tasks.add(reference)
            found.texts.append(f"the code of task '{'.'.join(reference)}' has changed")
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        if before.inputs.get(name) != now.inputs.get(name):
            found.inputs.add(name)
            found.texts.append(f"input '{name}' has another value")
    if before.structure != now.structure:
        new = [f", task '{'.'.join(each)}' is new" for each in sorted(current.keys() - then.keys())]
        found.texts.append("the structure of the workflow has changed" + "".join(new))
    if before.nodes != now.nodes:  # nearly always they are equal, which is told at once
        for position, (node, own) in enumerate(now.nodes.items()):
            if before.nodes.get(node) != own:
                found.nodes.add(node)
                if before.structure == now.structure:
                    where = f"task '{tree.lazies[position].task.name}' at {tree.structure.paths[position]}"
                    found.texts.append(f"{where} has other arguments")
    return Differences(
        tuple(found.texts), frozenset(found.tasks), frozenset(found.inputs), frozenset(found.nodes)
    )


def merged(before: RunRecord, now: RunRecord) -> RunRecord:
    """Return the record of a run that goes on: `now`, with today's code of all the tasks that it has met."""
    code = {each[:2]: each for each in before.code}
    for reference in code:
        task = TaskReference(*reference).find()
        if isinstance(task, Task):
            code[reference] = CodeRecord(*reference, code_version(task))
    code.update((each[:2], each) for each in now.code)
    return replace(now, code=tuple(sorted(code.values())))


@dataclass
class _Found:
    """Differences while they are gathered."""

    texts: list[str] = field(default_factory=list)
    tasks: set[tuple[str, str]] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    nodes: set[bytes] = field(default_factory=set)
