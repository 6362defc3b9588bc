"""The examples that people copy do what their pages say, and the pictures on these pages are theirs."""

from __future__ import annotations

import asyncio
import importlib
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fastapi.testclient import TestClient

import cascade as cs

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
PICTURES = EXAMPLES / "pictures"
MAKER: dict[str, Any] = runpy.run_path(str(PICTURES / "make.py"))
LOGS = sorted(path.name for path in (EXAMPLES / "data").glob("*.log"))

pytestmark = pytest.mark.one_python


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A function that imports an example by its name, afresh."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    imported: list[str] = []

    def load(name: str) -> ModuleType:
        imported.append(name)
        return importlib.import_module(name)

    yield load
    for name in imported:
        del sys.modules[name]


def start(folder: Path, example: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a program in a folder."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py"), *words],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "error", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


# Pictures


@pytest.mark.parametrize("name", MAKER["EXAMPLES"])
def test_the_picture_of_a_page_is_that_of_its_example(name: str) -> None:
    """The kept picture is what `cs.draw` makes of the workflow, and the page shows it beside the code."""
    made = MAKER["picture_of"](name)
    assert made == (PICTURES / f"{name}.svg").read_text(encoding="utf-8"), "run `hatch run pictures`"
    assert ET.fromstring(made).tag.endswith("svg")
    page = (EXAMPLES / f"{name}.md").read_text(encoding="utf-8")
    assert f"](pictures/{name}.svg)" in page
    assert f"```{{literalinclude}} {name}.py\n```" in page


def test_each_example_has_a_picture_and_a_page() -> None:
    """Whatever has a workflow is drawn, has a page, and nothing else lies among the pictures."""
    with_workflow = {
        path.stem for path in EXAMPLES.glob("*.py") if "def workflow(" in path.read_text("utf-8")
    }
    assert with_workflow == set(MAKER["EXAMPLES"])
    assert {path.stem for path in PICTURES.glob("*.svg")} == with_workflow
    assert {path.stem for path in EXAMPLES.glob("*.md")} == with_workflow


def test_one_command_makes_all_pictures() -> None:
    """`hatch run pictures` makes those of the examples too."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["envs"]["default"]
    assert f"python {(PICTURES / 'make.py').relative_to(ROOT)}" in scripts["scripts"]["pictures"]


# Files into a database


def rows_of(warehouse: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(warehouse)) as connection:
        return connection.execute("SELECT * FROM requests ORDER BY file, hour, status").fetchall()


@pytest.mark.parametrize("killed_at", LOGS)
def test_a_killed_etl_goes_on(killed_at: str, tmp_path: Path) -> None:
    """After a kill at any file, no loaded file is read again, and the database is that of a run nobody killed."""
    assert start(tmp_path, "etl", "--warehouse", "whole.sqlite").returncode == 0
    words = ("--state", "sqlite:///runs.db", "--run-id", "monday")

    killed = start(tmp_path, "etl", *words, ETL_KILL_AT=killed_at)
    assert killed.returncode == -signal.SIGKILL
    resumed = start(tmp_path, "etl", *words)
    again = start(tmp_path, "etl", *words)

    assert resumed.returncode == 0, resumed.stderr
    assert rows_of(tmp_path / "warehouse.sqlite") == rows_of(tmp_path / "whole.sqlite")
    for loaded in LOGS[: LOGS.index(killed_at)]:
        assert loaded not in resumed.stderr
    for left in LOGS[LOGS.index(killed_at) + 1 :]:
        assert f"reading {left}" in resumed.stderr
    assert (again.stdout, again.stderr) == (resumed.stdout, "")


def test_an_etl_without_files_says_so(tmp_path: Path) -> None:
    """A folder without logs is named, and nothing is loaded."""
    done = start(tmp_path, "etl", "--logs", str(tmp_path))
    assert done.returncode == 1
    assert f"there are no *.log files in {tmp_path}" in done.stderr
    assert not (tmp_path / "warehouse.sqlite").exists()


# A service


def test_requests_share_one_engine(example: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all requests at most four forecasts are asked for at a time, each only once, and by one engine."""
    service = example("fastapi_service")
    asked: list[tuple[str, int]] = []
    at_once = most = 0
    forecast = service.WeatherService.forecast

    async def counted(self: object, city: str, day: int) -> float:
        nonlocal at_once, most
        asked.append((city, day))
        at_once += 1
        most = max(most, at_once)
        try:
            return float(await forecast(self, city, day))
        finally:
            at_once -= 1

    monkeypatch.setattr(service.WeatherService, "forecast", counted)

    async def requests() -> list[object]:
        async with service.lifespan(service.app):
            engine = service.app.state.engine
            orders = [service.Order(city=city, days=14) for city in ("Oslo", "Rome")]
            told: list[object] = [
                await asyncio.gather(*(service.make_report(each, engine) for each in orders))
                for _ in range(2)
            ]
            assert engine.stats().hits >= 2
            return told

    first, second = asyncio.run(requests())
    assert first == second
    assert len(asked) == len(set(asked)) == 28
    assert most == 4


