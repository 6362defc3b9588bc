"""`cascade ui`: who may ask for the page of a store, and what it shows."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.browsers import Browser, apart, open_browser
from support.hostile import HOSTILE
from support.stores import url_in
from support.ui import Ui, serving

import cascade as cs


@cs.task
def give(value: Any) -> Any:
    return value


@cs.task
def fail(value: Any) -> Any:
    raise ValueError("never shown")


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store with runs that have ended well and badly."""
    url = url_in(tmp_path_factory.mktemp("ui"))
    cs.run(total([give(number) for number in range(300)]), state=url, run_id="good")
    with pytest.raises(ValueError, match="never"):
        cs.run(fail(give(1)), state=url, run_id="bad")
    return url


@pytest.fixture(scope="module")
def ui(store: str) -> Iterator[Ui]:
    """A page of that store, whose token was exchanged."""
    with serving(store) as served:
        served.sign_in()
        yield served


@pytest.fixture
def fresh(store: str) -> Iterator[Ui]:
    """A page that nobody has opened yet."""
    with serving(store) as served:
        yield served


# Who may ask


def test_the_token_is_exchanged_for_a_cookie_once(fresh: Ui) -> None:
    """The first request with the token gets a cookie and an address without it; the second one gets nothing."""
    answer = fresh.ask(fresh.exchange)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    token = fresh.exchange.rpartition("=")[2]
    assert token not in cookie
    assert fresh.ask(fresh.exchange).status == 403
    assert "set-cookie" not in fresh.ask(fresh.exchange).headers
    assert fresh.ask("/", cookie=cookie.partition(";")[0]).status == 200


def test_looking_at_the_address_does_not_spend_the_token(fresh: Ui) -> None:
    """A `HEAD` request, as a program that previews links sends it, and a wrong token leave the right one good."""
    assert fresh.ask(fresh.exchange, method="HEAD").status == 403
    assert fresh.ask("/?token=wrong").status == 403
    assert fresh.ask(f"{fresh.exchange}&token=wrong").status == 403
    assert fresh.ask(fresh.exchange).status == 303


