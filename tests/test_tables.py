"""Claims about events, settings, executors and stores: what nobody may forget when one is added.

Each test walks the table that the new one is a row of.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import cascade as cs
from cascade import runtime
from cascade.adapters import state as states
from cascade.adapters.executors.executor_words import (
    CLUSTERS,
    COUNTED,
    EXECUTOR_FORMS,
    PLAIN,
    executor_from_word,
)
from cascade.adapters.store_urls import (
    CACHE_FORMS,
    STATE_FORMS,
    STORES,
    Store,
    cache_factory,
    catalog_from_url,
    state_from_url,
)
from cascade.cli import cli
from cascade.cli.event_log import log_events
from cascade.cli.log_lines import LogFormat, LogLevel
from cascade.runtime import Event, MessageBus, SkipReason, Status, TaskEvent, events
from cascade.runtime.settings import ENGINE_RUN_SETTINGS, ENGINE_SETTINGS, RUN_SETTINGS, row_of
from cascade.spec import SpecError

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"

EVENTS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind not in (Event, TaskEvent)
]
each_event = pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
each_setting = pytest.mark.parametrize("name", RUN_SETTINGS)

VALUES: dict[Any, object] = {
    str: "a text",
    float: 1.5,
    int: 2,
    tuple[str, ...]: ("a", "b"),
    Status: Status.SUCCEEDED,
    SkipReason: SkipReason.PRUNED,
    str | None: "a text",
}


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lines of the log be as long as they are."""
    monkeypatch.setenv("COLUMNS", "1000")


def made(kind: type[Event]) -> Event:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {field.name: VALUES[hints[field.name]] for field in dataclasses.fields(kind)}
    return kind(**values)


@each_event
def test_an_event_is_public(kind: type[Event]) -> None:
    """An event is a name of `cascade.runtime`, says what it tells, and never changes."""
    assert kind.__name__ in events.__all__
    assert getattr(runtime, kind.__name__) is kind
    assert kind.__name__ in runtime.__all__
    assert not (kind.__doc__ or "").startswith(
        f"{kind.__name__}("
    )  # what a dataclass without a docstring has
    with pytest.raises(dataclasses.FrozenInstanceError):
        made(kind).run_id = "another"  # type: ignore[misc]


@each_event
def test_an_event_is_in_the_reference(kind: type[Event]) -> None:
    """The reference has each event with the fields of its own, and each field with its type."""
    text = (REFERENCE / "events.md").read_text()
    (row,) = re.findall(rf"^\| `{kind.__name__}` \| (.*?) \|", text, re.MULTILINE)
    inherited = {field.name for field in dataclasses.fields(kind.__mro__[1])}
    own = [field.name for field in dataclasses.fields(kind) if field.name not in inherited]
    assert re.findall(r"`(\w+)`", row) == own
    for name in own:
        assert re.search(rf"^\|.*`{name}`.*\|", text, re.MULTILINE)


@each_event
@pytest.mark.usefixtures("wide")
def test_the_log_has_a_sentence_for_an_event(kind: type[Event], capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a command says in words what an event tells, and does not list its fields."""
    bus = MessageBus()
    stop = log_events(bus, LogLevel.DEBUG, LogFormat.HUMAN)
    bus.publish(made(kind))
    stop()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "run_id=" not in line


@each_setting
def test_a_setting_says_what_it_means(name: str) -> None:
    """Each setting has a meaning, help shows it, and the reference has it."""
    meaning = row_of(name).meaning
    assert meaning.endswith(".")
    calls: list[Any] = [cs.run, cs.arun]
    calls += [cs.Engine.run] if name in ENGINE_RUN_SETTINGS else []
    calls += [cs.Engine.__init__] if name in ENGINE_SETTINGS else []
    assert len(calls) == 3 or name == "resources"
    for call in calls:
        assert f"{name}: {meaning}" in (inspect.getdoc(call) or "")
        assert name in inspect.signature(call).parameters
    assert re.search(rf"^\| .*`{name}`.* \|", (REFERENCE / "runtime.md").read_text(), re.MULTILINE)


@each_setting
def test_a_setting_with_a_flag_is_an_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command shows the settings that have a flag, and no others; the reference has them."""
    flag, option = row_of(name).flag, f"--{name.replace('_', '-')}"
    with pytest.raises(SystemExit):
        cli(cs.task(lambda: 1)())(["--help"])
    shown = capsys.readouterr().out
    reference = (REFERENCE / "command-line.md").read_text()
    assert (option in shown) is (option in reference) is (flag is not None)


@pytest.mark.parametrize("word", [*PLAIN, *COUNTED, *CLUSTERS])
def test_a_word_for_an_executor_is_told_everywhere(word: str) -> None:
    """Each word makes an executor, and errors, help and the reference name it."""
    forms = [word, f"{word}:8"] if word in COUNTED else [CLUSTERS[word][1]] if word in CLUSTERS else [word]
    for form in forms:
        assert executor_from_word(form) is not executor_from_word(form)
    (row,) = re.findall(r"^\| `executor` \|.*$", (REFERENCE / "runtime.md").read_text(), re.MULTILINE)
    for form in forms:
        assert f"'{form}'" in EXECUTOR_FORMS
        assert f'"{form}"' in row_of("executor").meaning
        assert f'"{form}"' in row


SCHEMES = [(store, scheme) for store in STORES for scheme in store.schemes]


@pytest.mark.parametrize(("store", "scheme"), SCHEMES, ids=[scheme for _, scheme in SCHEMES])
def test_a_store_of_a_url_serves_for_all(store: Store, scheme: str, tmp_path: Path) -> None:
    """What a URL names keeps runs and cached values, can be listed, and its classes are public."""
    url = f"{scheme}:///{tmp_path}/store.db" if scheme in ("sqlite", "unix") else f"{scheme}://localhost:1/0"
    for forms, name in ((STATE_FORMS, "runs.db"), (CACHE_FORMS, "cache.db")):
        assert all(form.format(file=name) in forms for form in store.forms)
    assert callable(cache_factory(url))
    made = type(state_from_url(url)(run_id="r"))
    assert made.__name__ in states.__all__
    assert getattr(states, made.__name__) is made
    assert all(hasattr(made, name) for name in ("open", "commit", "close"))
    assert f"`state.{made.__name__}(" in (REFERENCE / "adapters.md").read_text()
    try:
        catalog_from_url(url).close()
    except SpecError as refused:
        pytest.fail(str(refused))
    except cs.CascadeError:
        pass  # there is no such store yet
    assert f"`{scheme}:" in (REFERENCE / "adapters.md").read_text()