def test_the_service_answers(example: Callable[[str], Any]) -> None:
    """A report, an unknown city and a wrong order get the status codes that a client expects."""
    with TestClient(example("fastapi_service").app) as client:
        hot = client.post("/reports", json={"city": "Rome"})
        assert (hot.status_code, hot.json()["warning"]) == (200, "up to 36 degrees in Rome: drink water")
        assert client.post("/reports", json={"city": "Oslo"}).json()["warning"] is None
        assert client.post("/reports", json={"city": "Atlantis"}).status_code == 404
        assert client.post("/reports", json={"city": "Rome", "days": 99}).status_code == 422
        assert client.get("/health").json() == {"under_way": 0}


def test_a_slow_request_is_cancelled_alone(
    example: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run over its time ends with all its calls, with 504, and the service goes on."""
    service = example("fastapi_service")
    monkeypatch.setattr(service, "SECONDS", 0.05)
    forecast = service.WeatherService.forecast
    cancelled: list[str] = []

    async def slow_in_rome(self: object, city: str, day: int) -> float:
        if city == "Rome":
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(city)
        return float(await forecast(self, city, day))

    monkeypatch.setattr(service.WeatherService, "forecast", slow_in_rome)
    with TestClient(service.app) as client:
        assert client.post("/reports", json={"city": "Rome"}).status_code == 504
        assert cancelled == ["Rome"] * 3
        assert client.get("/health").json() == {"under_way": 0}
        monkeypatch.setattr(service, "SECONDS", 60.0)
        assert client.post("/reports", json={"city": "Oslo"}).status_code == 200


# An agent


@pytest.mark.parametrize(
    ("question", "tokens", "rounds", "told"),
    [
        ("what is 6 * 7?", 500, 8, "42 and 2 ("),
        ("1 + 1 or 10 - 3 or 9 * 9?", 500, 8, "2 and 7 and 81 and 2 ("),
        ("what is 6 * 7?", 1, 8, "stopped: no tokens left; the last words were 'I need to calculate'"),
        ("what is 6 * 7?", 500, 2, "stopped: no rounds left; the last words were 'I need its length'"),
    ],
)
def test_the_agent_keeps_to_its_budget(
    example: Callable[[str], Any], question: str, tokens: int, rounds: int, told: str
) -> None:
    """The agent ends with an answer, or says what it has none left of."""
    agent = example("agent")
    budget = agent.Budget(tokens, rounds)
    assert cs.run(agent.agent([question], budget), resources=[agent.model]).startswith(told)


def test_a_tool_that_fails_tells_the_model(example: Callable[[str], Any]) -> None:
    """Whatever a model asks of a tool, the loop goes on, and nothing that it writes is run as code."""
    agent = example("agent")
    for tool, argument in (("none", ""), ("calculate", "__import__('os').abort()"), ("calculate", "1 +")):
        assert cs.run(agent.use_tool(agent.Use(tool, argument))).startswith(f"tool {tool} failed: ")


def test_a_recorded_agent_goes_on_at_its_last_round(
    example: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When the model can't be reached any more the run ends; later it goes on, and asks no round again."""
    agent = example("agent")
    asked: list[int] = []
    answer = agent.Model.answer
    reachable = 1

    async def while_reachable(self: object, history: list[str]) -> object:
        if len(asked) >= reachable:
            raise PermissionError("the key has expired")
        asked.append(len(history))
        return await answer(self, history)

    monkeypatch.setattr(agent.Model, "answer", while_reachable)
    target = agent.agent(["what is 6 * 7?"], agent.Budget(500, 8))
    state = f"sqlite:///{tmp_path / 'agent.db'}"
    with pytest.raises(PermissionError):
        cs.run(target, resources=[agent.model], state=state, run_id="one")
    reachable = 9
    assert cs.run(target, resources=[agent.model], state=state, run_id="one").startswith("42 and 2")
    assert asked == [1, 3, 5]


# Work for the processor


@pytest.mark.parametrize(("up_to", "parts"), [(0, 1), (2, 3), (100, 1), (1009, 7), (10_000, 64)])
def test_primes_are_counted(example: Callable[[str], Any], up_to: int, parts: int) -> None:
    """Any cut into parts gives the number of primes."""
    primes = example("primes")
    naive = sum(all(number % each for each in range(2, number)) for number in range(2, min(up_to, 2000)))
    expected = naive if up_to <= 2000 else 1229
    counted = sum(primes.count.func(part) for part in primes.split.func(up_to, parts))
    assert counted == expected


def count_primes(folder: Path, executor: str) -> None:
    done = start(folder, "primes", "--up-to", "10000", "--parts", "5", "--executor", executor)
    assert (done.returncode, done.stdout) == (0, "1229\n"), done.stderr


@pytest.mark.parametrize("executor", ["inline", "threads", "processes:2"])
def test_one_option_says_where_parts_are_counted(executor: str, tmp_path: Path) -> None:
    """The same program counts on one core, in threads and in processes."""
    count_primes(tmp_path, executor)


def test_the_same_option_names_a_cluster(dask_address: str, tmp_path: Path) -> None:
    """The same program counts on a cluster."""
    count_primes(tmp_path, dask_address.replace("tcp://", "dask://"))
