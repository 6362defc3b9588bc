"""`cascade run`, `cascade runs` and `cascade ui` with a store in a server, of each kind: as with one in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Call, Write
from support.ui import serving

FLOW = """
from pathlib import Path

@cs.task
def pack(city):
    return city

@cs.task
def travel(city):
    if Path("storm").exists():
        raise ConnectionError("no train in a storm")
    return f"{city} in words that nobody sees"

def workflow():
    return travel(pack(cs.Param("city")))
"""


@pytest.fixture
def state(server_url: str) -> str:
    """The URL of a store in a server, with a user and a password, which nothing may show."""
    return server_url.replace("//tester@", "//tester:sesame@")


@pytest.fixture
def recorded(state: str, cascade: Call, write: Write) -> Path:
    """A folder whose workflow has the run `good`, which has ended well, and `bad`, which has failed."""
    folder = write("flow.py", FLOW).parent
    for run_id, code in (("good", 0), ("bad", 1)):
        if code:
            (folder / "storm").touch()
        outcome = cascade("run", "flow.py", "--city", "Oslo", "--state", state, "--run-id", run_id)
        assert outcome.code == code, outcome.err
    (folder / "storm").unlink()
    return folder


def test_runs_are_listed_shown_watched_reported_and_resumed(
    recorded: Path, state: str, cascade: Call
) -> None:
    """Each command over runs finds in a server what it finds in a file, and shows no password and no value."""
    at = ("--state", state)
    lines = cascade("runs", "list", *at).out.splitlines()[1:]
    assert [line.split()[:3] for line in lines] == [
        ["bad", "failed", "travel"],
        ["good", "succeeded", "travel"],
    ]
    shown = json.loads(cascade("runs", "show", "bad", *at, "--format", "json").out)
    assert (shown["status"], shown["error"]) == ("failed", "ConnectionError")
    assert shown["task"] == "travel"
    assert shown["facts"] == 1
    assert "succeeded after" in cascade("runs", "watch", "good", *at).told
    assert cascade("runs", "watch", "bad", *at).code == 1
    report = recorded / "good.html"
    assert cascade("runs", "report", "good", *at, "--output", str(report)).code == 0
    text = report.read_text()
    assert "travel" in text
    assert "nobody sees" not in text
    assert "sesame" not in text
    outcome = cascade("runs", "resume", "bad", "flow.py", *at, "--city", "Oslo")
    assert (outcome.code, outcome.out) == (0, "Oslo in words that nobody sees\n")


def test_a_run_is_deleted(recorded: Path, state: str, cascade: Call) -> None:
    """`runs delete` takes a run out of a server; others stay, and what is not there is told without the password."""
    at = ("--state", state)
    assert cascade("runs", "delete", "good", *at, "--yes").code == 0
    assert [line.split()[0] for line in cascade("runs", "list", *at).out.splitlines()[1:]] == ["bad"]
    outcome = cascade("runs", "show", "good", *at)
    assert outcome.code == 2
    assert "has no run 'good'" in outcome.told
    assert "sesame" not in outcome.told


def test_the_page_shows_the_runs_of_a_server(recorded: Path, state: str) -> None:
    """`cascade ui URL` serves the list, and a run with its facts, without the password."""
    with serving(state) as page:
        page.sign_in()
        text = page.ask("/").text
        assert text.count("<tr>") == 3
        assert "sesame" not in text
        facts = json.loads(page.ask("/facts?id=good").text)
        assert facts["html"].count("<td>result") == 2
        assert page.ask("/run?id=bad").status == 200
