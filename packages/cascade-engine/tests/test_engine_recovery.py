"""Claims about recovery: which runs another process goes on with, with what, and what it never takes over."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from support import recovering
from support.recovering import (
    HELD,
    charge,
    default_secret_flow,
    env_flow,
    failing_flow,
    hold,
    interrupted,
    ledger,
    order_flow,
    outcomes,
    pin_flow,
    recovered,
    secret_env_flow,
    secret_flow,
    until,
)
from support.stores import all_of, asked, is_postgres, is_redis, path_of, recorded

import cascade as cs
from cascade.adapters.state import RunSummary
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.kept_inputs import KeptInputs, encode_inputs
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime import (
    Engine,
    EngineClosedError,
    RecoveredRun,
    RecoveryOutcome,
    RunAbandonedError,
    RunChangedError,
    WorkflowNotFoundError,
)
from cascade.spec import KeptInputError, MissingSecretError, SpecError, StoreError, StoreFormatError
from cascade.spec.durable import RunStatus, Takes
from cascade.spec.errors import RunDamagedError

pytestmark = pytest.mark.usefixtures("ledger_file")


@pytest.fixture
def ledger_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the calls of a test a ledger of their own."""
    monkeypatch.setenv(recovering.LEDGER, str(tmp_path / "ledger"))
    monkeypatch.delenv(HELD, raising=False)


def summary(url: str, run_id: str) -> RunSummary:
    with closing(catalog_from_url(url)) as catalog:
        return catalog.find(run_id)


async def test_an_interrupted_run_goes_on(every_url: str) -> None:
    """A run that kept its inputs goes on under its id, with its parameters, and makes no finished call again."""
    await interrupted(every_url, order_flow, "a")
    assert summary(every_url, "a").is_interrupted
    assert outcomes(await recovered(every_url)) == {"a": RecoveryOutcome.SUCCEEDED}
    assert ledger() == ["a/one", "a/two"]
    assert summary(every_url, "a").status is RunStatus.SUCCEEDED
    assert await recovered(every_url) == {}


async def test_a_run_that_was_interrupted_too_often_is_left_alone(every_url: str) -> None:
    """After three takes without anything new a run is `ABANDONED` in its store, and goes on by hand alone."""
    await interrupted(every_url, order_flow, "a")
    state = recorded(every_url)(run_id="a")
    await state.open()
    kept = KeptInputs(order_flow.__module__, "order_flow", {"order": "a"}, takes=Takes(3, state.found_mark()))
    state.keep_inputs(state.seal_inputs(kept))
    await state.commit()
    await state.close()
    found = await recovered(every_url)
    assert outcomes(found) == {"a": RecoveryOutcome.ABANDONED}
    assert isinstance(found["a"].error, RunAbandonedError)
    assert found["a"].error.takes == 3
    assert (summary(every_url, "a").status, summary(every_url, "a").error) == (
        RunStatus.ABANDONED,
        "RunAbandonedError",
    )
    assert await recovered(every_url) == {}
    async with Engine(state=every_url) as engine:
        assert await engine.run(order_flow, params={"order": "a"}, run_id="a") == "a/two"
    assert ledger() == ["a/one", "a/two"]


def _is_held_up(engine: Engine, work: asyncio.Future[Any]) -> bool:
    return bool(engine.under_way()) or work.done()


async def test_to_be_left_in_order_is_no_interruption(every_url: str) -> None:
    """A worker that is ended in order, however often, brings a run no nearer to being left alone."""
    await interrupted(every_url, order_flow, "a")
    os.environ[HELD] = "1"
    for _ in range(3):
        async with Engine(state=every_url) as engine:
            work = asyncio.ensure_future(engine.recover(abandon_after=1))
            await until(partial(_is_held_up, engine, work))
        assert [run.outcome for run in await work] == [RecoveryOutcome.LEFT]
    del os.environ[HELD]
    assert outcomes(await recovered(every_url, abandon_after=1)) == {"a": RecoveryOutcome.SUCCEEDED}


