"""A run that waits, to be looked at and killed from outside."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import cascade as cs


def note(folder: Path, call: str) -> None:
    with (folder / "calls").open("a") as log:
        log.write(f"{call}\n")


def wait(folder: Path, how: str) -> str:
    """Wait until a file is there that lets the call go on, or end."""
    note(folder, how)
    (folder / "started").touch()
    while not (folder / "open").exists() and not (folder / "end").exists():
        time.sleep(0.01)
    return "waited"


def linger(folder: Path) -> None:
    """Stay for as long as the test does, whatever becomes of the parent."""
    while not (folder / "end").exists():
        time.sleep(0.01)


@cs.task
def first(name: str, folder: Path) -> str:
    note(folder, name)
    return name


@cs.task
def inline(folder: Path, before: str) -> list[str]:
    return [before, wait(folder, "inline")]


@cs.task(mode="process")
def process(folder: Path, before: str) -> list[str]:
    return [before, wait(folder, "process")]


@cs.task
def forked(folder: Path, before: str) -> list[str]:
    """Fork a child, as many libraries do, that outlives this process."""
    if not (folder / "open").exists():
        multiprocessing.get_context("fork").Process(target=linger, args=(folder,)).start()
    return [before, wait(folder, "forked")]


def target(how: str, folder: Path) -> Any:
    """Return the run: a call that is recorded, then one that waits."""
    return {"inline": inline, "process": process, "forked": forked}[how](folder, first("before", folder))


def main(url: str, how: str, folder: str) -> None:
    """Run it."""
    cs.run(target(how, Path(folder)), state=url, run_id="r")
