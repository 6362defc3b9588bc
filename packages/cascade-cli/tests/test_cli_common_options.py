"""Where a command keeps a run's facts: the options that every workflow's command has for its store."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from support.commands import Call, Write

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend, SqliteCatalog
from cascade.cli import cli
from cascade.runtime import MessageBus, RunStarted
from cascade.runtime.settings import RUN_SETTINGS, row_of
from cascade.spec import UnknownSettingError

calls: list[str] = []


@cs.task
def give(value: Any) -> Any:
    calls.append(f"give {value}")
    return value


@cs.task
def add(first: int, second: int) -> int:
    calls.append("add")
    return first + second


def workflow() -> cs.LazyResult[int]:
    return add(give(1), cs.Param("second", type=int))


@cs.task
def down(left: int) -> int | cs.LazyResult[int]:
    return 0 if left == 0 else down(give(left - 1))


def rounds() -> cs.LazyResult[int]:
    return down(give(5))


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    calls.clear()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs.db"


STATE = ("--state", "sqlite:///runs.db")


def ids(store: Path) -> list[str]:
    return [run.run_id for run in SqliteCatalog(store).runs()]


def test_a_command_records_its_run(call: Call, store: Path) -> None:
    """With `--state` and `--run-id` a command's run is in the store, and goes on where it was."""
    app = cli(workflow)
    words = (*STATE, "--run-id", "one", "--second", "2")
    assert call(app, *words).out == "3\n"
    assert call(app, *words).out == "3\n"
    assert calls == ["give 1", "add"]
    assert ids(store) == ["one"]


def test_without_an_id_each_run_is_one_of_its_own_and_is_told(call: Call, store: Path) -> None:
    """With `--state` alone a run is recorded under an id that nobody else has, and one line says which and where."""
    app = cli(workflow)
    told = [call(app, *STATE, "--second", "2") for _ in range(2)]
    assert {outcome.out for outcome in told} == {"3\n"}
    lines = {line for outcome in told for line in outcome.err.splitlines()}
    assert lines == {f"run {each} is recorded in sqlite:///runs.db" for each in ids(store)}
    assert len(lines) == 2
    outcome = call(app, *STATE, "--second", "2", "--log-format", "json")
    record = json.loads(outcome.err)
    assert (record["event"], record["run_id"] in ids(store)) == ("RunRecorded", True)


def test_an_id_that_is_given_is_not_told(call: Call) -> None:
    """Who names a run knows its name: nothing is written to stderr."""
    assert call(cli(workflow), *STATE, "--run-id", "one", "--second", "2").err == ""
    assert call(cli(workflow, state="sqlite:///runs.db", run_id="two"), "--second", "2").err == ""


def test_a_store_that_is_not_there_is_told_without_its_password(call: Call) -> None:
    """What is told of a store that does not answer holds no password, and not that the run is recorded there."""
    outcome = call(cli(workflow), "--state", "redis://me:secret@localhost:1/0", "--second", "2")
    assert "localhost:1" in outcome.told
    assert "secret" not in outcome.err
    assert "is recorded" not in outcome.err


def test_an_id_without_a_store_is_refused(call: Call, store: Path) -> None:
    """`--run-id` names a run that can go on, so without a store it is a usage error."""
    outcome = call(cli(workflow), "--second", "2", "--run-id", "mine")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--run-id without a store; give its URL, --state sqlite:///runs.db" in outcome.told
    assert not store.exists()
    assert call(cli(workflow, run_id="mine"), "--second", "2").out == "3\n"


def test_settings_given_in_code_are_those_of_the_command(call: Call, store: Path) -> None:
    """`cs.cli(state=URL, run_id=...)` records without any option."""
    app = cli(workflow, state="sqlite:///runs.db", run_id="fixed", durability="async", keep_rounds=2)
    for _ in range(2):
        assert call(app, "--second", "2").out == "3\n"
    assert calls == ["give 1", "add"]
    assert ids(store) == ["fixed"]


def test_options_win_over_settings_given_in_code(call: Call, store: Path) -> None:
    """What stands on the command line is over what the script says: another store, another id."""
    app = cli(workflow, state="sqlite:///first.db", run_id="fixed")
    assert call(app, *STATE, "--run-id", "other", "--second", "2").out == "3\n"
    assert ids(store) == ["other"]
    assert not store.with_name("first.db").exists()
    made: list[str] = []

    def memory(run_id: str) -> InMemoryStateBackend:
        made.append(run_id)
        return InMemoryStateBackend(run_id)

    app = cli(workflow, state=memory, run_id="fixed")
    assert call(app, "--second", "2").out == "3\n"
    assert call(app, "--second", "2", *STATE).out == "3\n"
    assert made == ["fixed"]
    assert ids(store) == ["fixed", "other"]


def test_restart_begins_anew(call: Call, store: Path) -> None:
    """`--restart` forgets what is recorded, whatever the run began as."""
    app = cli(workflow)
    assert call(app, *STATE, "--run-id", "one", "--second", "2").out == "3\n"
    assert call(app, *STATE, "--run-id", "one", "--second", "5", "--restart").out == "6\n"
    assert calls == ["give 1", "add"] * 2