async def test_what_is_kept_is_deleted_when_the_run_has_succeeded(every_url: str) -> None:
    """The store has the inputs of a run for as long as it may go on, and no longer."""
    await interrupted(every_url, order_flow, "a")
    with closing(catalog_from_url(every_url)) as catalog:
        assert [run.run_id for run in catalog.recoverable()] == ["a"]
        assert catalog.inputs("a") is not None
    await recovered(every_url)
    with closing(catalog_from_url(every_url)) as catalog:
        assert catalog.recoverable() == []
        assert catalog.inputs("a") is None


async def test_a_deleted_run_leaves_no_inputs(every_url: str) -> None:
    """With a run its inputs are deleted, and one of its id that begins anew has none of before."""
    await interrupted(every_url, order_flow, "a")
    with closing(catalog_from_url(every_url)) as catalog:
        catalog.delete("a")
        assert catalog.inputs("a") is None
        assert catalog.recoverable() == []
    await interrupted(every_url, order_flow, "b")
    await interrupted(every_url, order_flow, "b", restart=True, keep_inputs=False)
    assert await recovered(every_url) == {}


async def test_every_status(file_url: str) -> None:
    """Interrupted runs that kept their inputs are taken over, and no others: none that ended, or is driven."""
    async with Engine(state=file_url) as engine:
        await engine.run(order_flow, params={"order": "done"}, run_id="done", keep_inputs=True)
        with pytest.raises(ValueError, match="should"):
            await engine.run(failing_flow, params={"order": "bad"}, run_id="bad", keep_inputs=True)
    await interrupted(file_url, order_flow, "cut")
    await interrupted(file_url, order_flow, "bare", keep_inputs=False)
    os.environ[HELD] = "1"
    async with Engine(state=file_url) as engine:
        calls = len(ledger())
        driven, stopped = (
            asyncio.ensure_future(
                engine.run(order_flow, params={"order": name}, run_id=name, keep_inputs=True)
            )
            for name in ("driven", "stopped")
        )
        await until(lambda: len(ledger()) == calls + 2)
        stopped.cancel()
        await asyncio.wait([stopped])
        found = asyncio.ensure_future(recovered(file_url))
        await until(lambda: bool(summary(file_url, "cut").driver))
        del os.environ[HELD]
        assert outcomes(await found) == {"cut": RecoveryOutcome.SUCCEEDED}
        await driven
    statuses = {name: summary(file_url, name).status for name in ("done", "bad", "bare", "stopped")}
    assert statuses == {
        "done": RunStatus.SUCCEEDED,
        "bad": RunStatus.FAILED,
        "bare": RunStatus.CANCELLED,
        "stopped": RunStatus.CANCELLED,
    }


async def test_a_run_that_fails_stops_no_other(file_url: str) -> None:
    """What a run fails with is told, with its id; the others go on, and it is not taken over again."""
    await interrupted(file_url, failing_flow, "bad")
    await interrupted(file_url, order_flow, "good")
    found = await recovered(file_url, concurrency=1)
    assert outcomes(found) == {"bad": RecoveryOutcome.FAILED, "good": RecoveryOutcome.SUCCEEDED}
    assert isinstance(found["bad"].error, ValueError)
    assert await recovered(file_url) == {}


