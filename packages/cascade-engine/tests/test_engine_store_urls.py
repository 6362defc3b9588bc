"""Claims about URLs of stores: what means nothing is refused by a typed error, and no error shows a password."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.redis_server import RedisProcess

import cascade as cs
from cascade.adapters.cache import RedisCacheBackend
from cascade.adapters.state import RedisCatalog, RedisStateBackend
from cascade.adapters.store_urls import cache_from_url, catalog_from_url, state_from_url
from cascade.spec import SpecError, StoreError

PASSWORD = "pAssw0rd"


@cs.task(cache=cs.ByInputs())
def one() -> int:
    return 1


WAYS: dict[str, Callable[[Any], object]] = {
    "state": lambda url: cs.run(one(), state=url, run_id="r"),
    "cache": lambda url: cs.run(one(), cache=url),
    "state_from_url": lambda url: state_from_url(url)(run_id="r"),
    "cache_from_url": cache_from_url,
    "catalog_from_url": lambda url: catalog_from_url(url).runs(),
}
REDIS_WAYS: dict[str, Callable[[Any], object]] = {
    "RedisStateBackend": lambda url: RedisStateBackend(url, run_id="r"),
    "RedisCacheBackend": RedisCacheBackend,
    "RedisCatalog": lambda url: RedisCatalog(url).runs(),
}

BAD = [
    "redis://u:PW@[::1/0",
    "redis://u:PW@h/0?bogus=1",
    "redis://u:PW@h/0?decode_responses=true",
    "redis://u:PW@h/0?encoding=latin-1",
    "redis://h/0?PW=1",
    "redis://h/0?=PW",
    "redis://h/0?password=PW&password=&bogus=",
    "redis://u:PW@h:99999/0",
    "redis://u:PW@h:-1/0",
    "redis://u:PW@h:port/0",
    "redis://u:PW@h/-1",
    "redis://u:PW@h/zero",
    "redis://u:PW@h/1/2",
    "redis://u:PW@h/\u0663",
    "redis://u:PW@h/0?db=x",
    "redis://u:PW@h/0?db=-1",
    "redis://u:PW@h/0?socket_timeout=soon",
    "redis://u:PW@h/0?socket_timeout=nan",
    "redis://u:PW@h/0?socket_timeout=-1",
    "redis://u:PW@h/0?max_connections=0",
    "redis://u:PW@h/0?protocol=9",
    "redis://u:PW@h/0?socket_keepalive=perhaps",
    "rediss://u:PW@h/0?ssl_cert_reqs=bogus",
    "redis://u:PW@h/0#fragment",
    "redis://u:PW@h\n/0",
    "redis://u:P\x00W@h/0",
    "unix://",
]
BAD_FILES = [
    "sqlite://u:PW@h/x.db",
    "sqlite://u:PW@[::1/x.db",
    "sqlite://h:port/x.db",
    "sqlite:///x.db?password=PW",
    "sqlite:///x.db#PW@x",
    "sqlite:///",
    "sqlite:///x%00.db",
    "sqlite:///x\n.db",
    "sqlite:///:memory:",
    "mysql://u:PW@h/x",
    "postgresql://u:PW@h/x/y",
    "postgresql://u:PW@h/x#PW",
    "u:PW@h",
    "",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("url", [*BAD, *BAD_FILES], ids=ascii)
def test_a_bad_url_is_refused(way: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes a URL refuses one that means nothing with a `SpecError`, which shows no password."""
    monkeypatch.chdir(tmp_path)
    if way == "state" and not url:
        pytest.skip("no store at all")
    with pytest.raises(SpecError) as refused:
        WAYS[way](url.replace("PW", PASSWORD).replace("P\x00W", PASSWORD + "\x00"))
    assert PASSWORD not in str(refused.value)
    assert PASSWORD not in repr(vars(refused.value))
    assert refused.value.__cause__ is None
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("way", REDIS_WAYS)
@pytest.mark.parametrize("url", BAD, ids=ascii)
def test_a_backend_refuses_a_bad_url(way: str, url: str) -> None:
    """A backend that is made by hand checks its URL as well."""
    with pytest.raises(SpecError) as refused:
        REDIS_WAYS[way](url.replace("PW", PASSWORD))
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("given", [None, 5, b"sqlite:///x.db", ["redis://h"], Path("x.db")])
@pytest.mark.parametrize("way", ["state_from_url", "cache_from_url", "catalog_from_url"])
def test_what_is_no_text_is_refused(way: str, given: object) -> None:
    """What is no text at all is a `SpecError` as well."""
    with pytest.raises(SpecError):
        WAYS[way](given)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "[::1]:1", "x" * 70 + ":1", "host..name:1", "-:1", "127.0.0.1:0"], ids=ascii
)
@pytest.mark.parametrize("way", ["state", "catalog_from_url"])
def test_a_server_that_is_not_there_is_told(way: str, host: str) -> None:
    """A host that can't be reached, or can't be a host, is a `StoreError` that shows no password."""
    with pytest.raises(StoreError) as refused:
        WAYS[way](f"redis://u:{PASSWORD}@{host}/0")
    assert PASSWORD not in str(refused.value)
    assert PASSWORD not in repr(vars(refused.value))


@pytest.mark.server
def test_a_wrong_password_is_not_shown(redis_server: RedisProcess) -> None:
    """A server that refuses user and password is a `StoreError` that shows neither."""
    for way in ("state", "catalog_from_url"):
        with pytest.raises(StoreError) as refused:
            WAYS[way](redis_server.url.replace("redis://", f"redis://me:{PASSWORD}@"))
        assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "options", ["db=1", "socket_timeout=1.5&client_name=me", "protocol=3", "health_check_interval=10"]
)
@pytest.mark.server
def test_options_that_are_known_are_taken(redis_server: RedisProcess, options: str) -> None:
    """A URL may say what a connection is to be like."""
    redis_server.ask(b"FLUSHALL")
    url = f"{redis_server.url}?{options}"
    assert cs.run(one(), state=url, run_id="r", cache=url) == 1
    assert [run.run_id for run in catalog_from_url(url).runs()] == ["r"]


@pytest.mark.parametrize("urls", [400, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_any_url_has_a_typed_error_or_none(
    urls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Urls put together at random are taken or refused with an error of Cascade's own, which shows no password."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(10)
    parts = [
        "redis",
        "sqlite",
        "unix",
        "://",
        ":",
        "/",
        "//",
        "@",
        "?",
        "#",
        "[",
        "]",
        "::1",
        "h",
        "%",
        "%00",
        "%zz",
    ]
    parts += ["db", "=", "&", "0", "-1", "é", "\udcff", "\\", ".", "..", " ", "\t", "x" * 300, "?p"]
    shown: list[tuple[str, str]] = []
    for _ in range(urls):
        begin = chance.choice(["redis://", "rediss://", "unix://", "sqlite:///", "sqlite://", ""])
        user = f"u:{PASSWORD}@" * chance.randint(0, 1)
        url = begin + user + "".join(chance.choices(parts, k=chance.randint(0, 8)))
        for make in (state_from_url, cache_from_url):
            try:
                made: Any = make(url)
                if make is state_from_url:
                    made(run_id="r")
                else:
                    await made.close()
            except cs.CascadeError as refused:
                if user and begin != "sqlite:///":  # what follows is a path, which is shown
                    shown.append((url, str(refused)))
    assert len(shown) > urls / 10
    assert [each for each in shown if PASSWORD in each[1]] == []