def test_what_began_otherwise_is_refused_unless_compatible(call: Call, store: Path) -> None:
    """Other inputs are one line and exit code 1; `--resume compatible` keeps what did not change."""
    app = cli(workflow)
    assert call(app, *STATE, "--run-id", "one", "--second", "2").out == "3\n"
    for more in ((), ("--resume", "exact")):
        outcome = call(app, *STATE, "--run-id", "one", "--second", "5", *more)
        assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (1, "", 1)
        assert "input 'second' has another value" in outcome.err
    assert call(app, *STATE, "--run-id", "one", "--second", "5", "--resume", "compatible").out == "6\n"
    assert calls == ["give 1", "add", "add"]


def test_resume_on_the_command_line_wins_over_restart_in_code(call: Call, store: Path) -> None:
    """A script that always begins anew may be told to go on."""
    app = cli(workflow, state="sqlite:///runs.db", run_id="one", restart=True)
    for more in ((), (), ("--resume", "exact")):
        assert call(app, "--second", "2", *more).out == "3\n"
    assert calls == ["give 1", "add"] * 2


def test_earlier_rounds_are_kept_if_asked_for(call: Call, store: Path) -> None:
    """`--keep-rounds N` keeps the facts of a loop's last N rounds."""
    app = cli(rounds)
    assert call(app, *STATE, "--run-id", "few", "--keep-rounds", "3").out == "0\n"
    assert call(app, *STATE, "--run-id", "last").out == "0\n"
    catalog = SqliteCatalog(store)
    assert {fact.round for fact in catalog.facts("few")} == {3, 4, 5}
    assert {fact.round for fact in catalog.facts("last")} == {5}


@cs.task(cache=cs.ByInputs())
def cached(value: int) -> int:
    calls.append(f"cached {value}")
    return value + 1


