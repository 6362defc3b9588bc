"""Claims about `--codec`: how a command's stores keep values that are no plain data."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import Call, Write

import cascade as cs
from cascade.adapters.codec import DataCodec, PickleCodec, codec_from_word
from cascade.spec import SpecError

FLOW = """
from cascade.adapters.codec import DataCodec, DataType

class Thing:
    def __init__(self, size):
        self.size = size

CODEC = DataCodec([DataType(Thing, "thing", lambda thing: thing.size, Thing)])
KIND = DataCodec

@cs.task(cache=cs.ByInputs())
def make(size):
    print("making")
    return Thing(size)

@cs.task
def measure(thing):
    return thing.size

def workflow():
    return measure(make(3))
"""

STATE = ("--state", "sqlite:///runs.db")
CACHE = ("--cache", "sqlite:///cache.db")


def test_without_a_codec_an_object_is_refused_by_name(cascade: Call, write: Write) -> None:
    """A recorded run whose value is no data fails, and the error names the type and the remedy."""
    write("flow.py", FLOW)
    outcome = cascade("run", "flow.py", *STATE)
    assert outcome.code == 1
    assert "Thing, which can't be stored" in outcome.told


@pytest.mark.parametrize("word", ["pickle", "flow:CODEC"])
def test_a_codec_is_given_by_a_word(
    cascade: Call, write: Write, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pickle`, with a key from the environment, and `module:name` serve the state and the cache."""
    monkeypatch.setenv("CASCADE_PICKLE_KEY", "a key of enough letters")
    write("flow.py", FLOW)
    first = cascade("run", "flow.py", *STATE, "--run-id", "a", *CACHE, "--codec", word)
    assert (first.code, first.out) == (0, "making\n3\n"), first.err
    again = cascade("run", "flow.py", *STATE, "--run-id", "b", *CACHE, "--codec", word)
    assert again.out == "3\n"
    alone = cascade("run", "flow.py", *CACHE, "--codec", word)
    assert (alone.code, alone.out) == (0, "3\n"), alone.err
    why = cascade("why", "flow.py", *CACHE, "--codec", word)
    assert "hit: stored" in why.out
    other = cascade("why", "flow.py", *CACHE)
    assert "miss" in other.out


def test_what_is_no_codec_is_refused(cascade: Call, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that names no codec, a key that is missing, and a codec without a store: exit code 2 and one sentence."""
    monkeypatch.delenv("CASCADE_PICKLE_KEY", raising=False)
    write("flow.py", FLOW)
    for word, told in {
        "yaml": "write 'data', 'pickle' or 'module:name'",
        "pickle": "set the environment variable CASCADE_PICKLE_KEY",
        "nothing:CODEC": "there is no module 'nothing'",
        "flow:NOTHING": "the module has no 'NOTHING'",
        "flow:KIND": "give the name of an object with `encode` and `decode`",
    }.items():
        outcome = cascade("run", "flow.py", *STATE, "--codec", word)
        assert outcome.code == 2, outcome.err
        assert told in outcome.told
    assert "--codec without a store" in cascade("run", "flow.py", "--codec", "data").told


def test_words_are_settings_in_code_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cs.run(codec=)` takes the words, or a codec."""
    monkeypatch.setenv("CASCADE_PICKLE_KEY", "a key of enough letters")
    assert type(codec_from_word("data")) is DataCodec
    assert type(codec_from_word("pickle")) is PickleCodec
    for codec in ("data", "pickle", DataCodec()):
        assert cs.run(cs.gather(), cache=f"sqlite:///{tmp_path}/c.db", codec=codec) == []
    monkeypatch.setenv("CASCADE_PICKLE_KEY", "short")
    with pytest.raises(SpecError, match="16 characters or more") as caught:
        codec_from_word("pickle")
    assert "short" not in str(caught.value)
