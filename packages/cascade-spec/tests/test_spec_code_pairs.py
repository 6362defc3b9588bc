"""Claims about code versions, by a table of pairs of sources: equal or different, in every process and Python."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from support import code_pairs
from support.code_pairs import page, rows, sides

import cascade as cs

ROWS = tuple(rows())
INTERPRETERS = [
    Path(sys.executable),
    *(
        found
        for minor in range(11, 16)
        if minor != sys.version_info.minor
        for found in [
            *sorted((Path.home() / ".pyenv/versions").glob(f"3.{minor}.*/bin/python")),
            *map(Path, filter(None, [shutil.which(f"python3.{minor}")])),
        ][:1]
    ),
]


class Told(NamedTuple):
    """What the processes said: the versions of the sources, by interpreter and state of the process."""

    versions: dict[tuple[str, str], dict[str, str | None]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Read the versions of all sources, in one process for each interpreter and state."""
    folder = tmp_path_factory.mktemp("pairs")
    sources = {}
    for number, row in enumerate(ROWS):
        for at, pair in enumerate(row.pairs):
            for side, files in zip(("before", "after"), sides(pair), strict=True):
                name = f"{number}-{at}-{side}"
                sources[name] = row.needs
                for file, text in files.items():
                    (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name / file).write_text(text, encoding="utf-8")
    (folder / "sources.json").write_text(json.dumps(sources))
    paths = os.pathsep.join(str(Path(each).parent) for each in cs.__path__)

    def run(python: Path, state: str) -> dict[str, str | None]:
        shown = subprocess.run(
            [python, "-W", "ignore", Path(code_pairs.__file__).with_name("show.py"), folder, state],
            env={
                **os.environ,
                "PYTHONPATH": paths,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "random",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr[-3000:]
        found: dict[str, str | None] = json.loads(shown.stdout.splitlines()[-1])[1]
        return found

    ways = list(itertools.product(INTERPRETERS, ("cold", "warm")))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda way: run(*way), ways))
    return Told(
        {(python.parent.parent.name, state): each for (python, state), each in zip(ways, found, strict=True)}
    )


def test_the_table_is_long() -> None:
    """There are at least 150 pairs."""
    assert sum(len(row.pairs) for row in ROWS) >= 150


@pytest.mark.one_python  # it starts all that are at hand
def test_each_pair_has_the_verdict_of_its_row_everywhere(told: Told) -> None:
    """What a version sees makes it another one, and what it does not see leaves it as it is, in every process."""
    wrong = [
        f"{way}: {row.what}: {pair}"
        for way, versions in told.versions.items()
        for number, row in enumerate(ROWS)
        for at, pair in enumerate(row.pairs)
        if versions[f"{number}-{at}-before"] is not None
        and (versions[f"{number}-{at}-before"] != versions[f"{number}-{at}-after"]) is not row.is_seen
    ]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.one_python  # it starts all that are at hand
def test_versions_are_the_same_in_every_process(told: Told) -> None:
    """Neither the interpreter nor what a process did before changes a version."""
    first: dict[str, str | None] = {}
    for versions in told.versions.values():
        first.update((name, version) for name, version in versions.items() if first.get(name) is None)
    wrong = [
        f"{way} {name}: {ROWS[int(name.split('-')[0])].pairs[int(name.split('-')[1])]}"
        for way, versions in told.versions.items()
        for name, version in versions.items()
        if version not in (None, first[name])
    ]
    assert not wrong, "\n\n".join(wrong)


def test_the_page_has_the_table() -> None:
    """The docs say of each row whether it is seen; `python -m support.code_pairs.page` writes them anew."""
    assert page.shown() == page.table()
