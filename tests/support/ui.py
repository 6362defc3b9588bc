"""`cascade ui` in a process of its own, and requests to it over a socket."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Ui:
    """A page that is served; `address` is the one that was printed, with the token."""

    address: str
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def exchange(self) -> str:
        """The path with the token."""
        return self.address.partition(self.host)[2]

    def ask(self, path: str, method: str = "GET", **headers: str | None) -> Answer:
        """Ask for something; a header that is `None` is left out, `host` and the cookie are sent unless given."""
        sent: dict[str, str | None] = {"host": self.host, "cookie": self.cookie or None, **headers}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            text = "" if told.get("content-type", "").startswith("text/event") else answer.read().decode()
            return Answer(answer.status, told, text)

    def sign_in(self) -> None:
        """Exchange the token for the cookie."""
        self.cookie = self.ask(self.exchange).headers["set-cookie"].partition(";")[0]


@contextmanager
def serving(url: str) -> Iterator[Ui]:
    """Serve the page of a store."""
    command = [sys.executable, "-m", "cascade.cli", "ui", url, "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address + process.stdout.read()
        yield Ui(address)
    finally:
        process.terminate()
        process.communicate(timeout=30)