async def test_so_many_runs_go_on_at_one_time(file_url: str) -> None:
    """`concurrency` runs go on side by side, and no more."""
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        await interrupted(file_url, order_flow, name)
    os.environ[HELD] = "1"
    found = asyncio.ensure_future(recovered(file_url, concurrency=2))

    def driven() -> int:
        with closing(catalog_from_url(file_url)) as catalog:
            return sum(bool(run.driver) for run in catalog.runs())

    await until(lambda: driven() == 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert driven() == 2
    del os.environ[HELD]
    assert outcomes(await found) == dict.fromkeys(names, RecoveryOutcome.SUCCEEDED)
    assert Counter(ledger()) == Counter(f"{name}/{step}" for name in names for step in ("one", "two"))


async def test_two_who_recover_share_the_runs(every_url: str) -> None:
    """Of two who take over the same runs each run has one driver: losing the race is told, and is no error."""
    names = ["a", "b", "c", "d", "e", "f"]
    for name in names:
        await interrupted(every_url, order_flow, name)
    both = await asyncio.gather(recovered(every_url), recovered(every_url))
    assert Counter(ledger()) == Counter(f"{name}/{step}" for name in names for step in ("one", "two"))
    done = [
        name for found in both for name, each in found.items() if each.outcome is RecoveryOutcome.SUCCEEDED
    ]
    assert sorted(done) == names
    others = {each.outcome for found in both for each in found.values()} - {RecoveryOutcome.SUCCEEDED}
    assert others <= {RecoveryOutcome.TAKEN}


# What can't be kept


async def refused(url: str, target: Any, *names: str, **settings: Any) -> None:
    """Check that a run with `keep_inputs` is refused before anything runs, by an error that names these."""
    async with Engine(state=url) as engine:
        with pytest.raises(KeptInputError) as caught:
            await engine.run(target, keep_inputs=True, run_id="r", **settings)
    for name in names:
        assert name in str(caught.value)
    assert ledger() == []
    with pytest.raises(StoreError):
        summary(url, "r")


async def test_a_target_without_a_reference_is_refused(file_url: str) -> None:
    """A lambda, a local function, a ready lazy result and a list of them are refused by name."""

    def local_flow() -> Any:
        return charge("x")

    await refused(file_url, local_flow, "local_flow", "top of a module")
    await refused(file_url, lambda: charge("x"), "<lambda>")
    await refused(file_url, charge("x"), "LazyResult")
    await refused(file_url, [charge("x")], "list")
    hidden, recovering.order_flow = recovering.order_flow, secret_flow
    try:
        await refused(file_url, hidden, "order_flow", "can't be found", params={"order": "a"})
    finally:
        recovering.order_flow = hidden


class Odd:
    """A value that no codec knows."""


def odd_flow() -> Any:
    return charge(hold(cs.Param("odd", type=object)))


async def test_a_value_that_the_codec_refuses_is_named(file_url: str) -> None:
    """A parameter whose value can't be stored is refused by its name; so is a secret in one that is no secret."""
    await refused(file_url, odd_flow, "'odd'", "Odd", params={"odd": Odd()})
    from cascade.spec.common import SecretValue

    nested = {"deep": [(SecretValue("marmalade"),)]}
    await refused(file_url, odd_flow, "'odd'", "cs.Secret", params={"odd": nested})


async def test_without_a_store_nothing_can_be_kept() -> None:
    """`keep_inputs` and `recover` need a durable state, and say so."""
    async with Engine() as engine:
        with pytest.raises(SpecError, match="durable state"):
            await engine.run(order_flow, params={"order": "a"}, keep_inputs=True)
        with pytest.raises(SpecError, match="store by its URL"):
            await engine.recover()
    assert ledger() == []


# What can't go on


async def test_a_workflow_that_is_not_imported_is_named(
    file_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is imported by a name from the store: the run is refused by that name, and left as it was."""
    await interrupted(file_url, order_flow, "a")
    before = summary(file_url, "a")
    with monkeypatch.context() as gone:
        gone.delitem(sys.modules, "support.recovering")
        found = await recovered(file_url)
        assert "support.recovering" not in sys.modules
    assert outcomes(found) == {"a": RecoveryOutcome.REFUSED}
    error = found["a"].error
    assert isinstance(error, WorkflowNotFoundError)
    assert "support.recovering.order_flow" in str(error)
    assert summary(file_url, "a") == before
    assert outcomes(await recovered(file_url)) == {"a": RecoveryOutcome.SUCCEEDED}


async def test_code_that_has_changed_is_named(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose code has changed since is refused, and left as it was; `resume="compatible"` goes on with it."""
    await interrupted(file_url, order_flow, "a")
    before = summary(file_url, "a")

    @cs.task(name="charge")
    def other(key: str, *after: Any) -> str:
        return str(charge.func(key))

    monkeypatch.setattr(recovering, "charge", other)
    found = await recovered(file_url)
    assert outcomes(found) == {"a": RecoveryOutcome.REFUSED}
    assert isinstance(found["a"].error, RunChangedError)
    assert summary(file_url, "a") == before
    assert outcomes(await recovered(file_url, resume="compatible")) == {"a": RecoveryOutcome.SUCCEEDED}


# Secrets and the environment


async def test_a_missing_secret_is_waited_for(every_url: str) -> None:
    """A run whose secret is missing waits for it, which the store tells by name; with the secret it goes on."""
    await interrupted(every_url, secret_flow, "a", params={"token": "marmalade"})
    found = await recovered(every_url)
    assert outcomes(found) == {"a": RecoveryOutcome.WAITING}
    assert isinstance(found["a"].error, MissingSecretError)
    waiting = summary(every_url, "a")
    assert (waiting.status, waiting.waits_for) == (RunStatus.WAITING, "secret 'token'")
    assert outcomes(await recovered(every_url)) == {"a": RecoveryOutcome.WAITING}
    assert summary(every_url, "a") == waiting  # nothing is written again
    found = await recovered(every_url, secrets={"token": "another one"})
    assert outcomes(found) == {"a": RecoveryOutcome.SUCCEEDED}
    done = summary(every_url, "a")
    assert (done.status, done.waits_for) == (RunStatus.SUCCEEDED, "")
    assert ledger() == ["a/one"]


async def test_no_byte_of_a_secret_is_stored(every_url: str) -> None:
    """Of a secret the store has the name, and no value: neither while it waits nor afterwards."""
    await interrupted(every_url, secret_flow, "a", params={"token": "marmalade"})
    await recovered(every_url)
    assert b"marmalade" not in all_of(every_url)
    assert b"token" in all_of(every_url)
    await recovered(every_url, secrets={"token": "tangerine"})
    assert b"marmalade" not in all_of(every_url)
    assert b"tangerine" not in all_of(every_url)


async def test_where_secrets_come_from(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret is what is given, or the variable of its name, or its file without the last line break; by its type."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / "token").write_text("four\n")
    (folder / "pin").write_text("1234\n")
    values = []
    for number, settings in enumerate(({"secrets": {"token": "abc"}}, {}, {})):
        name = f"run-{number}"
        await interrupted(file_url, secret_flow, name, params={"token": "x"})
        if number == 1:
            monkeypatch.setenv("CASCADE_SECRET_TOKEN", "fiver")
        if number == 2:
            monkeypatch.delenv("CASCADE_SECRET_TOKEN")
        await recovered(file_url, secrets_dir=folder, **settings)
        async with Engine(state=file_url) as engine:
            params = {"order": name, "token": "y"}
            values.append(await engine.run(secret_flow, run_id=name, params=params))
    assert values == ["3 characters", "5 characters", "4 characters"]
    await interrupted(file_url, pin_flow, "p", params={"pin": 99})
    assert outcomes(await recovered(file_url, secrets_dir=folder)) == {"p": RecoveryOutcome.SUCCEEDED}


async def test_a_secret_that_does_not_fit_is_told(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret whose text is not of its type refuses the run, and the text is not shown."""
    await interrupted(file_url, pin_flow, "p", params={"pin": 99})
    monkeypatch.setenv("CASCADE_SECRET_PIN", "marmalade")
    found = await recovered(file_url)
    assert outcomes(found) == {"p": RecoveryOutcome.REFUSED}
    assert "pin" in str(found["p"].error)
    assert "marmalade" not in str(found["p"].error)


async def test_the_environment_is_that_of_the_worker(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Env` values are read anew: they must be the same, unless the variable is declared with `identity=False`."""
    monkeypatch.setenv("TEST_PORT", "8000")
    monkeypatch.setenv("TEST_REGION", "north")
    await interrupted(file_url, env_flow, "a")
    await interrupted(file_url, env_flow, "b")
    assert b"north" not in all_of(file_url)
    monkeypatch.setenv("TEST_REGION", "south")
    found = await recovered(file_url)
    assert outcomes(found) == dict.fromkeys("ab", RecoveryOutcome.REFUSED)
    assert "TEST_REGION" in str(found["a"].error)
    monkeypatch.setenv("TEST_REGION", "north")
    monkeypatch.setenv("TEST_PORT", "9000")
    assert outcomes(await recovered(file_url)) == dict.fromkeys("ab", RecoveryOutcome.SUCCEEDED)


@cs.task
def later(token: Any) -> Any:
    return recovering.reveal(token)


@cs.task
def next_round(number: int) -> Any:
    return recovering.reveal(cs.Secret("token"))


def late_secret_flow() -> Any:
    cs.Secret("token")
    return next_round(1)


async def test_a_secret_of_a_later_round_is_no_identity(file_url: str) -> None:
    """A secret that only a later round reads is no part of what a run began as: another value goes on."""
    async with Engine(state=file_url) as engine:
        with pytest.raises(ValueError, match="secret is wrong"):
            await engine.run(late_secret_flow, params={"token": "wrong"}, run_id="r")
        value = await engine.run(late_secret_flow, params={"token": "right"}, run_id="r")
    assert value == "5 characters"


PASSWORD = cs.Secret("password")


@cs.resource
def vault(password: Any = PASSWORD) -> Iterator[str]:
    yield password.reveal()


@cs.task
def look_into(number: int, vault: str = cs.inject("vault")) -> str:
    if vault == "wrong":
        raise ValueError("the secret is wrong")
    return vault


@cs.task
def then_look(number: int) -> Any:
    return look_into(number)


async def test_a_secret_of_a_resource_is_no_identity(file_url: str) -> None:
    """Nor is a secret of a resource that only a later round takes."""
    async with Engine(state=file_url) as engine:
        engine.register(vault)
        with pytest.raises(ValueError, match="secret is wrong"):
            await engine.run(then_look(1), params={"password": "wrong"}, run_id="r")
        assert await engine.run(then_look(1), params={"password": "right"}, run_id="r") == "right"


async def test_a_secret_of_the_environment_is_waited_for(
    file_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that is read from the environment is waited for like any other, and one with a default is not."""
    monkeypatch.setenv("TEST_KEY", "marmalade")
    await interrupted(file_url, secret_env_flow, "a")
    monkeypatch.delenv("TEST_KEY")
    assert outcomes(await recovered(file_url)) == {"a": RecoveryOutcome.WAITING}
    assert summary(file_url, "a").waits_for == "secret 'TEST_KEY'"
    monkeypatch.setenv("TEST_KEY", "tangerine")
    assert outcomes(await recovered(file_url)) == {"a": RecoveryOutcome.SUCCEEDED}
    await interrupted(file_url, default_secret_flow, "b")
    assert outcomes(await recovered(file_url)) == {"b": RecoveryOutcome.SUCCEEDED}
    await interrupted(file_url, default_secret_flow, "c", params={"token": "marmalade"})
    assert outcomes(await recovered(file_url)) == {"c": RecoveryOutcome.WAITING}  # it was given one


# Stores of the version before


def as_before(url: str) -> None:
    """Make a store one of the version before kept inputs."""
    if is_redis(url):
        with closing(redis.Redis.from_url(url)) as client:
            client.set("cascade:state:format", 3)
            client.delete("cascade:state:inputs")
    elif is_postgres(url):
        for statement in (
            "DROP TABLE cascade_inputs",
            "ALTER TABLE cascade_runs DROP COLUMN waits_for",
            "DROP FUNCTION cascade_write",
            "UPDATE cascade_stores SET version = 1 WHERE kind = 'state'",
        ):
            asked(url, statement)
    else:
        with closing(sqlite3.connect(path_of(url))) as connection, connection:
            connection.execute("DROP TABLE inputs")
            connection.execute("ALTER TABLE runs DROP COLUMN waits_for")
            connection.execute("PRAGMA user_version = 3")


async def test_a_store_of_the_version_before_is_brought_up(every_url: str) -> None:
    """A store without kept inputs is read as it is or refused with what to do; the next run brings it up."""
    await interrupted(every_url, order_flow, "old", keep_inputs=False)
    before = None if is_postgres(every_url) else summary(every_url, "old")
    as_before(every_url)
    if is_postgres(every_url):
        with pytest.raises(StoreFormatError, match="record a run in it"):
            summary(every_url, "old")
    else:
        assert summary(every_url, "old") == before
        assert await recovered(every_url) == {}
    await interrupted(every_url, order_flow, "new")
    assert outcomes(await recovered(every_url)) == {"new": RecoveryOutcome.SUCCEEDED}
    async with Engine(state=every_url) as engine:
        assert await engine.run(order_flow, params={"order": "old"}, run_id="old") == "old/two"
    assert Counter(ledger()) == Counter(
        f"{name}/{step}" for name in ("old", "new") for step in ("one", "two")
    )


# What a store may not do


@pytest.mark.parametrize(
    ("module", "qualname"),
    [("os", "getcwd"), ("pdb", "set_trace"), ("support.recovering", "ledger.__call__"), ("antigravity", "x")],
)
async def test_a_store_can_call_nothing_but_workflows(file_url: str, module: str, qualname: str) -> None:
    """A name from the store imports nothing, and no function of Python's own is called, nor one of elsewhere."""
    await interrupted(file_url, order_flow, "a")
    codec = FactCodec(None, "a", "store")
    forged = encode_inputs(KeptInputs(module, qualname, {}), codec)
    with closing(sqlite3.connect(path_of(file_url))) as connection, connection:
        connection.execute("UPDATE inputs SET data = ?", (forged,))
    found = await recovered(file_url)
    assert outcomes(found) == {"a": RecoveryOutcome.REFUSED}
    assert isinstance(found["a"].error, WorkflowNotFoundError)
    assert "antigravity" not in sys.modules


async def test_inputs_that_were_changed_are_refused(file_url: str) -> None:
    """Kept inputs that are damaged, or belong to another run, refuse the run as damaged."""
    await interrupted(file_url, order_flow, "a")
    await interrupted(file_url, order_flow, "b")
    with closing(sqlite3.connect(path_of(file_url))) as connection, connection:
        (data,) = connection.execute("SELECT data FROM inputs WHERE run = 1").fetchone()
        connection.execute("UPDATE inputs SET data = ? WHERE run = 2", (data,))
        connection.execute("UPDATE inputs SET data = ? WHERE run = 1", (data[:-1],))
    found = await recovered(file_url)
    assert outcomes(found) == dict.fromkeys("ab", RecoveryOutcome.REFUSED)
    assert all(isinstance(run.error, RunDamagedError) for run in found.values())


# Looking again and again


async def test_polling_takes_over_what_is_interrupted_later(file_url: str) -> None:
    """With `poll` runs that are interrupted later are taken over, and what becomes of each is told once."""
    told: list[Any] = []
    async with Engine(state=file_url) as engine:
        worker = asyncio.ensure_future(engine.recover(poll=0.01, told=told.append))
        await interrupted(file_url, secret_flow, "s", params={"token": "x"})
        await until(lambda: len(told) == 1)
        await interrupted(file_url, order_flow, "a")
        await until(lambda: len(told) == 2)
        os.environ["CASCADE_SECRET_TOKEN"] = "abc"
        try:
            await until(lambda: len(told) == 3)
        finally:
            del os.environ["CASCADE_SECRET_TOKEN"]
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker
    assert [(run.run_id, run.outcome.value) for run in told] == [
        ("s", "waiting"),
        ("a", "succeeded"),
        ("s", "succeeded"),
    ]


async def test_a_worker_that_is_cancelled_leaves_its_runs(every_url: str) -> None:
    """Who recovers and is cancelled leaves its runs unfinished, and another one takes them over at once."""
    await interrupted(every_url, order_flow, "a")
    os.environ[HELD] = "1"
    async with Engine(state=every_url) as engine:
        worker = asyncio.ensure_future(engine.recover(poll=0.01))
        await until(lambda: bool(summary(every_url, "a").driver))
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker
        left = summary(every_url, "a")
        assert left.is_interrupted
    del os.environ[HELD]
    assert outcomes(await recovered(every_url)) == {"a": RecoveryOutcome.SUCCEEDED}
    assert ledger() == ["a/one", "a/two"]


async def test_a_store_that_is_not_there_yet_has_no_runs(file_url: str) -> None:
    """Who recovers before anything was recorded finds nothing, and makes no store."""
    assert await recovered(file_url) == {}
    assert not Path(file_url.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"poll": 0}, "poll"),
        ({"poll": "soon"}, "poll"),
        ({"secrets": ["a"]}, "secrets"),
        ({"secrets_dir": "nowhere"}, "secrets_dir"),
        ({"told": 3}, "told"),
        ({"resume": "now"}, "resume"),
        ({"pol": 3}, "poll"),
        ({"params": {}}, "engine.run"),
    ],
)
async def test_wrong_settings_are_named(file_url: str, settings: dict[str, Any], named: str) -> None:
    """A setting that can't be meant is refused by its name, with what may stand there."""
    async with Engine(state=file_url) as engine:
        with pytest.raises(cs.CascadeError, match=named):
            await engine.recover(**settings)


async def test_a_closed_engine_recovers_nothing(file_url: str) -> None:
    """An engine that is closed takes over no run, and one that looks again and again ends."""
    async with Engine(state=file_url) as engine:
        worker = asyncio.ensure_future(engine.recover(poll=0.01))
        await asyncio.sleep(0)
    with pytest.raises(EngineClosedError):
        await worker
    with pytest.raises(EngineClosedError):
        await engine.recover()


async def test_a_look_that_fails_is_told(file_url: str) -> None:
    """With `poll` a store that can't be looked at is told, and looked at again; without `told` the error is raised."""
    path = Path(file_url.removeprefix("sqlite:///"))
    path.write_text("no database " * 100)
    told: list[Any] = []
    async with Engine(state=file_url) as engine:
        for poll in (None, 0.01):
            with pytest.raises((StoreError, StoreFormatError)):
                await engine.recover(poll=poll)
        worker = asyncio.ensure_future(engine.recover(poll=0.01, told=told.append))
        await until(lambda: len(told) >= 2)
        path.unlink()
        await interrupted(file_url, order_flow, "a")
        await until(lambda: isinstance(told[-1], RecoveredRun))
        worker.cancel()
        await asyncio.wait([worker])
    assert told[-1] == RecoveredRun("a", RecoveryOutcome.SUCCEEDED)
    assert {type(each) for each in told[:-1]} <= {StoreError, StoreFormatError}


def test_what_becomes_of_a_run_is_plain_data() -> None:
    """A `RecoveredRun` has the id, the outcome and the error, and outcomes are words."""
    run = RecoveredRun("r", RecoveryOutcome.LEFT)
    assert (run.run_id, run.outcome, run.error) == ("r", "left", None)