def test_a_cache_is_kept_between_commands(call: Call, store: Path) -> None:
    """`--cache URL` keeps cached values in a file; what `cs.cli(cache=...)` gives is for who does not say otherwise."""
    for words in (("--cache", "sqlite:///cache.db"),) * 2:
        assert call(cli(cached(1)), *words).out == "2\n"
    assert calls == ["cached 1"]
    app = cli(cached(1), cache="sqlite:///other.db")
    for more in ([], [], ["--cache", "sqlite:///cache.db"]):
        assert call(app, *more).out == "2\n"
    assert calls == ["cached 1"] * 2
    assert store.with_name("other.db").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--state", "runs.db"), "sqlite:///runs.db"),
        (("--state", "sqlite://runs.db"), "sqlite:///"),
        (("--state", "ftp://here/runs.db"), "sqlite:///runs.db"),
        (("--run-id", "one"), "--run-id without a store"),
        (("--executor", "dask"), "'inline', 'ray', 'threads', 'threads:8', 'processes', 'processes:8'"),
        (("--executors", "pool"), "--executors pool; give names with their executors"),
        (("--executors", "pool=threads:2,=ray"), "give names with their executors"),
        (("--executors", "pool=clouds"), "executor='clouds' is not a known executor"),
        (("--max-concurrency", "0"), "--max-concurrency"),
        (("--on-failure", "ignore"), "--on-failure"),
        (("--restart",), "--restart without a store"),
        (("--resume", "exact"), "--resume without a store"),
        (("--durability", "sync"), "--durability without a store"),
        (("--keep-rounds", "2"), "--keep-rounds without a store"),
        (("--max-uncommitted", "2"), "--max-uncommitted without a store"),
        ((*STATE, "--resume", "exact", "--restart"), "both --resume and --restart"),
        (("--cache", "cache.db"), "sqlite:///cache.db"),
        (("--state", "redis://[::1/0"), "not the URL of a known store"),
        (("--cache", "redis://[::1/0"), "not the URL of a known cache"),
        (("--state", "redis://h/0?bogus=1"), "redis://h/0 asks for an option"),
        (("--cache", "redis://h/0?bogus=1"), "redis://h/0 asks for an option"),
        (("--state", "redis://localhost:99999/0"), "not the URL of a known store"),
        (("--state", "sqlite://u:pw@h/x.db"), "names no file"),
        (("--cache", "sqlite://cache.db"), "sqlite:///"),
        ((*STATE, "--keep-rounds", "0"), "--keep-rounds"),
        ((*STATE, "--max-uncommitted", "0"), "--max-uncommitted"),
        ((*STATE, "--durability", "maybe"), "--durability"),
        ((*STATE, "--resume", "maybe"), "--resume"),
        ((*STATE, "--run-id", ""), "--run-id"),
        ((*STATE, "--run-id", "a\nb"), "--run-id"),
    ],
)
def test_settings_that_make_no_sense_are_usage_errors(
    call: Call, store: Path, words: tuple[str, ...], told: str
) -> None:
    """What can't be meant is exit code 2 and names the option, before anything runs or is made."""
    outcome = call(cli(workflow), "--second", "2", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.told
    assert calls == []
    assert list(store.parent.iterdir()) == []


def test_a_store_that_can_not_be_used_is_one_line(call: Call, store: Path) -> None:
    """A file that is no store, or whose folder is not there, is one line and exit code 1; nothing runs."""
    store.write_text("not a database " * 99)
    for state in ("sqlite:///runs.db", "sqlite:///missing/runs.db"):
        outcome = call(cli(workflow), "--second", "2", "--state", state)
        assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (1, "", 1)
        assert "store " in outcome.err
    assert calls == []


def test_an_error_is_an_object_with_log_format_json(call: Call) -> None:
    """With `--log-format json` a setting that makes no sense is told as an object too."""
    outcome = call(cli(workflow), "--second", "2", "--restart", "--log-format", "json")
    assert (outcome.code, json.loads(outcome.err)["event"]) == (2, "CommandFailed")


def test_a_parameter_can_not_have_the_name_of_a_setting() -> None:
    """A parameter whose option would be one of the command's own is refused where the command is made."""
    for name in (each for each in RUN_SETTINGS if row_of(each).flag is not None):

        def named(name: str = name) -> cs.LazyResult[Any]:
            return give(cs.Param(name))

        with pytest.raises(TypeError, match="rename the parameter"):
            cli(named)


def test_store_options_stand_before_or_after_the_target(cascade: Call, write: Write) -> None:
    """`cascade run` takes the options for the store on either side of the file, as those for the log."""
    path = write("hello.py", "@cs.task\ndef one(): return 1\ndef workflow(): return one()\n")
    words = (*STATE, "--run-id", "one", "--durability", "async", "--keep-rounds", "2")
    assert cascade("run", *words, "hello.py").out == "1\n"
    assert cascade("run", "hello.py", *words, "--restart").out == "1\n"
    assert cascade("run", *words, "--resume", "exact", "hello.py").out == "1\n"
    assert ids(path.with_name("runs.db")) == ["one"]


@cs.task
def fail(text: str) -> None:
    calls.append(text)
    raise ValueError(text)


def test_what_does_not_depend_on_a_failure_is_finished_if_asked_for(call: Call) -> None:
    """`--on-failure finish` runs all that does not depend on what failed, and tells of every failure."""
    app = cli([fail("one"), fail("two")])
    assert call(app).code == 1
    assert calls == ["one"]
    outcome = call(app, "--on-failure", "finish")
    assert (outcome.code, calls) == (1, ["one", "one", "two"])
    assert "ValueError: one" in outcome.err
    assert "ValueError: two" in outcome.err


def test_the_command_line_chooses_the_executor(call: Call) -> None:
    """`--executor` and `--max-concurrency` are settings like any other, and win over what the script says."""

    @cs.task
    def where() -> str:
        return threading.current_thread().name

    app = cli(where(), executor="inline", max_concurrency=3)
    assert call(app, "--executor", "threads:1", "--max-concurrency", "1").out.startswith("cascade")
    assert call(app).out == f"{threading.current_thread().name}\n"


def test_the_command_line_names_executors(call: Call) -> None:
    """`--executors` has those that tasks name. They are added to those of the script, and win over them."""

    @cs.task(on="pool")
    def where() -> str:
        return threading.current_thread().name

    @cs.task(on="other")
    def there() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert call(cli(where()), "--executors", "more=inline,pool=threads:1").out.startswith("cascade")
    app = cli(cs.gather(where(), there()), executors={"pool": "threads:1", "other": "inline"})
    assert call(app, "--executors", "pool=inline").out == f"{[here, here]}\n"


def test_a_command_tells_the_bus_that_it_is_given(call: Call) -> None:
    """`cs.cli(bus=...)` hears each run once, beside the log, however often the command is called."""
    bus = MessageBus()
    told: list[RunStarted] = []
    bus.subscribe(RunStarted, told.append)
    app = cli(workflow, bus=bus)
    for _ in range(2):
        outcome = call(app, "--second", "2", "--log-level", "info")
        assert sum("of add started" in line for line in outcome.err.splitlines()) == 1
    assert len(told) == 2


def test_every_setting_of_a_run_is_one_of_a_command() -> None:
    """`cs.cli` takes what `cs.run` takes; another keyword is refused with the nearest one."""
    with pytest.raises(UnknownSettingError, match=r"cs\.cli has no setting 'sate'; did you mean 'state'\?"):
        cli(workflow, sate="sqlite:///s.db")  # type: ignore[call-arg]
    nothing: Any = dict.fromkeys(name for name in RUN_SETTINGS if name != "on_failure")
    cli(workflow, **nothing)


def test_help_lists_the_options_for_the_store(call: Call) -> None:
    """`--help` shows them, in a panel of their own."""
    helped = call(cli(workflow), "--help").helped
    for name in RUN_SETTINGS:
        if row_of(name).flag is not None:
            assert f"--{name.replace('_', '-')}" in helped