@pytest.mark.parametrize(
    "path", ["/", "/run?id=good", "/report?id=good", "/facts?id=good", "/events", "/static/ui.js"]
)
def test_nothing_is_shown_without_the_cookie(ui: Ui, path: str) -> None:
    """Without the cookie, with another value of it, or with two of them, nothing of the store is shown."""
    name = ui.cookie.partition("=")[0]
    for cookie in (None, f"{name}=", f"{name}=wrong", f"{ui.cookie}; {name}=wrong", f"other={ui.cookie}"):
        answer = ui.ask(path, cookie=cookie)
        assert answer.status == 403
        assert "good" not in answer.text.replace("good for one use", "")
    assert ui.ask(path).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        None,
        "",
    ],
)
def test_another_host_is_refused(ui: Ui, host: str | None) -> None:
    """A name that somebody else's server has led to this machine is refused, cookie or not; so is no name."""
    answer = ui.ask("/", host=host if host is None else host.format(port=ui.port))
    assert answer.status in (400, 421)
    assert "good" not in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://{host}", "http://127.0.0.1:1", ""]
)
def test_another_origin_is_refused(ui: Ui, origin: str) -> None:
    """What another page asks for is refused, although the browser would send the cookie."""
    assert ui.ask("/", origin=origin.format(host=ui.host)).status == 403
    assert ui.ask("/", origin=f"http://{ui.host}").status == 200
    assert ui.ask("/", host=f"localhost:{ui.port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_can_be_changed(ui: Ui, method: str) -> None:
    """Only `GET` and `HEAD` are answered."""
    answer = ui.ask("/", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    head = ui.ask("/", method="HEAD")
    assert (head.status, head.text) == (200, "")


@pytest.mark.parametrize(
    "path", ["/", "/run?id=good", "/run?id=none", "/nothing", "/static/ui.js", "/report?id=good"]
)
def test_all_answers_have_the_headers_that_keep_others_out(ui: Ui, path: str) -> None:
    """A strict policy, no referrer, no sniffing, nothing cached; in refusals too."""
    for answer in (ui.ask(path), ui.ask(path, cookie=None), ui.ask(path, host="evil.example")):
        headers = answer.headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe-eval" not in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_it_listens_on_the_loopback_interface_alone(ui: Ui) -> None:
    """No other address of this machine answers on the port."""
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1"}:
        with closing(socket.socket()) as client:
            client.settimeout(5)
            assert client.connect_ex((other, ui.port)) != 0


# What it shows


def test_the_page_of_runs_shows_each_with_its_status_and_progress(ui: Ui) -> None:
    """A run has a link, its status, how far it has come, when it was updated, and the type of its error."""
    text = ui.ask("/").text
    assert text.count("<tr>") == 3
    assert 'href="/run?id=good">good</a>' in text
    assert 'value="301" max="301"' in text
    assert "<td>ValueError</td>" in text
    assert "never shown" not in text


def test_the_facts_of_a_run_come_page_by_page(ui: Ui) -> None:
    """Each page names where the next one begins; together they are all facts, each once."""
    found: list[str] = []
    path = "/facts?id=good"
    while True:
        page: dict[str, Any] = json.loads(ui.ask(path).text)
        found += re.findall(r"<td>(root[^<]*)</td><td>result", page["html"])
        if page["after"] is None:
            break
        path = f"/facts?id=good&after={page['after']}"
    assert len(found) == len({*found}) == 301
    assert ui.ask("/facts?id=good&after=x").status == 404
    assert ui.ask("/facts?id=none").status == 404


def test_a_run_that_is_not_there_is_told(ui: Ui) -> None:
    """A link to a run that was deleted says so, and leads back."""
    answer = ui.ask("/run?id=%3Cgone%3E")
    assert answer.status == 404
    assert "&lt;gone&gt;" in answer.text


# In a browser


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a browser; without one the test is skipped, and CI fails if one was."""
    with open_browser() as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_page_works_in_a_browser(fresh: Ui, browser: Browser, scheme: str, width: int) -> None:
    """Runs, one run, its graph and timeline, and its facts are there; the console is silent, nobody else is asked."""
    with browser.page(fresh.address, scheme, width) as page:
        assert page.address == f"http://{fresh.host}/"
        assert page.visible("header", "main", "#runs", "#runs a")
        page.keep(f"ui-runs-{scheme}")
        page.tab()
        assert page.evaluate("document.activeElement.className") == "skip"
        page.click("a[href='/run?id=good']")
        page.wait_for("h1", "Run good")
        assert page.in_frame("#report", "#graph svg")
        page.click("#more")
        page.wait_for("#shown", "200 facts are shown")
        page.click("#more")
        page.wait_for("#shown", "301 facts are shown")
        assert not page.visible("#more")
        page.keep(f"ui-run-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.errors == []
        assert {re.sub(r"^(http://127\.0\.0\.1:\d+)/.*$", r"\1", each) for each in page.requests} == {
            f"http://{fresh.host}"
        }


@pytest.mark.browser
def test_the_page_is_live(fresh: Ui, store: str, browser: Browser) -> None:
    """A run that begins after the page was opened appears on it, and stays where the focus is."""
    with browser.page(fresh.address) as page:
        page.wait_for("#link", "live")
        page.evaluate("document.querySelector('#runs a').focus()")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        apart(lambda: cs.run(give(1), state=store, run_id="newcomer"))
        page.wait_for("#runs a", "newcomer")
        assert page.evaluate("document.activeElement.getAttribute('href')") == focused
        page.wait_for("#said", "newcomer succeeded")
        assert page.errors == []


@pytest.mark.browser
def test_hostile_names_are_text_on_the_page(tmp_path: Path, browser: Browser) -> None:
    """Names of runs, tasks and errors that are markup or scripts are shown as text, and run nothing."""
    url = url_in(tmp_path)

    def record() -> None:
        for number, text in enumerate(HOSTILE[:200]):
            task: Any = cs.task(name=text, version="1")(lambda: 1)
            run_id = text if text.isprintable() and text else f"run {number}"
            cs.run(cs.gather(task()), state=url, run_id=f"{number} {run_id}")

    apart(record)
    with serving(url) as served, browser.page(served.address) as page:
        for first in range(0, len(HOSTILE[:200]), 50):
            page.visit(f"http://{served.host}/?first={first}")
            assert page.evaluate("document.querySelectorAll('#runs tbody tr').length") == 50
            assert (
                page.evaluate("document.querySelectorAll('main script, main img, main iframe').length") == 0
            )
        page.click("#runs a")
        assert page.in_frame("#report", "h1")
        assert page.errors == []
        assert page.title.startswith("Run ")
